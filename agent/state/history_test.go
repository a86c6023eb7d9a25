package state_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/state"
	"github.com/lanseal/lanseal/rules"
)

// policy of the histories; words switch parts of it.
func policy(words ...string) state.Configured {
	has := func(w string) bool { return slices.Contains(words, w) }
	p := rules.Policy{
		Enabled: !has("disabled"), KillSwitch: !has("killswitch-off"), LAN: []string{"br-lan"}, Via: []string{"se", "no"},
		Exits: []rules.Exit{
			{Name: "se", Number: 1, Enabled: true, Device: "ls-se"},
			{Name: "no", Number: 2, Enabled: true, Device: "ls-no"},
		},
	}
	types := []string{"wireguard", "wireguard"}
	if has("one") {
		p.Via, p.Exits, types = p.Via[:1], p.Exits[:1], types[:1]
	}
	if has("foreign") {
		p.Exits[0].Device, p.Exits[0].Foreign, types[0] = "tun9", true, "device"
	}
	if has("no-off") {
		p.Exits[1].Enabled = false
	}
	if has("direct") {
		p.Via = []string{rules.ViaDirect}
	}
	if has("block") {
		p.Via = []string{rules.ViaBlock}
	}
	if has("tv-no") {
		p.Devices = []rules.Device{{Name: "tv", Via: []string{"no"}}}
		if !has("direct") && !has("block") {
			p.Via = []string{"se"}
		}
	}
	c := state.Configured{Policy: p, Types: types}
	if has("found") { // tunnels of an earlier run, with a handshake of second 250
		c.Found = map[string]state.Status{"se": {Exists: true, Handshake: epoch.Add(250 * time.Second), Rx: 5000, Tx: 5000}}
	}
	return c
}

var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// event reads "config one", "refused", "report se handshake=3 rx=5 tx=9",
// "report se gone", "answer se 20ms", "silence se", "vanished se", "uplink
// down" or "tick se=5/9", which is bytes received and sent.
// A handshake is given by the second at which it was.
func event(t *testing.T, text string) state.Event {
	t.Helper()
	w := strings.Fields(text)
	switch w[0] {
	case "config":
		return policy(w[1:]...)
	case "refused":
		return state.Refused{Error: "main: option 'via': no exit named \"xx\"\nmain: option 'mtu': wrong", Seal: policy().Policy}
	case "tick":
		tick := state.Tick{Traffic: map[string]state.Traffic{}}
		for _, f := range w[1:] {
			exit, bytes, _ := strings.Cut(f, "=")
			rx, tx, _ := strings.Cut(bytes, "/")
			r, err := strconv.ParseUint(rx, 10, 64)
			x, err2 := strconv.ParseUint(tx, 10, 64)
			if err != nil || err2 != nil {
				t.Fatalf("event %q", text)
			}
			tick.Traffic[exit] = state.Traffic{Rx: r, Tx: x}
		}
		return tick
	case "uplink":
		return state.Uplink{Linked: w[1] == "up"}
	case "vanished":
		return state.Vanished{Exit: w[1]}
	case "silence":
		return state.Probed{Exit: w[1]}
	case "answer":
		rtt, err := time.ParseDuration(w[2])
		if err != nil {
			t.Fatal(err)
		}
		return state.Probed{Exit: w[1], RTT: rtt}
	case "report":
		r := state.Reported{Exit: w[1], Status: state.Status{Exists: true}}
		for _, f := range w[2:] {
			key, value, _ := strings.Cut(f, "=")
			n, _ := strconv.ParseUint(value, 10, 64)
			switch key {
			case "gone":
				r.Status.Exists = false
			case "handshake":
				r.Status.Handshake = epoch.Add(time.Duration(n) * time.Second)
			case "rx":
				r.Status.Rx = n
			case "tx":
				r.Status.Tx = n
			case "error":
				r.Status.Error = value
			case "false":
				r.Status.False = value
			default:
				t.Fatalf("event %q", text)
			}
		}
		return r
	}
	t.Fatalf("event %q", text)
	return nil
}

// outcome is the state and the effects in one line.
func outcome(s state.State, fx []state.Effect) string {
	out := []string{string(s.Whole)}
	for _, x := range s.Exits {
		out = append(out, x.Name+":"+string(x.Phase))
	}
	var done []string
	for _, f := range fx {
		if f.Kind != state.Note && f.Kind != state.Log && f.Kind != state.Look {
			done = append(done, strings.TrimSpace(string(f.Kind)+" "+f.Exit))
		}
	}
	return strings.TrimSpace(strings.Join(out, " ") + " | " + strings.Join(done, ", "))
}

// Every history is told as its lines say: at which second, what happened, and
// what the state and the effects are then.
func TestHistories(t *testing.T) {
	for _, h := range histories {
		t.Run(h.name, func(t *testing.T) {
			var s state.State
			var told strings.Builder
			for line := range strings.Lines(strings.TrimSpace(h.lines)) {
				what, _, _ := strings.Cut(strings.TrimSpace(line), " → ")
				at, text, _ := strings.Cut(strings.TrimSpace(what), " ")
				seconds, err := strconv.ParseFloat(at, 64)
				if err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				var fx []state.Effect
				s, fx = state.Step(s, event(t, strings.TrimSpace(text)), epoch.Add(time.Duration(seconds*float64(time.Second))))
				fmt.Fprintf(&told, "%-46s → %s\n", strings.TrimSpace(what), outcome(s, fx))
			}
			want := ""
			for line := range strings.Lines(strings.TrimSpace(h.lines)) {
				a, b, _ := strings.Cut(strings.TrimSpace(line), " → ")
				want += fmt.Sprintf("%-46s → %s\n", strings.TrimSpace(a), strings.TrimSpace(b))
			}
			if want != told.String() {
				t.Errorf("told instead:\n%s", told.String())
			}
		})
	}
}

// needed are the exits that the policy asks for first, for somebody.
func needed(p rules.Policy) (names []string) {
	lists := [][]string{p.Via}
	for _, d := range p.Devices {
		lists = append(lists, d.Via)
	}
	for _, via := range lists {
		if len(via) > 0 && via[0] != rules.ViaDirect && via[0] != rules.ViaBlock {
			names = append(names, via[0])
		}
	}
	return names
}

// Whatever happens, "protected" is never said while an exit that somebody needs
// is not up, "open" never while the kill switch holds, the input state stays as
// it was, every change of an exit's phase asks for a new plan, and a dead exit
// is always tried again.
func TestRandomHistories(t *testing.T) {
	words := []string{"disabled", "killswitch-off", "one", "foreign", "no-off", "direct", "block", "tv-no"}
	protected := 0
	for seed := range uint64(250) {
		d := rand.New(rand.NewPCG(seed, 7))
		var s state.State
		var story []string
		now, rx, tx, shake := 0.0, 0, 0, 0
		kicked := map[string]float64{}
		for range 80 {
			now += []float64{0, 0.1, 0.4, 1, 1, 5, 60}[d.IntN(7)]
			exit := []string{"se", "no"}[d.IntN(2)]
			var text string
			switch d.IntN(12) {
			case 0:
				text = "config"
				for _, w := range words {
					if d.IntN(5) == 0 {
						text += " " + w
					}
				}
				if strings.Contains(text, "one") { // what names the second exit
					text = strings.NewReplacer(" no-off", "", " tv-no", "").Replace(text)
				}
			case 1:
				text = "refused"
			case 2, 3, 4:
				if d.IntN(3) > 0 {
					shake = int(now)
				}
				rx, tx = rx+d.IntN(2), tx+d.IntN(3)
				text = fmt.Sprintf("report %s handshake=%d rx=%d tx=%d", exit, shake, rx, tx)
			case 5:
				text = "report " + exit + []string{" gone", "", " gone error=nowg"}[d.IntN(3)]
			case 6:
				text = "answer " + exit + " 20ms"
			case 7, 8:
				text = "silence " + exit
			case 9:
				text = "vanished " + exit
			default:
				text = "tick"
			}
			story = append(story, fmt.Sprintf("%.1f %s", now, text))
			if strings.HasPrefix(text, "config") {
				kicked = map[string]float64{"se": now, "no": now} // a start is a try
			}
			before := fmt.Sprintf("%+v", s)
			old := s
			next, fx := state.Step(s, event(t, text), epoch.Add(time.Duration(now*float64(time.Second))))
			fail := func(format string, args ...any) {
				t.Helper()
				t.Fatalf("seed %d: %s\n%s\n%s", seed, fmt.Sprintf(format, args...), outcome(next, fx), strings.Join(story, "\n"))
			}
			if fmt.Sprintf("%+v", old) != before {
				fail("the state that was given has changed")
			}
			if again, fx2 := state.Step(s, event(t, text), epoch.Add(time.Duration(now*float64(time.Second)))); outcome(again, fx2) != outcome(next, fx) {
				fail("the same step ends differently: %s", outcome(again, fx2))
			}
			s = next
			up := s.Up()
			switch s.Whole {
			case state.Protected:
				protected++
				for _, name := range needed(s.Policy) {
					if !up[name] {
						fail("protected, and %s is not up", name)
					}
				}
				if !s.Valid || !s.Policy.Enabled {
					fail("protected without a valid, enabled configuration")
				}
			case state.Open:
				if s.Policy.Enabled && s.Policy.KillSwitch && len(needed(s.Policy)) > 0 {
					fail("open, and the kill switch is on")
				}
			}
			if !s.Valid && s.Whole != state.Sealed {
				fail("no valid configuration, and not sealed")
			}
			asked := slices.ContainsFunc(fx, func(f state.Effect) bool { return f.Kind == state.Replan })
			for i, x := range s.Exits {
				if i < len(old.Exits) && old.Exits[i].Name == x.Name && old.Exits[i].Phase != x.Phase && !asked {
					fail("exit %s went from %s to %s without a new plan", x.Name, old.Exits[i].Phase, x.Phase)
				}
				for _, f := range fx {
					if f.Exit == x.Name && (f.Kind == state.Kick || f.Kind == state.Other || f.Kind == state.Next || f.Kind == state.Renew) {
						kicked[x.Name] = now
					}
				}
				waiting := i < len(old.Exits) && (old.Exits[i].Phase == state.Down || old.Exits[i].Phase == state.Starting)
				if text == "tick" && waiting && x.Phase != state.Up && now-kicked[x.Name] > 2*state.PatientKick.Seconds() {
					fail("%s is %s and nobody tries it again", x.Name, x.Phase)
				}
				if x.Phase == state.Disabled {
					for _, f := range fx {
						if f.Exit == x.Name && f.Kind != state.Note {
							fail("%s for a disabled exit", f.Kind)
						}
					}
				}
			}
		}
	}
	if protected < 1000 {
		t.Errorf("only %d of the states were protected: the histories are too wild to prove anything", protected)
	}
}
