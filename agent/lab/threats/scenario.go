package threats

import (
	"context"
	"errors"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// Scenario is one way in which a LAN behind a tunnel leaks elsewhere.
type Scenario struct {
	Name   string // "T2DeviceDeleted"
	Threat string // "T2": the line of the leak catalogue
	Title  string // what happens, for people
	User   string // what the user would see of it
	// RecoversBy says who brings the service back.
	RecoversBy string

	Options lab.Options
	// Agent is what the user has configured; a function, because keys are made
	// with the lab. Nil: one exit, "se".
	Agent func(*lab.Lab) lab.AgentConfig
	Kinds []lab.Kind // what the TV sends; nil: everything
	Dead  []lab.Kind // of these, what lanseal refuses by design, besides DoT

	Before func(context.Context, *Env) error // before lanseal starts
	Boot   func(context.Context, *Env) error // in place of starting it and waiting for "protected"
	Fault  func(context.Context, *Env) error
	During func(context.Context, *Env) error // assertions while the fault lasts
	Undo   func(context.Context, *Env) error
	Check  func(context.Context, *Env) error // assertions at the end
	// Mutate takes the protection away, so that a leak must be seen or During
	// or Check must fail.
	Mutate func(context.Context, *Env) error

	// Breaks names the lock that the fault itself removes: "firewall" or
	// "routing". With that one alone there is nothing left to prove.
	Breaks string
	// Bound is how many frames may leak, for T7 alone.
	Bound int
	// Within is how long the heal of a bounded leak may take.
	Within time.Duration
	// NFTOnly: the fault or the promise has no counterpart in iptables.
	NFTOnly bool
	// Random: may take part in a random sequence of faults, but not together
	// with another that touches the same.
	Random  bool
	Touches string // "tunnel", "server", "agent", "uplink"
	// LeaksAfter: it is the end of the fault that is dangerous.
	LeaksAfter bool
}

// Firewalls that a mode can choose.
const (
	NFT            = "nft"
	IptablesNFT    = "iptables-nft"
	IptablesLegacy = "iptables-legacy"
)

// Mode is how lanseal is run.
type Mode struct {
	Firewall string // NFT, IptablesNFT or IptablesLegacy
	Without  string // the lock to leave out: "firewall", "routing" or ""
	Mutated  bool   // with the protection taken away
}

func (m Mode) String() string {
	s := m.Firewall
	if s == "" {
		s = NFT
	}
	if m.Without != "" {
		s += "/without-" + m.Without
	}
	if m.Mutated {
		s += "/mutation"
	}
	return s
}

// fits says whether there is something to prove: a fault that takes the only
// lock away is T7's.
func (m Mode) fits(s Scenario) bool {
	switch {
	case s.NFTOnly && m.Firewall != NFT && m.Firewall != "":
		return false
	case m.Without == "":
		return true
	case s.Breaks == "both":
		return false
	case m.Without == "firewall":
		return s.Breaks != "routing" && !s.NFTOnly // there are no tables to break
	}
	return s.Breaks != "firewall"
}

// flows says whether traffic is carried at all: it is the firewall lock that
// marks packets for their exit.
func (m Mode) flows() bool { return m.Without != "firewall" && !m.Mutated }

// Result is what a run has seen.
type Result struct {
	Sent     int
	Leaked   int           // frames on any wire since before the fault
	Betrayed int           // answers for which a server saw the ISP's customer
	SealTime time.Duration // from the fault to the last leaked frame
	// RecoverTime is from the fault, or from its end, to the moment when all
	// traffic was answered again.
	RecoverTime time.Duration
	Gaps        map[lab.Kind]time.Duration // the longest without an answer
	Err         error                      // what else was not as promised
}

// brokenError is a promise that was not kept; other errors say that the run
// itself went wrong.
type brokenError struct{ error }

func (b brokenError) Unwrap() error { return b.error }

func broken(err error) error {
	if err == nil {
		return nil
	}
	return brokenError{err}
}

// Noticed says whether the run saw that the protection is not there.
func (r Result) Noticed(s Scenario) bool {
	var b brokenError
	return r.Leaked > s.Bound || r.Betrayed > 0 && s.Bound == 0 || errors.As(r.Err, &b)
}

// Env is one run, as the functions of a scenario see it.
type Env struct {
	Lab     *lab.Lab
	Agent   *lab.Agent
	Mode    Mode
	Config  lab.AgentConfig // what the agent was started with
	TV      *lab.Traffic
	Others  []*lab.Traffic // more clients' traffic, begun by Before
	Since   lab.Marks      // from when on a leak counts
	Began   time.Time      // of Since
	Faulted time.Time

	Frozen  bool         // a mutation has stopped the agent
	Naive   bool         // a mutation has put a way in place that holds until the fault
	Inboxes []*lab.Inbox // that must stay empty
	Conns   []lab.Conn
	Text    string // whatever a scenario wants to remember
	Number  int
}

// traffic is all that is being sent.
func (e *Env) traffic() []*lab.Traffic {
	if e.TV == nil {
		return e.Others
	}
	return append([]*lab.Traffic{e.TV}, e.Others...)
}

// One is the usual agent of a scenario: one exit, so that nothing but the seal
// is left when it fails.
func One(l *lab.Lab) lab.AgentConfig {
	return lab.AgentConfig{Tunnels: map[string]string{"se": l.VPN1.ClientFile(lab.ClientOptions{})}}
}

// Two has a second exit to fall back to.
func Two(*lab.Lab) lab.AgentConfig { return lab.AgentConfig{} }

// All is the whole catalogue, in its order.
func All() []Scenario {
	var all []Scenario
	for _, part := range [][]Scenario{
		ordinary(), tunnelFaults(), agentFaults(), firewallFaults(), routingFaults(), uplinkFaults(), healthFaults(), attacks(),
		flows(), configurations(), strangers(), questions(), families(), thirdNet(),
	} {
		all = append(all, part...)
	}
	return all
}

// Of are the scenarios of one threat.
func Of(threat string) []Scenario {
	var out []Scenario
	for _, s := range All() {
		if s.Threat == threat {
			out = append(out, s)
		}
	}
	return out
}

// T7's bounds: both locks are back within 250 ms, and what leaks meanwhile is
// what the clients send in that time.
const (
	bothLocksWithin = 250 * time.Millisecond
	bothLocksBound  = 150
)
