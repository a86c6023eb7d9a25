package kernel

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/lanseal/lanseal/rules"
)

// reference is what the kernel prints for chains that were just loaded.
type reference struct {
	key     string  // the text that was loaded, under the scratch generation
	listing listing // what it looks like
}

// listing is the rules of lanseal's chains, by "IPv4 filter LANSEAL-FORWARD":
// without generation and counters.
type listing map[string][]string

func (t *IPTables) key(fw *rules.Firewall) string {
	var b strings.Builder
	for _, f := range t.families {
		b.WriteString(t.text(fw, f, scratch))
	}
	return b.String()
}

// listing extracts one generation.
func (s *state) listing(generation string) listing {
	l := listing{}
	key := func(family int, table, chain string) (string, bool) {
		g, ok := generationOf(chain)
		return fmt.Sprintf("IPv%d %s %s", family, table, strings.TrimSuffix(chain, "-"+g)), ok && g == generation
	}
	for family, ts := range s.families {
		for table, chains := range ts.chains {
			for _, c := range chains {
				if k, ok := key(family, table, c); ok {
					l[k] = nil
				}
			}
		}
		for _, r := range ts.rules {
			if k, ok := key(family, r.table, r.chain); ok {
				l[k] = append(l[k], named.ReplaceAllStringFunc(r.text, func(name string) string {
					return strings.TrimSuffix(name, "-"+generation)
				}))
			}
		}
	}
	return l
}

// expected is how the kernel prints fw. A process that has not loaded it
// itself loads it into scratch chains, which nothing refers to, reads them and
// removes them: how iptables prints a rule differs from version to version.
func (t *IPTables) expected(ctx context.Context, fw *rules.Firewall) (listing, error) {
	if key := t.key(fw); t.known.key != key {
		defer t.alone(ctx)()
		defer func() { _ = t.takeBack(scratch) }() // remains show in Differs
		if err := t.fill(ctx, fw, scratch); err != nil {
			return nil, err
		}
		s, err := t.survey(ctx)
		if err != nil {
			return nil, err
		}
		t.known = reference{key, s.listing(scratch)}
	}
	return t.known.listing, nil
}

// Differs implements [Firewall].
func (t *IPTables) Differs(ctx context.Context, fw *rules.Firewall) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.probe(ctx); err != nil {
		return nil, err
	}
	have, err := t.survey(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the firewall: %w", err)
	}
	if fw == nil {
		return have.remains(nil), nil
	}
	fw = t.fit(fw)
	generation, jumps := t.inForce(have)
	if jumps == 0 {
		return append(have.remains(nil), "iptables: the firewall lock is missing"), nil
	}
	want, err := t.expected(ctx, fw)
	if err != nil {
		return nil, fmt.Errorf("loading a reference: %w", err)
	}
	known := []string{generation}
	if !have.referred(scratch) {
		known = append(known, scratch) // of a process that compares just now, as verify does
	}
	found := have.remains(known)
	found = append(found, t.jumpDiffers(have, generation)...)
	found = append(found, want.differs(have.listing(generation))...)
	sets, err := t.setsDiffer(ctx, have, fw, generation)
	if err != nil {
		return nil, fmt.Errorf("reading the sets: %w", err)
	}
	return append(found, sets...), nil
}

// inForce finds the generation with the most jumps.
func (t *IPTables) inForce(s *state) (generation string, jumps int) {
	count := map[string]int{}
	for _, ts := range s.families {
		for _, r := range ts.rules {
			if g, ok := r.refers(); ok {
				count[g]++
			}
		}
	}
	for _, g := range slices.Sorted(maps.Keys(count)) {
		if count[g] > jumps {
			generation, jumps = g, count[g]
		}
	}
	return generation, jumps
}

// referred says whether any rule outside lanseal's chains leads to a generation.
func (s *state) referred(generation string) bool {
	for _, ts := range s.families {
		if slices.ContainsFunc(ts.rules, func(r iptRule) bool { g, ok := r.refers(); return ok && g == generation }) {
			return true
		}
	}
	return false
}

// remains are chains and jumps of generations that are not in force. A set
// that nothing refers to harms nothing.
func (s *state) remains(inForce []string) []string {
	var found []string
	for _, family := range slices.Sorted(maps.Keys(s.families)) {
		ts := s.families[family]
		seen := map[string]bool{}
		note := func(name string) {
			if g, ok := generationOf(name); ok && !slices.Contains(inForce, g) && !seen[g] {
				seen[g] = true
				found = append(found, fmt.Sprintf("IPv%d: remains of generation %s", family, g))
			}
		}
		for _, table := range removalOrder {
			for _, c := range ts.chains[table] {
				note(c)
			}
		}
	}
	return found
}

// jumpDiffers checks that every jump is there, first in its builtin chain, and
// that nothing else leads into lanseal's chains.
func (t *IPTables) jumpDiffers(s *state, generation string) []string {
	var found []string
	for _, f := range t.families {
		jumps := t.jumps(f, generation)
		first := map[string]string{} // table and chain → its first rule
		there := map[rules.Jump]int{}
		for _, r := range s.families[f.number].rules {
			if _, seen := first[r.table+" "+r.chain]; !seen {
				first[r.table+" "+r.chain] = r.text
			}
			j := rules.Jump{Table: r.table, Chain: r.chain, Target: r.target()}
			switch g, ok := r.refers(); {
			case !ok || g != generation:
			case slices.Contains(jumps, j) && r.text == jumpText(j.Target):
				there[j]++
			default:
				found = append(found, fmt.Sprintf("IPv%d %s %s: foreign jump: %s", f.number, r.table, r.chain, r.text))
			}
		}
		for _, j := range jumps {
			where := fmt.Sprintf("IPv%d %s %s: jump to %s ", f.number, j.Table, j.Chain, j.Target)
			switch {
			case there[j] == 0:
				found = append(found, where+"is missing")
			case first[j.Table+" "+j.Chain] != jumpText(j.Target):
				found = append(found, where+"is not first")
			case there[j] > 1:
				found = append(found, where+"is there more than once")
			}
		}
	}
	return found
}

// holds says whether a whole lock over the LANs stands: all its jumps, each the
// first of its chain, and the chains that refuse not emptied.
func (t *IPTables) holds(ctx context.Context, lan []string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.probe(ctx); err != nil {
		return false
	}
	defer t.alone(ctx)() // what is being replaced just now looks incomplete
	have, err := t.survey(ctx)
	if err != nil {
		return false
	}
	generation, jumps := t.inForce(have)
	if jumps == 0 || len(t.jumpDiffers(have, generation)) > 0 {
		return false
	}
	l := have.listing(generation)
	for _, f := range t.families {
		has := func(table, chain, start, end string) bool {
			return slices.ContainsFunc(l[fmt.Sprintf("IPv%d %s LANSEAL-%s", f.number, table, chain)], func(r string) bool {
				return strings.HasPrefix(r, start) && strings.HasSuffix(r, end)
			})
		}
		for _, d := range lan {
			if !has("filter", "FORWARD", "-i "+d+" ", "-g LANSEAL-FROM_LAN") || !has("mangle", "MARK", "-i "+d+" ", "-g LANSEAL-LAN") {
				return false
			}
		}
		if !has("filter", "FROM_LAN", `-m comment --comment "nothing else leaves"`, "-g LANSEAL-REFUSE") ||
			!has("filter", "REFUSE", "", "-g LANSEAL-REJECT") || !has("filter", "REJECT", "", "-j REJECT --reject-with "+map[int]string{4: "icmp-admin-prohibited", 6: "icmp6-adm-prohibited"}[f.number]) ||
			!has("filter", "OUTPUT", "-o lo ", "-j RETURN") {
			return false
		}
	}
	return true
}

// differs says what have lacks, and what it has too much.
func (want listing) differs(have listing) []string {
	var found []string
	for _, chain := range slices.Sorted(maps.Keys(want)) {
		got, ok := have[chain]
		if !ok {
			found = append(found, chain+": chain is missing")
			continue
		}
		if slices.Equal(want[chain], got) {
			continue
		}
		missing, foreign := without(want[chain], got), without(got, want[chain])
		for _, r := range missing {
			found = append(found, chain+": rule is missing: "+r)
		}
		for _, r := range foreign {
			found = append(found, chain+": foreign rule: "+r)
		}
		if len(missing)+len(foreign) == 0 {
			found = append(found, chain+": rules are in another order")
		}
	}
	for _, chain := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[chain]; !ok {
			found = append(found, chain+": foreign chain")
		}
	}
	return found
}

// without returns the elements of a beyond those of b, each as often as it is
// there too often.
func without(a, b []string) []string {
	count := map[string]int{}
	for _, s := range b {
		count[s]++
	}
	var left []string
	for _, s := range a {
		if count[s]--; count[s] < 0 {
			left = append(left, s)
		}
	}
	return left
}

// setsDiffer compares the sets' members.
func (t *IPTables) setsDiffer(ctx context.Context, s *state, fw *rules.Firewall, generation string) ([]string, error) {
	want := setMembers(rules.IPSets(fw, generation, t.options))
	var found []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !slices.Contains(s.sets, name) {
			found = append(found, "set "+name+": is missing")
			continue
		}
		text, err := t.run(ctx, "", t.ipset, "save", name)
		if err != nil {
			return nil, err
		}
		have := setMembers(text)[name]
		for _, m := range without(want[name], have) {
			found = append(found, "set "+name+": member is missing: "+m)
		}
		for _, m := range without(have, want[name]) {
			found = append(found, "set "+name+": foreign member: "+m)
		}
	}
	return found, nil
}

// setMembers reads the text of ipset save or restore.
func setMembers(text string) map[string][]string {
	sets := map[string][]string{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) >= 2 && words[0] == "create":
			sets[words[1]] = nil
		case len(words) >= 3 && words[0] == "add":
			m := strings.ToLower(words[2])
			if a, err := netip.ParseAddr(m); err == nil {
				m = a.String()
			}
			sets[words[1]] = append(sets[words[1]], m)
		}
	}
	for _, members := range sets {
		slices.Sort(members)
	}
	return sets
}

// Blocked implements [Firewall]. Packets are counted where they come in
// without a way, and where a rule refuses them.
func (t *IPTables) Blocked(ctx context.Context) (Blocked, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := Blocked{ByMAC: map[string]uint64{}}
	have, err := t.survey(ctx)
	if err != nil {
		return b, fmt.Errorf("reading the counters: %w", err)
	}
	var lanPackets, lanBytes uint64
	for _, ts := range have.families {
		for _, r := range ts.rules {
			if _, ours := generationOf(r.chain); !ours {
				continue
			}
			switch c := r.comment(); {
			case c == rules.IPTablesBlocked:
				b.Packets += r.packets
				b.Bytes += r.bytes
			case c == rules.IPTablesUnblocked:
				lanPackets += r.packets
				lanBytes += r.bytes
			case strings.HasPrefix(c, rules.IPTablesBlockedOf) && r.packets > 0:
				_, mac, _ := strings.Cut(r.text, "--mac-source ")
				mac, _, _ = strings.Cut(mac, " ")
				b.ByMAC[strings.ToLower(mac)] += r.packets
			}
		}
	}
	b.Packets -= min(b.Packets, lanPackets)
	b.Bytes -= min(b.Bytes, lanBytes)
	return b, nil
}
