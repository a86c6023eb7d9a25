package kernel

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanseal/lanseal/rules"
)

// fakeNFT puts a program named nft in front of PATH, which notes what it is
// given and answers by the shell lines; "$*" are its arguments and $in what it
// reads.
func fakeNFT(t *testing.T, answer string) (noted func() string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\nin=$(cat)\nprintf '%s\\n%s\\n' \"$*\" \"$in\" >>" + dir + "/noted\n" + answer + "\n"
	if err := os.WriteFile(filepath.Join(dir, "nft"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() string {
		b, _ := os.ReadFile(dir + "/noted")
		_ = os.Remove(dir + "/noted")
		return string(b)
	}
}

const netHead = "table netdev lanseal {\n\tchain uplinks"

// A kernel without the egress hook loses nothing but the third net: the lock
// is loaded, and nothing is missing.
func TestThirdNetIsNoReasonToFail(t *testing.T) {
	noted := fakeNFT(t, `case $in in *"hook egress"*) echo "Error: Could not process rule: Operation not supported" >&2; exit 1;; esac`)
	n := newNFT()
	fw := &rules.Firewall{LAN: []string{"br-lan"}, Net: []string{"wan"}}
	if err := n.Apply(context.Background(), fw); err != nil {
		t.Fatal(err)
	}
	if got := noted(); !strings.Contains(got, "table inet lanseal {") || strings.Contains(got, `devices = { "wan" }`) {
		t.Errorf("given to nft:\n%s", got)
	}
	if diffs, err := n.netDiffers(context.Background(), fw); err != nil || len(diffs) > 0 {
		t.Errorf("a net that cannot be is missed: %v %v", diffs, err)
	}
}

// A net that cannot be loaded is missed a few times, and then no more: it is
// not worth a repair every half minute, for ever.
func TestThirdNetGivesUp(t *testing.T) {
	fakeNFT(t, `case "$* $in" in *'"wan"'*"hook egress"*|*"hook egress"*'"wan"'*) exit 1;; "-s list table netdev"*) echo "Error: No such file or directory" >&2; exit 1;; esac`)
	n := newNFT()
	fw := &rules.Firewall{LAN: []string{"br-lan"}, Net: []string{"wan"}}
	ctx := context.Background()
	for i := range mostNetFailures {
		if err := n.Apply(ctx, fw); err != nil {
			t.Fatal(err)
		}
		diffs, err := n.netDiffers(ctx, fw)
		if missed := len(diffs) > 0; err != nil || missed != (i < mostNetFailures-1) {
			t.Errorf("after %d failures: %v %v", i+1, diffs, err)
		}
	}
}

// Flows in a flowtable bear no mark, so there is no third net beside one; one
// that appears later takes it away.
func TestThirdNetYieldsToFlowtables(t *testing.T) {
	tables := filepath.Join(t.TempDir(), "tables")
	noted := fakeNFT(t, `case "$*" in
"list flowtables") cat `+tables+` 2>/dev/null;;
"-s list table netdev lanseal") printf 'table netdev lanseal {\n}\n';;
esac
true`)
	n := newNFT()
	ctx := context.Background()
	fw := &rules.Firewall{LAN: []string{"br-lan"}, Net: []string{"wan"}}
	if err := n.Apply(ctx, fw); err != nil {
		t.Fatal(err)
	}
	if got := noted(); !strings.Contains(got, netHead) {
		t.Fatalf("no net where there is no flowtable:\n%s", got)
	}
	if err := os.WriteFile(tables, []byte("table inet fw4 {\n\tflowtable ft {\n\t}\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	diffs, err := n.netDiffers(ctx, fw)
	if err != nil || len(diffs) != 1 || !strings.Contains(diffs[0], "should not be") {
		t.Errorf("a net beside a flowtable: %v %v", diffs, err)
	}
	noted()
	if err := n.Apply(ctx, fw); err != nil {
		t.Fatal(err)
	}
	if got := noted(); strings.Contains(got, `devices = { "wan" }`) || !strings.Contains(got, "delete table netdev lanseal") {
		t.Errorf("the net is not taken away:\n%s", got)
	}
}

// An uplink that carries another device is left out; the other backend's tidying
// finds the net.
func TestThirdNetOfTheKernel(t *testing.T) {
	w := newWalkLab(t)
	ctx := context.Background()
	facts := func() rules.Facts {
		s, err := w.k.Observe()
		w.must(err)
		return s.Facts
	}
	p := rules.Policy{Enabled: true, KillSwitch: true, LAN: []string{"br-lan"}, WAN: []string{"wan"}, Via: []string{rules.ViaBlock}}
	plan := rules.Compile(p, facts())
	w.goTo(plan, nil, nil)
	if w.try("nft", "list", "table", "netdev", rules.NFTable) == "" {
		t.Fatal("no third net")
	}
	w.run("ip", "link", "set", "wan", "name", "wan0")
	moved := p
	moved.WAN = []string{"wan0"}
	w.goTo(rules.Compile(moved, facts()), plan.Firewall, nil)
	if got := w.run("nft", "list", "table", "netdev", rules.NFTable); !strings.Contains(got, `"wan0"`) || strings.Contains(got, `"wan"`) {
		t.Errorf("the uplink has another name, and the net holds:\n%s", got)
	}
	w.run("ip", "link", "set", "wan0", "name", "wan")
	w.run("nft", "delete", "table", "inet", rules.NFTable)
	if other := newNFT(); !other.has(ctx) {
		t.Error("the net alone is not found")
	}
	w.run("ip", "link", "add", "link", "wan", "name", "onwan", "type", "macvlan")
	if f := facts(); !f.Links["wan"].Carries || f.Links["br-lan"].Carries || len(rules.Compile(p, f).Firewall.Net) > 0 {
		t.Errorf("an uplink with a device on it: %+v", f.Links)
	}
	w.goTo(rules.Plan{}, nil, nil)
	if left := w.held(); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}
