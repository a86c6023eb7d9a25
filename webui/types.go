package webui

import "time"

// Status is the state of the whole: GET status, and "lanseal status --json".
type Status struct {
	State      string    `json:"state"` // protected, degraded, connecting, sealed, open
	Since      time.Time `json:"since"`
	Reason     string    `json:"reason"`
	KillSwitch bool      `json:"killswitch"`
	Firewall   string    `json:"firewall"` // nft, iptables
	Locks      Locks     `json:"locks"`
	Exits      []Exit    `json:"exits"`
	Blocked    Counter   `json:"blocked"`
	Healed     uint64    `json:"healed"`
	Config     Validity  `json:"config"`
	OpenWrt    *OpenWrt  `json:"openwrt,omitempty"`
	Error      string    `json:"error,omitempty"` // why the plan could not be applied
	TimeKnown  bool      `json:"time_known"`      // the clock is synchronised
	Started    time.Time `json:"started"`         // the agent
	Version    string    `json:"version"`
}

// OpenWrt is what an agent on OpenWrt does with the system around it.
type OpenWrt struct {
	LAN      []string `json:"lan"`
	WAN      []string `json:"wan"`
	Resolver bool     `json:"resolver"` // the router's resolver answers devices without a rule
	Notes    []string `json:"notes"`
	Error    string   `json:"error,omitempty"`
}

// Locks says which of the two hold.
type Locks struct {
	Routing  bool `json:"routing"`
	Firewall bool `json:"firewall"`
}

// Exit is one tunnel as it is.
type Exit struct {
	Name      string     `json:"name"`
	State     string     `json:"state"` // up, connecting, down, disabled
	Since     *time.Time `json:"since"`
	InUse     bool       `json:"in_use"` // by devices without a rule; where they use none, the first that is up
	Reason    string     `json:"reason"`
	Type      string     `json:"type"`
	Device    string     `json:"device"`
	Endpoint  string     `json:"endpoint"`
	Handshake *time.Time `json:"handshake"`
	RTT       float64    `json:"rtt_ms"`
	Loss      float64    `json:"loss"`             // of probes while it was alive, from 0 to 1
	UpDay     *float64   `json:"availability_24h"` // part of the time it was watched, from 0 to 1; null: not at all
	UpMonth   *float64   `json:"availability_30d"`
	Fresh     int        `json:"fresh,omitempty"` // up again, and not gone back to before it has settled
	Rx        uint64     `json:"rx_bytes"`
	Tx        uint64     `json:"tx_bytes"`
	IPv6      bool       `json:"ipv6"`
	Resolvers []string   `json:"resolvers"`
	SeenAs    *SeenAs    `json:"seen_as,omitempty"` // of the exit in use, once somebody has looked at the page
}

// SeenAs is how the world sees who leaves by an exit.
type SeenAs struct {
	Addresses []string  `json:"addresses"`     // IPv4 first; none: not known
	Why       string    `json:"why,omitempty"` // they are not known
	Time      time.Time `json:"time"`          // of the answer
}

// Counter counts packets.
type Counter struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Validity says whether the file as it is now is in force.
type Validity struct {
	Valid  bool     `json:"valid"`
	Errors []string `json:"errors,omitempty"`
}

// Device is one thing on the LAN, or one that has a rule.
type Device struct {
	MAC      string     `json:"mac"` // empty: known by address alone, and not seen
	Name     string     `json:"name"`
	Label    string     `json:"label"`
	Hostname string     `json:"hostname"`
	Vendor   string     `json:"vendor"`
	IPs      []string   `json:"ips"`
	Online   bool       `json:"online"`
	Via      []string   `json:"via"`      // its own rule; none: the default
	Exit     string     `json:"exit"`     // where it goes now: an exit, direct or block
	Rx       uint64     `json:"rx_bytes"` // since the agent started, as the next two
	Tx       uint64     `json:"tx_bytes"`
	Blocked  uint64     `json:"blocked_packets"`
	Day      Carried    `json:"day"`
	Seen     *time.Time `json:"seen"` // last
}

// Carried is what passed for a device in the last 24 hours; restarts of the
// agent do not begin it anew.
type Carried struct {
	Rx      uint64 `json:"rx_bytes"`
	Tx      uint64 `json:"tx_bytes"`
	Blocked uint64 `json:"blocked_packets"`
}

// Devices are all of them. Counted says whether traffic is counted by device:
// iptables does not.
type Devices struct {
	Devices []Device `json:"devices"`
	Counted bool     `json:"counted"`
	Default []string `json:"default"` // the exits of devices without a rule
}

// Event is one thing that happened. IDs grow by one and are never used again.
type Event struct {
	ID    uint64    `json:"id"`
	Time  time.Time `json:"time"`
	Kind  string    `json:"kind"` // state, healed, uplink, error, config, user
	Exit  string    `json:"exit,omitempty"`
	State string    `json:"state,omitempty"` // what the exit, or the whole, has become
	Text  string    `json:"text"`
}

// Tunnel is one tunnel as it is wished for and as it is.
type Tunnel struct {
	Exit
	Label    string   `json:"label"`
	Enabled  bool     `json:"enabled"`
	MTU      int      `json:"mtu"` // 0: from the file, or computed
	Warnings []string `json:"warnings"`
}

// Tunnels are all tunnels in file order. Via is main's own order of
// preference; none: every enabled tunnel in file order.
type Tunnels struct {
	Tunnels []Tunnel `json:"tunnels"`
	Via     []string `json:"via"`
}

// Imported says what a file became.
type Imported struct {
	Name     string   `json:"name"`
	Label    string   `json:"label"`
	Type     string   `json:"type"`
	Warnings []string `json:"warnings"`
}

// Exception is traffic that may leave by the WAN, on purpose.
type Exception struct {
	ID     string   `json:"id"`
	Label  string   `json:"label"`
	Device []string `json:"device"`
	Dest   []string `json:"dest"`
	Proto  string   `json:"proto"`
	Port   []string `json:"port"`
	Until  string   `json:"until"`
}

// LeakTest is one run of the leak test, or none yet.
type LeakTest struct {
	State    string     `json:"state"` // none, running, done
	Started  *time.Time `json:"started"`
	Finished *time.Time `json:"finished"`
	Verdict  string     `json:"verdict"` // none (no leak), leak, impossible; empty until done
	Why      string     `json:"why"`     // in a sentence
	Probes   []Probe    `json:"probes"`
	Leaks    []string   `json:"leaks"` // the frames, one line each
}

// Probe is one way of leaking that was tried.
type Probe struct {
	Name   string `json:"name"`
	Sent   int    `json:"sent"`
	Leaked int    `json:"leaked"`
}

// Verification compares the kernel with the plan.
type Verification struct {
	OK       bool      `json:"ok"`
	Findings []Finding `json:"findings"`
	Notes    []string  `json:"notes"`
}

// Finding is one difference from the plan, or one way past it.
type Finding struct {
	Where string `json:"where"` // routing, firewall, path, tunnel
	What  string `json:"what"`
}

// Tried says how a tunnel answered.
type Tried struct {
	Answered bool    `json:"answered"`
	RTT      float64 `json:"rtt_ms"`
	Why      string  `json:"why"`
}
