package state_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/state"
)

// runs is how many worlds each promise is kept in.
const runs = 25

// lived is a world that has come up and carried traffic for some seconds.
func lived(seed uint64, names ...string) *world {
	w := newWorld(seed, names...)
	for _, s := range w.servers {
		s.rtt = time.Duration(5+w.rng.IntN(80)) * time.Millisecond
		s.jitter = 0.2
	}
	w.run(20*time.Second + time.Duration(w.rng.IntN(5000))*time.Millisecond)
	return w
}

func fail(t *testing.T, w *world, seed uint64, format string, args ...any) {
	t.Helper()
	t.Errorf("seed %d, after %v: "+format+"\n%s\n%v", append(append([]any{seed, w.now}, args...), strings.Join(w.story, "\n"), w.carriers)...)
}

// A server that dies in silence under traffic is left within a second, and
// nobody goes back for a minute after its return.
func TestDeathUnderTraffic(t *testing.T) {
	var took []time.Duration
	for seed := range uint64(runs) {
		w := lived(seed, "se", "no")
		at := w.now
		w.servers["se"].alive = false
		w.run(10 * time.Second)
		c := w.since(at)
		if len(c) != 1 || c[0].exit != "no" || c[0].at-at > 1200*time.Millisecond {
			fail(t, w, seed, "the carriers were %v", c)
			continue
		}
		took = append(took, c[0].at-at)
		w.servers["se"].alive = true
		back := w.now
		w.run(3 * time.Minute)
		c = w.since(back)
		if len(c) != 1 || c[0].exit != "se" || c[0].at-back < 60*time.Second || c[0].at-back > 100*time.Second {
			fail(t, w, seed, "after the return at %v the carriers were %v", back, c)
		}
	}
	slices.Sort(took)
	if len(took) > 0 {
		t.Logf("median %v, longest %v", took[len(took)/2], took[len(took)-1])
	}
}

// With one exit the LAN is sealed as soon, and carried again within a second of
// the server's return, whether it kept its sessions or not.
func TestOnlyExit(t *testing.T) {
	for seed := range uint64(runs) {
		w := lived(seed, "se")
		at, s := w.now, w.servers["se"]
		s.alive = false
		w.run(time.Duration(2000+w.rng.IntN(300_000)) * time.Millisecond)
		if c := w.since(at); len(c) != 1 || c[0].exit != "" || c[0].at-at > 1200*time.Millisecond {
			fail(t, w, seed, "the carriers were %v", c)
		}
		s.alive, s.forgot = true, w.rng.IntN(2) == 0
		back := w.now
		w.run(10 * time.Second)
		most := time.Second
		if rest := (back - at) % state.LongWay; rest > state.LongWay-4*time.Second || rest < time.Second {
			most += state.LongAnswer // the pause for a way that has become a long one
		}
		if c := w.since(back); len(c) != 1 || c[0].exit != "se" || c[0].at-back > most {
			fail(t, w, seed, "after the return at %v the carriers were %v", back, c)
		}
	}
}

// A quiet exit is asked at most once in 5 s, nothing wakes more than twice a
// second, and its death is noticed within 10 s.
func TestQuiet(t *testing.T) {
	for seed := range uint64(runs) {
		w := lived(seed, "se", "no")
		w.rate = 0
		w.run(10 * time.Second)
		from, ticks := w.now, w.ticks
		w.run(5 * time.Minute)
		if n := w.ticks - ticks; n > 5*60 {
			fail(t, w, seed, "%d ticks in five minutes", n)
		}
		for n, all := range w.probes {
			last := time.Duration(0)
			for _, at := range all {
				if at > from && last > from && at-last < 5*time.Second {
					fail(t, w, seed, "%s was asked %v after %v", n, at, last)
				}
				last = at
			}
		}
		w.servers["se"].alive = false
		at := w.now
		w.run(20 * time.Second)
		if c := w.since(at); len(c) != 1 || c[0].exit != "no" || c[0].at-at > 10*time.Second {
			fail(t, w, seed, "the carriers were %v", c)
		}
	}
}

// An outage of the ISP, with the cable out or the cable in, switches nothing,
// is one entry, and is over within two seconds of the return.
func TestOutage(t *testing.T) {
	for seed := range uint64(runs) {
		w := lived(seed, "se", "no", "us")
		w.rate = []int{0, 200}[w.rng.IntN(2)]
		cable := w.rng.IntN(2) == 0
		at, notes := w.now, w.notes
		if cable {
			w.pull(false)
		} else {
			w.isp = false
		}
		w.run(time.Duration(15+w.rng.IntN(300)*w.rng.IntN(5)) * time.Second)
		for _, c := range w.since(at) {
			if c.exit != "" {
				fail(t, w, seed, "carried by %s during the outage", c.exit)
			}
		}
		for _, s := range w.servers {
			s.forgot = s.forgot || w.rng.IntN(2) == 0
		}
		back, down := w.now, w.now-at
		w.isp = true
		if cable {
			w.pull(true)
		}
		w.run(30 * time.Second)
		c := w.since(back)
		most := 2 * time.Second
		if rest := down % state.LongWay; rest > state.LongWay-3*time.Second || rest < 3*time.Second {
			most += 500 * time.Millisecond // the pause for a way that has become a long one
		}
		if len(c) != 1 || c[0].exit != "se" || c[0].at-back > most {
			fail(t, w, seed, "cable %v: after the return at %v the carriers were %v", cable, back, c)
		}
		if w.notes-notes > 1 {
			fail(t, w, seed, "%d entries", w.notes-notes)
		}
	}
}

// A short pause of the uplink changes nothing at all.
func TestBlink(t *testing.T) {
	for seed := range uint64(runs) {
		w := lived(seed, "se", "no")
		at, notes := w.now, w.notes
		w.pull(false)
		w.run(time.Duration(50+w.rng.IntN(2500)) * time.Millisecond)
		w.pull(true)
		w.run(time.Minute)
		if c := w.since(at); len(c) != 0 || w.notes != notes {
			fail(t, w, seed, "the carriers were %v", c)
		}
	}
}

// A satellite's second of delay is not death, nor is a way that loses a fifth
// of its packets once that is known, nor a provider that answers no probes.
func TestDifficultWays(t *testing.T) {
	for name, make := range map[string]func(*server){
		"satellite": func(s *server) { s.rtt, s.jitter = 600*time.Millisecond, 0.5 },
		"lossy":     func(s *server) { s.loss = 0.1 },
		"dumb":      func(s *server) { s.dumb = true },
	} {
		t.Run(name, func(t *testing.T) {
			wrong := 0
			for seed := range uint64(runs) {
				w := newWorld(seed, "se", "no")
				make(w.servers["se"])
				w.run(time.Minute)
				at := w.now
				for range 20 {
					w.rate = []int{0, 200}[w.rng.IntN(2)]
					w.run(time.Duration(w.rng.IntN(30)) * time.Second)
				}
				if c := w.since(at); len(c) != 0 {
					wrong++
					if wrong == 2 {
						fail(t, w, seed, "the carriers were %v", c)
					}
				}
				// And all the same a death is noticed.
				w.rate = 200
				w.run(70 * time.Second)
				at = w.now
				w.servers["se"].alive = false
				w.run(20 * time.Second)
				if c := w.since(at); w.carrier() != "no" || len(c) == 0 || c[0].at-at > 15*time.Second {
					fail(t, w, seed, "a death was not noticed: %v", c)
				}
			}
		})
	}
}

// A server that comes and goes moves devices at most twice a minute, whatever
// it does.
func TestFlapping(t *testing.T) {
	for seed := range uint64(runs) {
		w := lived(seed, "se", "no")
		at := w.now
		for range 100 {
			w.servers["se"].alive = w.rng.IntN(2) == 0
			w.servers["se"].forgot = !w.servers["se"].alive
			w.run(time.Duration(w.rng.IntN(10_000)) * time.Millisecond)
		}
		minutes := int((w.now - at) / time.Minute)
		if c := w.since(at); len(c) > 2*minutes+2 {
			fail(t, w, seed, "%d changes in %d minutes: %v", len(c), minutes, c)
		}
	}
}
