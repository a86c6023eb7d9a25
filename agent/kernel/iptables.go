package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-iptables/iptables"

	"github.com/lanseal/lanseal/rules"
)

const (
	// xtablesWait is how long, in seconds, a call waits for another program
	// that holds the lock of iptables.
	xtablesWait = 10
	// tidyTime is what taking back a half-built generation may take, also
	// when the caller's own time is over.
	tidyTime = 20 * time.Second
)

// Generations of chains. More than two are needed only where crashes left
// several behind. The scratch one is never referred to.
const (
	generations = "ABCDEF"
	scratch     = "R"
)

// IPTables holds the firewall lock by iptables and ip6tables, for systems
// without nft.
//
// iptables cannot replace several tables at once. So every Apply builds a new
// generation of chains beside the one in force, refers to it at the head of
// the builtin chains, and only then takes the old one out: a packet between
// any two calls meets the old chains, or both, or the new ones. While it meets
// both it passes only if both let it, under the marks of one of them.
type IPTables struct {
	mu       sync.Mutex
	nft      bool // iptables is a shell over nf_tables
	families []*iptFamily
	ipset    string // path; empty: there is none
	probed   bool
	options  rules.IPTablesOptions
	noNAT6   bool // IPv6 cannot be translated here: no exit carries it
	known    reference
	hung     time.Time               // when another lanseal was last waited for in vain
	call     func(what string) error // tests: asked before every call that changes or reads the kernel
}

// iptFamily is the tools of one family.
type iptFamily struct {
	number        int // 4 or 6
	jumps         *iptables.IPTables
	restore, save string
}

// NewIPTables finds the tools in PATH: variant "" is whatever "iptables" is,
// "nft" and "legacy" name one of the two that may be installed side by side.
func NewIPTables(variant string) (*IPTables, error) {
	if !slices.Contains([]string{"", "nft", "legacy"}, variant) {
		return nil, fmt.Errorf("iptables: no variant %q", variant)
	}
	t := &IPTables{}
	for _, f := range []struct {
		number int
		name   string
		proto  iptables.Protocol
	}{{4, "iptables", iptables.ProtocolIPv4}, {6, "ip6tables", iptables.ProtocolIPv6}} {
		if _, err := os.Stat("/proc/sys/net/ipv6"); f.number == 6 && errors.Is(err, os.ErrNotExist) {
			continue // a kernel without IPv6 forwards none
		}
		name := f.name
		if variant != "" {
			name += "-" + variant
		}
		fam := &iptFamily{number: f.number}
		var err error
		if fam.jumps, err = iptables.New(iptables.Path(name), iptables.IPFamily(f.proto), iptables.Timeout(xtablesWait)); err != nil {
			return nil, fmt.Errorf("finding %s: %w", name, err)
		}
		if fam.restore, err = exec.LookPath(name + "-restore"); err != nil {
			return nil, fmt.Errorf("finding iptables: %w", err)
		}
		if fam.save, err = exec.LookPath(name + "-save"); err != nil {
			return nil, fmt.Errorf("finding iptables: %w", err)
		}
		if f.number == 4 {
			version, err := exec.Command(name, "--version").Output()
			if err != nil {
				return nil, fmt.Errorf("asking %s for its version: %w", name, err)
			}
			t.nft = bytes.Contains(version, []byte("nf_tables"))
		}
		t.families = append(t.families, fam)
	}
	t.ipset, _ = exec.LookPath("ipset") // without it there is one rule a device
	return t, nil
}

// run executes a tool with input and returns what it prints.
func (t *IPTables) run(ctx context.Context, input, path string, args ...string) (string, error) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	if err := t.asked(name); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second
	cmd.Stdin = strings.NewReader(input)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		if text := strings.Join(strings.Fields(stderr.String()), " "); text != "" {
			return "", fmt.Errorf("%s: %s: %w", name, text, err)
		}
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return out.String(), nil
}

func (t *IPTables) asked(what string) error {
	if t.call == nil {
		return nil
	}
	return t.call(what)
}

// load feeds text to iptables-restore: each table of it at once or not at all.
func (t *IPTables) load(ctx context.Context, f *iptFamily, text string) error {
	if text == "" {
		return nil
	}
	_, err := t.run(ctx, text, f.restore, "--noflush", "-w", fmt.Sprint(xtablesWait))
	return err
}

// probe finds out, once, what kernel and tools offer. OpenWrt has table raw,
// IPv6 NAT and sets in packages of their own.
func (t *IPTables) probe(ctx context.Context) error {
	if t.probed {
		return nil
	}
	defer t.alone(ctx)()
	for _, f := range t.families {
		for _, table := range []string{"filter", "mangle", "raw", "nat"} {
			has, err := t.hasTable(f, table)
			switch {
			case err != nil:
				return fmt.Errorf("probing iptables: IPv%d: %w", f.number, err)
			case !has && table == "raw":
				t.options.NoRaw = true
			case !has && table == "nat" && f.number == 6:
				t.noNAT6 = true
			case !has:
				return fmt.Errorf("probing iptables: IPv%d: the kernel has no table %s", f.number, table)
			}
		}
	}
	if t.ipset != "" {
		t.options.IPSets = t.hasSet(ctx, "hash:ip")
		t.options.MACSets = t.hasSet(ctx, "hash:mac")
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("probing iptables: %w", err)
	}
	t.probed = true
	return nil
}

func (t *IPTables) hasTable(f *iptFamily, table string) (bool, error) {
	if err := t.asked("iptables -S"); err != nil {
		return false, err
	}
	_, err := f.jumps.ListChains(table)
	if failed := (*iptables.Error)(nil); errors.As(err, &failed) && failed.IsNotExist() {
		return false, nil
	}
	return err == nil, err
}

// hasSet tries a type of set, and the match on it, in chains that nothing
// refers to.
func (t *IPTables) hasSet(ctx context.Context, typ string) bool {
	const set, chain = "lanseal-probe-set-R", "LANSEAL-PROBE-R"
	if _, err := t.run(ctx, fmt.Sprintf("create %s %s\n", set, typ), t.ipset, "restore", "-exist"); err != nil {
		return false
	}
	ok := true
	for _, f := range t.families {
		if f.number == 6 && typ == "hash:ip" {
			continue // the kernel's module is the same
		}
		head, tail := "*filter\n:"+chain+" - [0:0]\n", "COMMIT\n"
		err := t.load(ctx, f, head+"-A "+chain+" -m set --match-set "+set+" src\n"+tail)
		ok = ok && err == nil
		_ = t.load(ctx, f, head+"-F "+chain+"\n-X "+chain+"\n"+tail) // remains are swept by Apply
	}
	t.destroy(ctx, []string{set})
	return ok
}

// fit returns fw as this machine can hold it: without IPv6 NAT no exit
// carries IPv6, and it is refused instead.
func (t *IPTables) fit(fw *rules.Firewall) *rules.Firewall {
	if fw == nil || !t.noNAT6 {
		return fw
	}
	c := *fw
	c.Exits = slices.Clone(fw.Exits)
	for i := range c.Exits {
		c.Exits[i].V6, c.Exits[i].Resolver6 = false, netip.Addr{}
	}
	return &c
}

// text prints the chains of a generation for a family.
func (t *IPTables) text(fw *rules.Firewall, f *iptFamily, generation string) string {
	text := rules.IPTables(fw, f.number, generation, t.options)
	if f.number == 6 && t.noNAT6 {
		text, _, _ = strings.Cut(text, "*nat\n") // the last table
	}
	return text
}

// jumps lists the jumps a generation has in a family on this machine.
func (t *IPTables) jumps(f *iptFamily, generation string) []rules.Jump {
	return slices.DeleteFunc(rules.IPTablesJumps(generation), func(j rules.Jump) bool {
		return j.Table == "raw" && t.options.NoRaw || j.Table == "nat" && f.number == 6 && t.noNAT6
	})
}

// fill loads the chains and sets of a generation that nothing refers to yet.
func (t *IPTables) fill(ctx context.Context, fw *rules.Firewall, generation string) error {
	if sets := rules.IPSets(fw, generation, t.options); sets != "" {
		if _, err := t.run(ctx, sets, t.ipset, "restore", "-exist"); err != nil {
			return err
		}
	}
	for _, f := range t.families {
		if err := t.load(ctx, f, t.text(fw, f, generation)); err != nil {
			return err
		}
	}
	return nil
}

// Apply implements [Firewall].
func (t *IPTables) Apply(ctx context.Context, fw *rules.Firewall) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.probe(ctx); err != nil {
		return err
	}
	defer t.alone(ctx)()
	have, err := t.survey(ctx)
	if err != nil {
		return fmt.Errorf("reading the firewall: %w", err)
	}
	if fw == nil {
		if err := t.remove(ctx, have, have.generations()); err != nil {
			return fmt.Errorf("removing the firewall lock: %w", err)
		}
		return nil
	}
	fw = t.fit(fw)
	old := have.generations()
	i := strings.IndexFunc(generations, func(g rune) bool { return !slices.Contains(old, string(g)) })
	if i < 0 {
		return errors.New("iptables: the remains of earlier generations cannot be removed")
	}
	generation := generations[i : i+1]
	if err := t.fill(ctx, fw, generation); err != nil {
		return errors.Join(fmt.Errorf("loading the firewall: %w", err), t.takeBack(generation))
	}
	built, err := t.survey(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("reading the firewall back: %w", err), t.takeBack(generation))
	}
	t.known = reference{t.key(fw), built.listing(generation)}
	for n := range rules.IPTablesJumps(generation) {
		for _, f := range t.families {
			j := rules.IPTablesJumps(generation)[n]
			if !slices.Contains(t.jumps(f, generation), j) {
				continue
			}
			if err := t.insert(ctx, f, j); err != nil {
				err = fmt.Errorf("putting the firewall in force: %w", err)
				// Half a lock stays unless a whole one is there.
				if slices.ContainsFunc(old, func(g string) bool { return t.complete(have, g) }) {
					err = errors.Join(err, t.takeBack(generation))
				}
				return err
			}
		}
	}
	if err := t.remove(ctx, built, old); err != nil {
		return fmt.Errorf("removing the firewall before: %w", err)
	}
	return nil
}

func (t *IPTables) insert(ctx context.Context, f *iptFamily, j rules.Jump) error {
	if err := errors.Join(ctx.Err(), t.asked("iptables -I")); err != nil {
		return err
	}
	return f.jumps.Insert(j.Table, j.Chain, 1, "-m", "comment", "--comment", rules.IPTablesJumpComment, "-j", j.Target)
}

// takeBack removes a half-built generation.
func (t *IPTables) takeBack(generation string) error {
	ctx, cancel := context.WithTimeout(context.Background(), tidyTime)
	defer cancel()
	have, err := t.survey(ctx)
	if err != nil {
		return fmt.Errorf("taking back: %w", err)
	}
	if err := t.remove(ctx, have, []string{generation}); err != nil {
		return fmt.Errorf("taking back: %w", err)
	}
	return nil
}

// remove takes out jumps, chains and sets of the generations: one call for a
// family, one for the sets. Marks go first and verdicts last, so that no
// packet is judged by other chains than those it was marked for.
func (t *IPTables) remove(ctx context.Context, have *state, gone []string) error {
	for _, f := range t.families {
		if err := t.load(ctx, f, have.removal(f.number, gone)); err != nil {
			return err
		}
	}
	var sets []string
	for _, s := range have.sets {
		if g, ok := generationOf(s); ok && slices.Contains(gone, g) {
			sets = append(sets, s)
		}
	}
	t.destroy(ctx, sets)
	return nil
}

// destroy removes sets, in one call if it can. nf_tables lets go of a set a
// moment after the rule that used it, so those that stay are tried again; a
// set that stays for good harms nothing and is swept by a later Apply.
func (t *IPTables) destroy(ctx context.Context, sets []string) {
	if len(sets) == 0 {
		return
	}
	all := "destroy " + strings.Join(sets, "\ndestroy ") + "\n"
	if _, err := t.run(ctx, all, t.ipset, "restore"); err == nil {
		return
	}
	for range 5 {
		sets = slices.DeleteFunc(sets, func(s string) bool {
			_, err := t.run(ctx, "", t.ipset, "destroy", s)
			return err == nil || strings.Contains(err.Error(), "does not exist")
		})
		if len(sets) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
