package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/rules"
	"github.com/lanseal/lanseal/webui"
)

// How often the world is asked how it sees the exit in use: once when the exit
// or its server has changed, and seldom after that. A server that comes and
// goes makes no more than a question in outlookLeast.
const (
	outlookEvery = 10 * time.Minute
	outlookLeast = 10 * time.Second
)

// vantage is what an answer is true of. Any difference makes it worthless: the
// address of another exit must never be shown as this one's.
type vantage struct {
	exit, device, endpoint string
	since                  time.Time // the exit is up
	four, six              bool      // the families it carries
}

// vantage is the exit that devices without a rule go by; where they go by
// none, the first that is up; else none.
func (a *agent) vantage() vantage {
	fw := a.want.Firewall
	if fw == nil || !a.planned {
		return vantage{}
	}
	found := vantage{}
	for i, x := range a.st.Exits {
		e := a.st.Policy.Exits[i]
		if a.st.Shown(x).Phase != state.Up { // nobody gets out while all are cut off
			continue
		}
		for _, f := range fw.Exits {
			isDefault := fw.Default == rules.Way(f.Mark)
			if f.Name == x.Name && (isDefault || found.exit == "") {
				found = vantage{x.Name, e.Device, x.Status.Endpoint, x.Since, e.Carries(4), f.V6}
			}
			if f.Name == x.Name && isDefault {
				return found
			}
		}
	}
	return found
}

// outlook asks how the world sees the exit in use: OpenDNS, by one question of
// DNS through the exit's own device, and only while somebody looks at the page.
type outlook struct {
	ask func(ctx context.Context, device string, family int) (netip.Addr, error)

	mu    sync.Mutex
	of    vantage
	asked time.Time
	busy  bool
	seen  *webui.SeenAs
}

// look asks if it is time to, and does not wait: news is called when there is
// an answer, or none.
func (o *outlook) look(ctx context.Context, v vantage, now time.Time, news func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	least := outlookLeast
	if o.of == v {
		least = outlookEvery
	}
	if v.exit == "" || o.busy || !o.asked.IsZero() && now.Sub(o.asked) < least {
		return
	}
	if o.of != v {
		o.of, o.seen = v, nil
	}
	o.asked, o.busy = now, true
	go func() {
		s := o.question(ctx, v)
		o.mu.Lock()
		o.seen, o.busy = s, false
		o.mu.Unlock()
		news()
	}()
}

// from is what is known of a vantage; nil: nothing yet.
func (o *outlook) from(v vantage) *webui.SeenAs {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of != v || v.exit == "" {
		return nil
	}
	return o.seen
}

// question asks for the families that the exit carries, side by side.
func (o *outlook) question(ctx context.Context, v vantage) *webui.SeenAs {
	var families []int
	if v.four {
		families = append(families, 4)
	}
	if v.six {
		families = append(families, 6)
	}
	found, errs := make([]netip.Addr, len(families)), make([]error, len(families))
	var asking sync.WaitGroup
	for i, family := range families {
		asking.Go(func() { found[i], errs[i] = o.ask(ctx, v.device, family) })
	}
	asking.Wait()
	s := &webui.SeenAs{Addresses: []string{}, Time: time.Now().UTC()}
	for i := range families {
		if errs[i] == nil {
			s.Addresses = append(s.Addresses, found[i].String())
		} else if s.Why == "" {
			s.Why = errs[i].Error()
		}
	}
	if len(s.Addresses) > 0 {
		s.Why = ""
	}
	return s
}
