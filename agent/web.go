package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lanseal/lanseal/agent/config"
	"github.com/lanseal/lanseal/agent/kernel"
	"github.com/lanseal/lanseal/agent/tunnel"
	"github.com/lanseal/lanseal/rules"
	"github.com/lanseal/lanseal/webui"
)

// webPort is where the page is, on the LAN's addresses.
const webPort = 8053

// countEvery is how old the counters may be that the page shows.
const countEvery = 4 * time.Second

// web is the agent as the web UI sees it. It lives beside the loop, and what
// it needs of the loop's it asks there.
type web struct {
	a       *agent
	ctx     context.Context // of the agent's run, once it serves
	server  *webui.Server
	places  chan []place // where to listen from now on; the newest counts
	outlook outlook
	cert    *certificate

	mu   sync.Mutex
	leak webui.LeakTest
}

// place is one address to listen on, on one device.
type place struct {
	device string
	at     netip.AddrPort
}

func newWeb(a *agent) *web {
	w := &web{a: a, places: make(chan []place, 1), leak: webui.LeakTest{State: "none", Probes: []webui.Probe{}, Leaks: []string{}}, outlook: outlook{ask: tunnel.Whoami}, cert: newCertificate(a.g.persist, a.log)}
	w.server = webui.New(webui.Options{
		Agent: webui.Agent{Observer: w, Config: webConfig{w}, TunnelFiles: webTunnels{w}, Prover: webProver{w}, Steward: w, Accounts: findAccounts(a.g)},
		Log:   a.log, Now: time.Now, Names: routerNames, HowTo: howToPassword(),
	})
	return w
}

// serve answers on the unix socket, and on the LAN where follow says.
func (w *web) serve(ctx context.Context, l net.Listener) {
	w.ctx = ctx
	go w.server.Run(ctx)
	go func() {
		if err := w.server.Socket(ctx, l); err != nil {
			w.a.log.Error("the socket failed", "error", err)
		}
	}()
	go w.listen(ctx)
}

func (w *web) poke() { w.server.Poke() }

// routerNames are the names that the router may be asked for by: a name that a
// stranger can register is none of them.
func routerNames() []string {
	names := []string{"lanseal", "lanseal.lan"}
	if h, err := os.Hostname(); err == nil && h != "" {
		h, _, _ = strings.Cut(strings.ToLower(h), ".")
		names = append(names, h, h+".lan", h+".local", h+".home.arpa", h+".internal")
	}
	return names
}

// follow works out where the page listens: on the LAN, never elsewhere.
func (w *web) follow(cfg *config.Config, p rules.Policy, f rules.Facts) {
	places := webPlaces(cfg, p, f)
	select {
	case <-w.places: // the one before was not taken
	default:
	}
	w.places <- places
}

// webPlaces are the LAN's addresses, or the one that the user names if it is
// the LAN's or the router's own loopback.
func webPlaces(cfg *config.Config, p rules.Policy, f rules.Facts) []place {
	port, only := uint16(webPort), netip.Addr{}
	if cfg != nil {
		if !cfg.WebUI {
			return nil
		}
		if cfg.WebUIListen.IsValid() {
			port, only = cfg.WebUIListen.Port(), cfg.WebUIListen.Addr()
		}
	}
	devices := slices.Clone(p.LAN)
	if only.IsLoopback() {
		devices = append(devices, "lo")
	}
	var out []place
	for _, d := range devices {
		for _, pr := range f.Links[d].Prefixes {
			a := pr.Addr()
			named := only.IsValid() && !only.IsUnspecified()
			if a.IsLinkLocalUnicast() || named && a != only {
				continue
			}
			out = append(out, place{d, netip.AddrPortFrom(a, port)})
		}
	}
	return out
}

// listen keeps the listeners equal to the places.
func (w *web) listen(ctx context.Context) {
	open, secure := map[place]func(){}, false
	ended := make(chan place)
	failed := map[place]string{}
	for {
		var want []place
		select {
		case <-ctx.Done():
			return
		case p := <-ended:
			delete(open, p)
			continue
		case want = <-w.places:
		}
		// A certificate that has come, or gone, counts for the listeners there are.
		was := secure
		secure = w.cert.wanted()
		for p, stop := range open {
			if !slices.Contains(want, p) || secure != was {
				stop()
				delete(open, p)
			}
		}
		if secure {
			if _, err := w.cert.get(nil); err != nil {
				continue // it has been said
			}
		}
		for _, p := range want {
			if open[p] != nil {
				continue
			}
			stop, err := w.open(ctx, p, secure, ended)
			if err != nil {
				if failed[p] != err.Error() {
					failed[p] = err.Error()
					w.a.log.Error("the web UI cannot listen", "address", p.at, "device", p.device, "error", err)
				}
				continue
			}
			delete(failed, p)
			open[p] = stop
		}
	}
}

// open listens until stop is called; a listener that fails by itself says so.
func (w *web) open(ctx context.Context, p place, secure bool, ended chan<- place) (stop func(), err error) {
	l, err := kernel.ListenOn(ctx, p.device, p.at)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w.a.log.Info("the web UI listens", "address", p.at, "device", p.device, "tls", secure)
	cert := w.cert.get
	if !secure {
		cert = nil
	}
	go func() {
		err := w.server.LAN(ctx, l, cert)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.a.log.Error("the web UI's listener failed", "address", p.at, "error", err)
		}
		select {
		case ended <- p:
		case <-ctx.Done():
		}
	}()
	return func() { cancel(); l.Close() }, nil
}

// Status asks the loop. A plan that is due is applied first if it is to be
// fresh, so that what is said is true of the kernel.
func (w *web) Status(ctx context.Context, look webui.Look) (webui.Status, error) {
	type answer struct {
		status webui.Status
		use    vantage
	}
	said, ok := askLoop(ctx, w.a, func() (d answer) {
		if look.Fresh {
			d.status = w.a.status(ctx)
		} else {
			w.a.count(ctx, countEvery)
			d.status = w.a.describe()
		}
		d.use = w.a.vantage()
		return d
	})
	if !ok {
		return webui.Status{}, webui.ErrBusy
	}
	if look.Person {
		w.outlook.look(w.ctx, said.use, time.Now(), w.poke)
	}
	return said.status, nil
}

// Events are the store's. The page draws states from them, so those are taken
// out of the text.
func (w *web) Events(after uint64, since time.Time) []webui.Event {
	all := w.a.store.Events(after, since)
	out := make([]webui.Event, len(all))
	for i, e := range all {
		out[i] = webui.Event{ID: e.ID, Time: e.Time, Kind: e.Kind, Exit: e.Exit, Text: e.Text}
		if _, after, found := strings.Cut(e.Text, " → "); found && e.Kind == "state" {
			out[i].State, _, _ = strings.Cut(after, ":")
		}
	}
	return out
}

// Reload reads the configuration again, and applies it.
func (w *web) Reload(ctx context.Context) error {
	if !w.a.onLoop(ctx, func() { w.a.load(w.ctx); w.a.turn(w.ctx) }) {
		return webui.ErrBusy
	}
	return nil
}

// TimeSynced is what a hotplug script saw.
func (w *web) TimeSynced(ctx context.Context) error {
	if !w.a.onLoop(ctx, w.a.timeSynced) {
		return webui.ErrBusy
	}
	return nil
}
