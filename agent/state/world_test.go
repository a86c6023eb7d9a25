package state_test

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/rules"
)

// world plays servers, the ISP and a LAN against the state machine, in
// simulated time: what it asks for is done, and answered as the way allows.
type world struct {
	rng     *rand.Rand
	now     time.Duration
	st      state.State
	servers map[string]*server
	cable   bool // the uplink's carrier
	isp     bool // what is behind it
	rate    int  // bytes that the LAN sends in a step
	queue   []due
	next    time.Duration // tick
	sent    time.Duration // the LAN's last step

	ticks, notes int
	probes       map[string][]time.Duration
	carriers     []change
	story        []string
}

type server struct {
	alive   bool
	rtt     time.Duration
	jitter  float64 // of the round trip
	loss    float64 // of each direction
	dumb    bool    // answers no probes
	forgot  bool    // a restart: the session is gone
	session time.Time
	rx, tx  uint64 // the device
	peerRx  uint64
}

type due struct {
	at time.Duration
	do func()
}

type change struct {
	at   time.Duration
	exit string // "" none
}

const worldStep = 25 * time.Millisecond

func newWorld(seed uint64, names ...string) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 11)), servers: map[string]*server{}, cable: true, isp: true, rate: 200,
		probes: map[string][]time.Duration{}}
	p := rules.Policy{Enabled: true, KillSwitch: true, LAN: []string{"br-lan"}, Via: names}
	var types []string
	for i, n := range names {
		p.Exits = append(p.Exits, rules.Exit{Name: n, Number: i + 1, Enabled: true, Device: "ls-" + n})
		types = append(types, "wireguard")
		w.servers[n] = &server{alive: true, rtt: 20 * time.Millisecond}
	}
	w.step(state.Configured{Policy: p, Types: types})
	for _, n := range names {
		w.after(0, func() { w.handshake(n) })
	}
	return w
}

func (w *world) time() time.Time { return epoch.Add(w.now) }

func (w *world) after(d time.Duration, do func()) {
	w.queue = append(w.queue, due{w.now + d, do})
}

// passes says whether a packet gets through one way.
func (w *world) passes(s *server) bool {
	return w.cable && w.isp && s.alive && w.rng.Float64() >= s.loss
}

func (w *world) trip(s *server) time.Duration {
	return time.Duration(float64(s.rtt) * (1 + s.jitter*w.rng.Float64()))
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := w.now + d; ; {
		at := min(w.next, w.sent+worldStep)
		i := -1
		for j, q := range w.queue {
			if q.at < at {
				i, at = j, q.at
			}
		}
		if at > end {
			w.now = end
			return
		}
		w.now = max(w.now, at)
		switch {
		case i >= 0:
			do := w.queue[i].do
			w.queue = slices.Delete(w.queue, i, i+1)
			do()
		case at == w.next:
			w.ticks++
			t := state.Tick{Traffic: map[string]state.Traffic{}}
			for n, s := range w.servers {
				t.Traffic[n] = state.Traffic{Rx: s.rx, Tx: s.tx}
			}
			w.next = w.now + time.Hour
			w.step(t)
		default:
			w.sent = w.now
			w.lan()
		}
	}
}

// lan sends a packet by the exit that carries it, and hears the echo.
func (w *world) lan() {
	n := w.carrier()
	if n == "" || w.rate == 0 {
		return
	}
	s := w.servers[n]
	w.rekey(s)
	s.tx += uint64(w.rate)
	if !s.session.IsZero() && !s.forgot && w.passes(s) {
		w.after(w.trip(s), func() {
			if w.passes(s) {
				s.rx, s.peerRx = s.rx+uint64(w.rate), s.peerRx+uint64(w.rate)
			}
		})
	}
}

// carrier is the exit that devices without a rule have.
func (w *world) carrier() string {
	up, fresh, best := w.st.Up(), w.st.Fresh(), ""
	for _, n := range w.st.Policy.Via {
		if up[n] && (best == "" || fresh[n] < fresh[best]) {
			best = n
		}
	}
	return best
}

func (w *world) handshake(n string) {
	s := w.servers[n]
	s.session = time.Time{}
	if !w.passes(s) {
		return
	}
	w.after(w.trip(s), func() {
		if w.passes(s) {
			s.forgot, s.session = false, w.time()
			s.peerRx += 92
		}
	})
}

// rekey is what the protocol does by itself when something is sent in a session
// of two minutes.
func (w *world) rekey(s *server) {
	if w.time().Sub(s.session) > 2*time.Minute && !s.session.IsZero() && w.passes(s) && w.passes(s) {
		s.session, s.forgot = w.time(), false
	}
}

func (w *world) report(n string) {
	s := w.servers[n]
	w.step(state.Reported{Exit: n, Status: state.Status{Exists: true, Handshake: s.session, Rx: s.peerRx, Tx: s.tx}})
}

func (w *world) probe(f state.Effect) {
	s := w.servers[f.Exit]
	w.probes[f.Exit] = append(w.probes[f.Exit], w.now)
	w.rekey(s)
	s.tx += 60
	trip, heard := w.trip(s), !s.dumb && !s.session.IsZero() && !s.forgot && w.passes(s)
	if !heard || trip > f.Within {
		w.after(f.Within, func() { w.step(state.Probed{Exit: f.Exit}) })
	}
	if heard {
		w.after(trip, func() {
			if w.passes(s) {
				s.rx, s.peerRx = s.rx+60, s.peerRx+60
				w.step(state.Probed{Exit: f.Exit, RTT: trip})
			} else if trip <= f.Within {
				w.after(f.Within-trip, func() { w.step(state.Probed{Exit: f.Exit}) })
			}
		})
	}
}

// step feeds the machine and does what it asks for.
func (w *world) step(e state.Event) {
	var fx []state.Effect
	w.st, fx = state.Step(w.st, e, w.time())
	for _, f := range fx {
		switch f.Kind {
		case state.Note:
			w.notes++
			w.story = append(w.story, w.now.String()+" "+f.Text)
		case state.Log:
			w.story = append(w.story, w.now.String()+" (log) "+f.Text)
		case state.Probe:
			w.probe(f)
		case state.Renew, state.Next:
			w.handshake(f.Exit)
		case state.Kick:
			if w.servers[f.Exit].session.IsZero() {
				w.handshake(f.Exit)
			}
		case state.Look:
			w.after(time.Millisecond, func() { w.report(f.Exit) })
		}
	}
	if at := w.now + w.st.Pace(w.time()); at < w.next || w.next == 0 {
		w.next = at
	}
	if c := w.carrier(); len(w.carriers) == 0 || w.carriers[len(w.carriers)-1].exit != c {
		w.carriers = append(w.carriers, change{w.now, c})
	}
}

// pull takes the uplink's cable out or puts it back.
func (w *world) pull(in bool) {
	w.cable = in
	w.step(state.Uplink{Linked: in})
}

// since are the changes of carrier after a moment.
func (w *world) since(at time.Duration) (c []change) {
	for _, x := range w.carriers {
		if x.at > at {
			c = append(c, x)
		}
	}
	return c
}
