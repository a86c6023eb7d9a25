package webui

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// secretText is in what the fake knows and must never say.
const secretText = "cGxlYXNlIGRvIG5vdCB0ZWxsIGFueWJvZHkgdGhpcyE="

// fake is the agent as a test wants it.
type fake struct {
	mu       sync.Mutex
	status   Status
	devices  Devices
	events   []Event
	sections []Section
	rev      int
	files    map[string]string
	leak     LeakTest
	password string
	stuck    chan struct{} // not nil: Status waits for it, as a busy loop would
	looked   int           // how often Status was asked
	persons  int           // and how often with a person behind it
	checked  int           // how often a password was
}

func newFake() *fake {
	began := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	shook, most := began.Add(time.Minute), 0.99
	return &fake{
		status: Status{State: "protected", Since: began, Started: began, Reason: "se up", KillSwitch: true, Firewall: "nft", Locks: Locks{true, true},
			Exits: []Exit{{Name: "se", State: "up", Since: &shook, InUse: true, SeenAs: &SeenAs{Addresses: []string{"192.0.2.10"}, Time: shook}, Type: "wireguard", Device: "ls-se", Endpoint: "192.0.2.10:51820", Handshake: &shook, RTT: 18.2, UpDay: &most, Rx: 1000, Tx: 2000, IPv6: true, Resolvers: []string{"10.64.0.1"}},
				{Name: "no", State: "down", Reason: "no handshake", Type: "wireguard", Device: "ls-no", Resolvers: []string{}}},
			Blocked: Counter{7, 700}, Config: Validity{Valid: true}, Version: "0.1.0"},
		devices: Devices{Counted: true, Default: []string{"se", "no"}, Devices: []Device{
			{MAC: "02:00:00:00:00:01", Name: "tv", Label: "Living-room \"TV\"", IPs: []string{"192.168.1.50"}, Via: []string{}, Exit: "se", Online: true, Rx: 5, Tx: 6, Blocked: 7, Day: Carried{Rx: 50, Tx: 60, Blocked: 70}, Seen: &shook}}},
		events: []Event{{ID: 1, Time: began, Kind: "state", State: "protected", Text: "started → protected: se up"}},
		sections: []Section{{Type: "lanseal", Name: "main", Options: map[string][]string{"enabled": {"1"}, "via": {"se", "no"}}},
			{Type: "tunnel", Name: "se", Options: map[string][]string{"file": {"/etc/lanseal/tunnels/se.conf"}, "label": {"Sweden"}}},
			{Type: "tunnel", Name: "no", Options: map[string][]string{"file": {"/etc/lanseal/tunnels/no.conf"}, "enabled": {"0"}}},
			{Type: "device", Name: "tv", Options: map[string][]string{"mac": {"02:00:00:00:00:01"}, "via": {"no"}}}},
		files:    map[string]string{"se": secretText},
		leak:     LeakTest{State: "none", Probes: []Probe{}, Leaks: []string{}},
		password: "right password",
	}
}

func (f *fake) agent() Agent {
	return Agent{Observer: f, Config: fakeConfig{f}, TunnelFiles: f, Prover: f, Steward: f, Accounts: fakeAccounts{f}}
}

func (f *fake) Status(ctx context.Context, look Look) (Status, error) {
	f.mu.Lock()
	stuck := f.stuck
	f.looked++
	if look.Person {
		f.persons++
	}
	f.mu.Unlock()
	if stuck != nil {
		select {
		case <-stuck:
		case <-ctx.Done():
			return Status{}, ErrBusy
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	s.Exits = slices.Clone(s.Exits)
	return s, nil
}

func (f *fake) Devices(context.Context) (Devices, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.devices, nil
}

func (f *fake) Events(after uint64, since time.Time) []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.events, func(e Event) bool { return e.ID > after && e.Time.After(since) })
	if i < 0 {
		return nil
	}
	return slices.Clone(f.events[i:])
}

func (f *fake) happen(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.ID = uint64(len(f.events)) + 1
	f.events = append(f.events, e)
}

func (f *fake) set(change func(*Status)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.status)
}

// fakeConfig keeps sections, and refuses the values that a test calls bad.
type fakeConfig struct{ f *fake }

func (c fakeConfig) Read() ([]Section, string, error) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	return slices.Clone(c.f.sections), fmt.Sprint("r", c.f.rev), nil
}

func (c fakeConfig) Change(_ context.Context, revision string, edits []Edit) (string, error) {
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if revision != "" && revision != fmt.Sprint("r", f.rev) {
		return "", ErrStale
	}
	var bad Invalid
	next := slices.Clone(f.sections)
	for _, e := range edits {
		for name, vs := range e.Set {
			if slices.Contains(vs, "bad") {
				bad = append(bad, Problem{"is bad", name})
			}
		}
		i := slices.IndexFunc(next, func(s Section) bool { return s.Name == e.Name })
		if e.Add {
			if i >= 0 {
				return "", ErrStale
			}
			next, i = append(next, Section{Type: e.Type, Name: e.Name}), len(next)
		}
		if i < 0 {
			return "", ErrStale
		}
		if e.Delete {
			next = slices.Delete(next, i, i+1)
			continue
		}
		options := map[string][]string{}
		for k, v := range next[i].Options {
			options[k] = v
		}
		for k, v := range e.Set {
			options[k] = v
		}
		next[i].Options = options
	}
	if bad != nil {
		return "", bad
	}
	f.sections = next
	f.rev++
	return fmt.Sprint("r", f.rev), nil
}

func (f *fake) section(name string) Section {
	all, _, _ := fakeConfig{f}.Read()
	return find(all, name)
}

func (f *fake) Import(_ context.Context, name, label string, content []byte) (Imported, error) {
	if string(content) == "bad" {
		return Imported{}, Invalid{{"line 1: this is no tunnel file", "content"}}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[name] = string(content)
	return Imported{Name: name, Label: label, Type: "wireguard", Warnings: []string{}}, nil
}

func (f *fake) Replace(_ context.Context, name string, content []byte) ([]string, error) {
	f.files[name] = string(content)
	return nil, nil
}

func (f *fake) Remove(path string) error {
	f.files["removed"] = path
	return nil
}

func (f *fake) Verify(context.Context) (Verification, error) {
	return Verification{OK: true, Findings: []Finding{}, Notes: []string{}}, nil
}

func (f *fake) LeakTest(start bool) LeakTest {
	if start {
		f.leak.State = "running"
	}
	return f.leak
}

func (f *fake) Try(_ context.Context, exit string) (Tried, error) {
	return Tried{Answered: true, RTT: 12, Why: exit + " answered"}, nil
}

func (f *fake) TimeSynced(context.Context) error { return nil }

func (f *fake) Reload(context.Context) error { return nil }

type fakeAccounts struct{ f *fake }

func (a fakeAccounts) HavePassword() bool { return a.f.password != "" }

func (a fakeAccounts) Check(password string) bool {
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	a.f.checked++
	return password == a.f.password
}
