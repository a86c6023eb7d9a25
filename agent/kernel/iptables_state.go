package kernel

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lanseal/lanseal/rules"
)

// removalOrder of tables: those that mark before those that judge.
var removalOrder = []string{"mangle", "nat", "raw", "filter"}

// named finds lanseal's chains and sets, and their generation.
var named = regexp.MustCompile(`\b(LANSEAL-\w+|lanseal-\w+-\w+)-([A-Z])\b`)

// generationOf says of which generation a chain or set of lanseal's is.
func generationOf(name string) (string, bool) {
	m := named.FindStringSubmatch(name)
	if m == nil || m[0] != name {
		return "", false
	}
	return m[2], true
}

// iptRule is one line of iptables-save -c.
type iptRule struct {
	table, chain   string
	text           string // what follows "-A CHAIN "
	packets, bytes uint64
}

// target is the chain that the rule jumps or goes to, or its other target.
func (r iptRule) target() string {
	words := strings.Fields(r.text)
	for i := len(words) - 2; i >= 0; i-- {
		if words[i] == "-j" || words[i] == "-g" {
			return words[i+1]
		}
	}
	return ""
}

// comment is the rule's own, without quotes.
func (r iptRule) comment() string {
	_, rest, ok := strings.Cut(r.text, "--comment ")
	switch {
	case !ok:
		return ""
	case strings.HasPrefix(rest, `"`):
		rest, _, _ = strings.Cut(rest[1:], `"`)
	default:
		rest, _, _ = strings.Cut(rest, " ")
	}
	return rest
}

// iptTables is what one family holds.
type iptTables struct {
	chains map[string][]string // by table, lanseal's only
	rules  []iptRule           // everybody's
}

// state is what the kernel holds.
type state struct {
	families map[int]*iptTables
	sets     []string // lanseal's
}

// survey reads everything: one call for a family, one for the sets.
func (t *IPTables) survey(ctx context.Context) (*state, error) {
	s := &state{families: map[int]*iptTables{}}
	for _, f := range t.families {
		text, err := t.run(ctx, "", f.save, "-c")
		if err != nil {
			return nil, err
		}
		if s.families[f.number], err = parseSave(text); err != nil {
			return nil, fmt.Errorf("%s: %w", f.save, err)
		}
	}
	if t.options.IPSets || t.options.MACSets {
		text, err := t.run(ctx, "", t.ipset, "list", "-n")
		if err != nil {
			return nil, err
		}
		for _, name := range strings.Fields(text) {
			if _, ok := generationOf(name); ok {
				s.sets = append(s.sets, name)
			}
		}
	}
	return s, nil
}

// parseSave reads iptables-save -c.
func parseSave(text string) (*iptTables, error) {
	ts := &iptTables{chains: map[string][]string{}}
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":"):
			name, _, _ := strings.Cut(line[1:], " ")
			if _, ok := generationOf(name); ok {
				ts.chains[table] = append(ts.chains[table], name)
			}
		case strings.HasPrefix(line, "["):
			r, err := parseSaved(table, line)
			if err != nil {
				return nil, err
			}
			ts.rules = append(ts.rules, r)
		case strings.Contains(line, "is incompatible, use 'nft' tool"):
			// nft rules in iptables' own tables: what is there cannot be read.
			return nil, fmt.Errorf("%s", strings.Trim(line, "# "))
		}
	}
	return ts, nil
}

// parseSaved reads "[packets:bytes] -A CHAIN TEXT".
func parseSaved(table, line string) (iptRule, error) {
	counters, rest, ok := strings.Cut(line[1:], "] -A ")
	packets, bytes, ok2 := strings.Cut(counters, ":")
	if !ok || !ok2 {
		return iptRule{}, fmt.Errorf("table %s: no rule: %q", table, line)
	}
	r := iptRule{table: table}
	r.chain, r.text, _ = strings.Cut(rest, " ")
	var err, err2 error
	r.packets, err = strconv.ParseUint(packets, 10, 64)
	r.bytes, err2 = strconv.ParseUint(bytes, 10, 64)
	if err != nil || err2 != nil {
		return iptRule{}, fmt.Errorf("table %s: no counters: %q", table, line)
	}
	return r, nil
}

// refers says to which generation a rule outside lanseal's chains leads.
func (r iptRule) refers() (string, bool) {
	if _, ours := generationOf(r.chain); ours {
		return "", false
	}
	return generationOf(r.target())
}

// generations lists those of which anything is there.
func (s *state) generations() []string {
	var gs []string
	add := func(name string) {
		if g, ok := generationOf(name); ok && !slices.Contains(gs, g) {
			gs = append(gs, g)
		}
	}
	for _, ts := range s.families {
		for _, names := range ts.chains {
			for _, n := range names {
				add(n)
			}
		}
	}
	for _, n := range s.sets {
		add(n)
	}
	slices.Sort(gs)
	return gs
}

// complete says whether all jumps of a generation are there in every family.
func (t *IPTables) complete(s *state, generation string) bool {
	for _, f := range t.families {
		for _, j := range t.jumps(f, generation) {
			if !slices.ContainsFunc(s.families[f.number].rules, func(r iptRule) bool {
				return r.table == j.Table && r.chain == j.Chain && r.text == jumpText(j.Target)
			}) {
				return false
			}
		}
	}
	return true
}

// jumpText is how iptables-save prints a jump of ours.
func jumpText(target string) string {
	return `-m comment --comment "` + rules.IPTablesJumpComment + `" -j ` + target
}

// removal prints what takes the generations out of one family.
func (s *state) removal(family int, gone []string) string {
	ts := s.families[family]
	var b strings.Builder
	for _, table := range removalOrder {
		var cut, chains []string
		for _, r := range ts.rules {
			if g, ok := r.refers(); ok && r.table == table && slices.Contains(gone, g) {
				cut = append(cut, "-D "+r.chain+" "+r.text+"\n")
			}
		}
		for _, c := range ts.chains[table] {
			if g, _ := generationOf(c); slices.Contains(gone, g) {
				chains = append(chains, c)
			}
		}
		if len(cut)+len(chains) == 0 {
			continue
		}
		b.WriteString("*" + table + "\n" + strings.Join(cut, ""))
		for _, c := range chains {
			b.WriteString("-F " + c + "\n")
		}
		for _, c := range chains {
			b.WriteString("-X " + c + "\n")
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}
