package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/rules"
)

// asker is the world, as a test wants it.
type asker struct {
	mu     sync.Mutex
	asked  []string
	answer map[string]string // by device and family; none: silence
}

func (a *asker) ask(_ context.Context, device string, family int) (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := device + map[int]string{4: " 4", 6: " 6"}[family]
	a.asked = append(a.asked, key)
	if s := a.answer[key]; s != "" {
		return netip.MustParseAddr(s), nil
	}
	return netip.Addr{}, errors.New("nobody answered")
}

func (a *asker) questions() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

// The world is asked once for each exit, server and connection, and seldom
// after that; what is known of one is never told of another.
func TestOutlook(t *testing.T) {
	world := &asker{answer: map[string]string{"ls-se 4": "192.0.2.10", "ls-se 6": "2001:db8::10", "ls-us 4": "192.0.2.30"}}
	o := outlook{ask: world.ask}
	now := time.Now()
	se := vantage{exit: "se", device: "ls-se", endpoint: "192.0.2.10:51820", since: now, four: true, six: true}
	no := vantage{exit: "no", device: "ls-no", since: now, four: true}
	us := vantage{exit: "us", device: "ls-us", since: now, four: true, six: true}
	look := func(v vantage) (addresses []string, why string) {
		t.Helper()
		told := make(chan struct{}, 1)
		o.look(t.Context(), v, now, func() { told <- struct{}{} })
		o.mu.Lock()
		busy := o.busy
		o.mu.Unlock()
		if busy {
			<-told
		}
		if s := o.from(v); s != nil {
			return s.Addresses, s.Why
		}
		return nil, ""
	}
	step := func(v vantage, questions int, why string, want ...string) {
		t.Helper()
		before := world.questions()
		got, gotWhy := look(v)
		if n := world.questions() - before; n != questions || !slices.Equal(got, want) || gotWhy != why {
			t.Errorf("%d questions, %v %q; want %d, %v %q", n, got, gotWhy, questions, want, why)
		}
	}
	step(vantage{}, 0, "")
	step(se, 2, "", "192.0.2.10", "2001:db8::10")
	step(se, 0, "", "192.0.2.10", "2001:db8::10")
	now = now.Add(outlookEvery - time.Second)
	step(se, 0, "", "192.0.2.10", "2001:db8::10")
	now = now.Add(time.Second)
	step(se, 2, "", "192.0.2.10", "2001:db8::10")

	step(no, 0, "") // too soon, and nothing of the other exit's
	now = now.Add(outlookLeast)
	step(no, 1, "nobody answered")
	step(no, 0, "nobody answered")
	now = now.Add(outlookLeast)
	step(no, 0, "nobody answered") // nor is a failure asked about again and again
	step(us, 2, "", "192.0.2.30")  // one family of two is known

	moved := us
	moved.endpoint = "192.0.2.31:51820"
	if o.from(moved) != nil {
		t.Error("another server is shown with the address of the last")
	}
	now = now.Add(outlookLeast)
	step(moved, 2, "", "192.0.2.30")
	again := moved
	again.since = now
	now = now.Add(outlookLeast)
	step(again, 2, "", "192.0.2.30")
}

func TestVantage(t *testing.T) {
	a := &agent{planned: true}
	exit := func(name string, mark uint32, phase state.Phase) {
		a.st.Exits = append(a.st.Exits, state.Exit{Name: name, Phase: phase})
		all := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
		a.st.Policy.Exits = append(a.st.Policy.Exits, rules.Exit{Name: name, Device: "ls-" + name, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/32")}, Allowed: all})
		if phase == state.Up {
			a.want.Firewall.Exits = append(a.want.Firewall.Exits, rules.FirewallExit{Name: name, Mark: mark})
		}
	}
	if a.vantage() != (vantage{}) {
		t.Error("without a firewall there is an exit in use")
	}
	a.want.Firewall = &rules.Firewall{Default: rules.Way(3 << 24)}
	exit("a", 1<<24, state.Down)
	exit("b", 2<<24, state.Up)
	exit("c", 3<<24, state.Up)
	if v := a.vantage(); v.exit != "c" || v.device != "ls-c" || !v.four || v.six {
		t.Errorf("the default is c, in use is %+v", v)
	}
	a.want.Firewall.Default = rules.Way(rules.MarkDirect)
	if v := a.vantage(); v.exit != "b" {
		t.Errorf("without a default the first that is up is b, not %+v", v)
	}
	a.st.Cut = state.Cut{Since: time.Now(), Sealed: true}
	if v := a.vantage(); v.exit != "" {
		t.Errorf("nothing gets out, and %+v is in use", v)
	}
	a.st.Cut = state.Cut{}
	a.planned = false
	if v := a.vantage(); v.exit != "" {
		t.Errorf("a plan that is not in force says that %+v is in use", v)
	}
}
