package tunnel

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// A tunnel comes up, carries both families, and every transport packet bears
// the mark: the firewall drops those that do not, and counts none.
func TestHandshakeIsMarked(t *testing.T) {
	l := newLab(t)
	l.serve(nil)
	count := nft(t, markRules("udp", serverPort))
	d := NewWireGuard(l.conf(), nil)
	l.up(d)
	l.handshake(d, time.Time{}, time.Second)
	l.ping()
	if rtt, err := ProbeDNS(t.Context(), l.device, inServer4.Addr()); err != nil || rtt <= 0 {
		t.Errorf("dns probe: %v %v", rtt, err)
	}
	if n := count("unmarked"); n != 0 {
		t.Errorf("%d transport packets left unmarked", n)
	}
	if n := count("marked"); n == 0 {
		t.Error("no marked packet was counted: the test proves nothing")
	}
	stray, err := net.Dial("udp", netip.AddrPortFrom(server4.Addr(), serverPort).String())
	must(t, err)
	_, _ = stray.Write([]byte{0})
	_ = stray.Close()
	if n := count("unmarked"); n != 1 {
		t.Errorf("an unmarked packet was counted %d times: the test proves nothing", n)
	}
	s := l.status(d)
	if !s.Exists || !s.Up || !s.Configured || s.Kind != KindUserspace || s.Peers != 1 || s.RxBytes == 0 || s.TxBytes == 0 ||
		s.Endpoint != netip.AddrPortFrom(server4.Addr(), serverPort) || s.ListenPort == 0 {
		t.Errorf("status: %+v", s)
	}
	link, err := netlink.LinkByName(l.device)
	must(t, err)
	if link.Attrs().MTU != 1400 {
		t.Errorf("mtu %d", link.Attrs().MTU)
	}
	must(t, d.Down())
	if _, err := Probe(t.Context(), l.device, inServer4.Addr()); err == nil {
		t.Error("a probe through a removed device is answered")
	}
}

// IPv6 transport works the same way.
func TestTransportOverIPv6(t *testing.T) {
	l := newLab(t)
	l.serve(nil)
	count := nft(t, markRules("udp", serverPort))
	conf := l.conf()
	conf.Peers[0].Endpoint.Addr = server6.Addr()
	d := NewWireGuard(conf, nil)
	l.up(d)
	l.handshake(d, time.Time{}, time.Second)
	l.ping()
	if count("unmarked") != 0 || count("marked") == 0 {
		t.Error("unmarked transport")
	}
}

// Up that changes nothing disturbs nothing.
func TestUpIsQuiet(t *testing.T) {
	l := newLab(t)
	l.serve(nil)
	conf := l.conf()
	conf.PrivateKey[0] |= 7 // unclamped, as some generators write keys
	d := NewWireGuard(conf, nil)
	l.up(d)
	first := l.handshake(d, time.Time{}, time.Second)
	l.ping()
	// By their length: a handshake's first message and a keepalive. What the
	// kernel itself sends into the device, such as MLD, is longer.
	count := nft(t, fmt.Sprintf(`table inet t {
	counter control {}
	chain out {
		type filter hook output priority 0; policy accept;
		udp dport %d udp length { 156, 40 } counter name control
	}
}`, serverPort))
	pid := l.child()
	for range 20 {
		must(t, d.Up(t.Context()))
		must(t, NewWireGuard(conf, nil).Up(t.Context())) // as a new agent would
	}
	if s := l.status(d); s.Handshake != first || count("control") != 0 || l.child() != pid {
		t.Errorf("%d packets were caused, %+v", count("control"), s)
	}
	must(t, d.Kick(t.Context()))
	if !eventually(time.Second, func() bool { return count("control") == 1 }) {
		t.Errorf("a keepalive was counted %d times: the test proves nothing", count("control"))
	}
	l.ping()
}

// The agent is killed; the child, its session and its counters go on, and the
// next agent takes them over.
func TestT4AgentKilled(t *testing.T) {
	l := newLab(t)
	l.serve(nil)
	agent := exec.Command("/proc/self/exe")
	agent.Env = append(os.Environ(), roleEnv+"="+roleAgent)
	in, err := agent.StdinPipe()
	must(t, err)
	out, err := agent.StdoutPipe()
	must(t, err)
	must(t, agent.Start())
	far := l.far.PublicKey()
	must(t, json.NewEncoder(in).Encode(agentConf{l.device, l.client[:], far[:], netip.AddrPortFrom(server4.Addr(), serverPort)}))
	if s := bufio.NewScanner(out); !s.Scan() || s.Text() != "ok" {
		t.Fatalf("agent: %s", s.Text())
	}
	must(t, setAddress(l.device, inClient4, inClient6))
	d := NewWireGuard(l.conf(), nil)
	first := l.handshake(d, time.Time{}, time.Second)
	pid := l.child()

	must(t, agent.Process.Kill())
	_ = agent.Wait()
	l.ping()
	before := l.status(d)
	must(t, d.Up(t.Context()))
	l.ping()
	after := l.status(d)
	if got := l.child(); got != pid {
		t.Errorf("another child: %d, was %d", got, pid)
	}
	if after.Handshake != first || after.RxBytes <= before.RxBytes || after.TxBytes <= before.TxBytes {
		t.Errorf("the session did not go on: %+v, then %+v", before, after)
	}
	must(t, d.Down())
	if !eventually(5*time.Second, func() bool { return !alive(pid) }) {
		t.Error("the adopted child outlives its device")
	}
}

func TestT4ChildDies(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, l *lab, pid int){
		"killed": func(t *testing.T, _ *lab, pid int) { must(t, unix.Kill(pid, unix.SIGKILL)) },
		"stopped": func(t *testing.T, _ *lab, pid int) {
			must(t, unix.Kill(pid, unix.SIGSTOP))
			eventually(time.Second, func() bool { return state(pid) == 'T' })
		},
		"asked to end": func(t *testing.T, l *lab, pid int) {
			must(t, unix.Kill(pid, unix.SIGTERM))
			if !eventually(5*time.Second, func() bool { return !alive(pid) }) {
				t.Error("it does not end")
			}
			if _, err := os.Stat(socketPath(l.device)); err == nil {
				t.Error("it leaves its socket")
			}
		},
		"socket removed": func(t *testing.T, l *lab, _ int) { must(t, os.Remove(socketPath(l.device))) },
		"device removed": func(t *testing.T, l *lab, pid int) {
			must(t, removeLink(l.device))
			if !eventually(5*time.Second, func() bool { return !alive(pid) }) {
				t.Error("it outlives its device")
			}
		},
		"device renamed": func(t *testing.T, l *lab, _ int) {
			link, err := netlink.LinkByName(l.device)
			must(t, err)
			must(t, netlink.LinkSetDown(link))
			must(t, netlink.LinkSetName(link, "gone0"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.serve(nil)
			d := NewWireGuard(l.conf(), nil)
			l.up(d)
			first := l.handshake(d, time.Time{}, time.Second)
			pid := l.child()
			time.Sleep(serverPause)
			harm(t, l, pid)
			start := time.Now()
			l.up(d)
			t.Logf("restored in %s", time.Since(start))
			if l.child() == pid {
				t.Error("the same child")
			}
			l.handshake(d, first, time.Second)
			l.ping()
			if !eventually(5*time.Second, func() bool { return !alive(pid) }) {
				t.Error("the old child is still there")
			}
			if link, err := netlink.LinkByName("gone0"); err == nil {
				t.Errorf("the old device is still there: %v", link.Attrs().Name)
			}
		})
	}
}

// The link is taken down: Up raises it, and the session is the same.
func TestT2LinkDown(t *testing.T) {
	l := newLab(t)
	l.serve(nil)
	d := NewWireGuard(l.conf(), nil)
	l.up(d)
	first := l.handshake(d, time.Time{}, time.Second)
	link, err := netlink.LinkByName(l.device)
	must(t, err)
	must(t, netlink.LinkSetDown(link))
	if s := l.status(d); s.Up {
		t.Error("status says it is up")
	}
	l.up(d)
	l.ping()
	if s := l.status(d); s.Handshake != first || !s.Up {
		t.Errorf("%+v", s)
	}
}

func TestStaleSocket(t *testing.T) {
	l := newLab(t)
	l.serve(nil)
	must(t, os.MkdirAll(socketDir, 0o700))
	for _, name := range []string{l.device, "ls-other"} {
		s, err := net.ListenUnix("unix", &net.UnixAddr{Name: socketPath(name), Net: "unix"})
		must(t, err)
		s.SetUnlinkOnClose(false)
		must(t, s.Close())
		t.Cleanup(func() { _ = os.Remove(socketPath(name)) })
	}
	d := NewWireGuard(l.conf(), nil)
	l.up(d)
	l.handshake(d, time.Time{}, time.Second)
	info, err := os.Stat(socketPath(l.device))
	must(t, err)
	dir, err := os.Stat(socketDir)
	must(t, err)
	if info.Mode().Perm()&0o077 != 0 || dir.Mode().Perm() != 0o700 {
		t.Errorf("modes: %s, %s", info.Mode(), dir.Mode())
	}
}

// A configuration that changes is applied, and only what changed.
func TestChanges(t *testing.T) {
	l := newLab(t)
	l.bind = "own"
	l.serve(nil)
	conf := l.conf()
	d := NewWireGuard(conf, nil)
	l.up(d)
	last := l.handshake(d, time.Time{}, time.Second)
	apply := func() {
		t.Helper()
		must(t, d.SetConfig(conf))
		if l.status(d).Configured {
			t.Error("status does not see the difference")
		}
		l.up(d)
		if !l.status(d).Configured {
			t.Error("not configured after Up")
		}
	}
	same := func(what string) {
		t.Helper()
		l.ping()
		if got := l.status(d).Handshake; got != last {
			t.Errorf("%s: the session was reset", what)
		}
	}

	conf.Peers[0].AllowedIPs = []netip.Prefix{inServer4.Masked(), inServer6.Masked()}
	apply()
	same("allowed ips")

	conf.Peers[0].Keepalive = 7 * time.Second
	apply()
	same("keepalive")

	conf.Peers[0].Endpoint.Addr = server6.Addr()
	apply()
	same("endpoint")
	if s := l.status(d); s.Endpoint.Addr() != server6.Addr() {
		t.Errorf("endpoint %s", s.Endpoint)
	}

	conf.ListenPort = ptr(40000)
	apply()
	same("listen port")
	if s := l.status(d); s.ListenPort != 40000 {
		t.Errorf("port %d", s.ListenPort)
	}

	time.Sleep(serverPause)
	psk := newKey(t)
	l.serve(&psk)
	conf.Peers[0].PresharedKey = (*[32]byte)(&psk)
	apply()
	last = l.handshake(d, last, time.Second)
	same("preshared key")
	time.Sleep(serverPause)

	l.client = newKey(t)
	l.serve(&psk)
	conf.PrivateKey = l.client
	apply()
	last = l.handshake(d, last, time.Second)
	same("private key")
	time.Sleep(serverPause)

	l.far = newKey(t)
	l.serve(&psk)
	conf.Peers[0].PublicKey = l.far.PublicKey()
	apply()
	last = l.handshake(d, last, time.Second)
	same("peer")

	// Somebody else's hands on the device.
	must(t, configureDevice(t.Context(), l.device, wgtypes.Config{FirewallMark: ptr(0), Peers: []wgtypes.PeerConfig{{PublicKey: newKey(t)}}}))
	if l.status(d).Configured {
		t.Error("status does not see a stranger")
	}
	l.up(d)
	same("a stranger's peer and mark")
	have, err := readDevice(t.Context(), l.device, time.Second)
	must(t, err)
	if have.FirewallMark != transportMark || len(have.Peers) != 1 {
		t.Errorf("mark %#x, %d peers", have.FirewallMark, len(have.Peers))
	}
}

// The server comes up late. Left alone the client retries after 5 s; kicked, it
// has its handshake at once. Kicked again, it loses nothing.
func TestKick(t *testing.T) {
	l := newLab(t)
	d := NewWireGuard(l.conf(), nil)
	l.up(d)
	time.Sleep(betweenHandshakes)
	l.serve(nil)
	if eventually(700*time.Millisecond, func() bool { return !l.status(d).Handshake.IsZero() }) {
		t.Fatal("a handshake without a kick: the test proves nothing")
	}
	start := time.Now()
	must(t, d.Kick(t.Context()))
	first := l.handshake(d, time.Time{}, time.Second)
	t.Logf("handshake %s after the kick", time.Since(start))
	l.ping()

	before := l.status(d)
	must(t, d.Kick(t.Context()))
	l.ping()
	after := l.status(d)
	if after.Handshake != first || after.TxBytes <= before.TxBytes || !after.Configured {
		t.Errorf("a kick disturbed a healthy session: %+v, then %+v", before, after)
	}
}

// T3: the server restarts and has forgotten the session, which counts as alive
// on this side. Renew has another at once.
func TestT3ServerRestarts(t *testing.T) {
	l := newLab(t)
	l.serve(nil)
	d := NewWireGuard(l.conf(), nil)
	l.up(d)
	first := l.handshake(d, time.Time{}, time.Second)
	l.serve(nil)
	if _, err := Probe(t.Context(), l.device, inServer4.Addr()); err == nil {
		t.Fatal("the session survived: the test proves nothing")
	}
	must(t, d.Renew(t.Context()))
	l.handshake(d, first, time.Second)
	l.ping()
}

// The WAN's address changes under the session; a kick is enough.
func TestT8AddressChange(t *testing.T) {
	l := newLab(t)
	l.serve(nil)
	d := NewWireGuard(l.conf(), nil)
	l.up(d)
	first := l.handshake(d, time.Time{}, time.Second)
	l.ping()
	link, err := netlink.LinkByName(wire)
	must(t, err)
	old := &netlink.Addr{IPNet: &net.IPNet{IP: client4.Addr().AsSlice(), Mask: net.CIDRMask(24, 32)}}
	must(t, netlink.AddrDel(link, old))
	must(t, setAddress(wire, netip.MustParsePrefix("192.0.2.77/24")))
	must(t, d.Kick(t.Context()))
	l.ping()
	if got := l.status(d).Handshake; got != first {
		t.Error("the session was lost")
	}
}

// The server answers from another of its addresses: the device follows, as
// its handshake proves who it is, and Up does not drag it back.
func TestRoaming(t *testing.T) {
	l := newLab(t)
	l.bind = "own" // the library's answers from the address it was asked at
	l.serve(nil)
	conf := l.conf()
	conf.Peers[0].Endpoint.Addr = other4.Addr()
	d := NewWireGuard(conf, nil)
	l.up(d)
	first := l.handshake(d, time.Time{}, time.Second)
	l.ping()
	if s := l.status(d); s.Endpoint.Addr() != server4.Addr() || !s.Configured {
		t.Fatalf("the server does not answer from its first address: %+v", s)
	}
	l.up(d)
	must(t, d.Kick(t.Context()))
	if s := l.status(d); s.Endpoint.Addr() != server4.Addr() || s.Handshake != first {
		t.Errorf("dragged back: %+v", s)
	}
}

// names is a Names of known answers.
type names struct {
	cached, fresh []netip.Addr
	err           error
	asked         int
}

func (n *names) Cached(string) []netip.Addr { return n.cached }
func (n *names) Lookup(context.Context, string) ([]netip.Addr, error) {
	n.asked++
	return n.fresh, n.err
}

// A name is asked for once, remembered addresses are used without asking, and
// after a failure the next address is tried, then the name asked again.
func TestEndpointByName(t *testing.T) {
	l := newLab(t)
	l.bind = "own"
	l.serve(nil)
	conf := l.conf()
	conf.Peers[0].Endpoint = Endpoint{Host: "vpn.example.net", Port: serverPort}
	dead := netip.MustParseAddr("192.0.2.99")

	n := &names{err: errors.New("no way out")}
	d := NewWireGuard(conf, n)
	if err := d.Up(t.Context()); err == nil || !errors.Is(err, n.err) {
		t.Fatalf("up without an answer: %v", err)
	}
	if s := l.status(d); !s.Exists || !s.Up || s.Configured {
		t.Errorf("without an answer the device is not prepared: %+v", s)
	}
	n.err, n.fresh = nil, []netip.Addr{server4.Addr()}
	l.up(d)
	first := l.handshake(d, time.Time{}, time.Second) // not after 5 s
	l.up(d)
	if n.asked != 2 {
		t.Errorf("asked %d times", n.asked)
	}

	// The next agent knows more addresses, and keeps the one in use.
	n = &names{cached: []netip.Addr{dead, server4.Addr(), server6.Addr()}, fresh: []netip.Addr{server4.Addr()}}
	d = NewWireGuard(conf, n)
	l.up(d)
	l.ping()
	if s := l.status(d); s.Handshake != first || n.asked != 0 {
		t.Errorf("adoption disturbed the session: %+v, asked %d times", s, n.asked)
	}

	ask := func(want bool) {
		t.Helper()
		moved, err := d.Ask(t.Context())
		if must(t, err); moved != want {
			t.Errorf("moved is %v", moved)
		}
	}
	must(t, d.KickNext(t.Context())) // it has a session
	if s := l.status(d); s.Handshake != first || s.Endpoint.Addr() != server4.Addr() {
		t.Errorf("a session was given up: %+v", s)
	}
	time.Sleep(serverPause)
	must(t, d.Next(t.Context()))
	ask(false)
	last := l.handshake(d, first, time.Second)
	if s := l.status(d); s.Endpoint.Addr() != server6.Addr() || n.asked != 0 {
		t.Errorf("next went to %s, asked %d times", s.Endpoint, n.asked)
	}
	time.Sleep(serverPause)
	must(t, d.Next(t.Context())) // the first again, and they have all been tried
	ask(true)
	if n.asked != 1 {
		t.Errorf("asked %d times", n.asked)
	}
	must(t, d.Kick(t.Context()))
	l.handshake(d, last, time.Second)
	if s := l.status(d); s.Endpoint.Addr() != server4.Addr() {
		t.Errorf("next went to %s", s.Endpoint)
	}
	must(t, d.Next(t.Context()))
	ask(false) // it is still there

	// Nobody is at the address that is remembered, and the answers are no help.
	n = &names{cached: []netip.Addr{dead}, fresh: []netip.Addr{server4.Addr()}}
	d = NewWireGuard(conf, n)
	l.up(d)
	for _, c := range []struct {
		err        error
		lie, moved bool
	}{{errors.New("no way out"), false, false}, {&FalseAnswer{dead, "the router's own"}, true, false}, {nil, false, true}} {
		n.err = c.err
		must(t, d.Next(t.Context()))
		if moved, err := d.Ask(t.Context()); moved != c.moved || !errors.Is(err, c.err) {
			t.Errorf("asked again: %v, %v instead of %v", moved, err, c.err)
		}
		if s := l.status(d); (s.False != nil) != c.lie {
			t.Errorf("after %v: %+v", c.err, s)
		}
	}
	time.Sleep(serverPause)
	must(t, d.Kick(t.Context()))
	l.handshake(d, last, time.Second)

	// A lie of before means nothing where there is a session.
	n.err = &FalseAnswer{dead, "the router's own"}
	_, _ = d.lookup(t.Context(), "vpn.example.net")
	if s := l.status(d); s.False != nil || d.falseAnswer(conf) != nil {
		t.Errorf("with a session: %+v", s)
	}
}

// A device of the name that is not a tunnel is left alone.
func TestNameTaken(t *testing.T) {
	needLab(t)
	a := netlink.NewLinkAttrs()
	a.Name = "ls-bridge"
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: a}))
	defer func() { _ = removeLink(a.Name) }()
	d := NewWireGuard(WireGuard{Device: a.Name}, nil)
	if err := d.Up(t.Context()); !errors.Is(err, ErrTaken) {
		t.Errorf("up: %v", err)
	}
	if err := d.Down(); !errors.Is(err, ErrTaken) {
		t.Errorf("down: %v", err)
	}
	if s, err := d.Status(); err != nil || s.Kind != KindForeign {
		t.Errorf("status: %+v, %v", s, err)
	}

	f := NewDevice(a.Name)
	must(t, f.Up(t.Context()))
	must(t, f.Down())
	if s, err := f.Status(); err != nil || !s.Exists || s.Kind != KindForeign {
		t.Errorf("status: %+v, %v", s, err)
	}
	if err := NewDevice("nothing0").Up(t.Context()); !errors.Is(err, ErrNoDevice) {
		t.Errorf("up of a foreign device that is not there: %v", err)
	}
}

// Down leaves nothing, and may be called again.
func TestDown(t *testing.T) {
	l := newLab(t)
	d := NewWireGuard(l.conf(), nil)
	must(t, d.Down())
	l.up(d)
	pid := l.child()
	must(t, d.Down())
	if alive(pid) {
		t.Error("the child is still there")
	}
	if _, err := os.Stat(socketPath(l.device)); err == nil {
		t.Error("the socket is still there")
	}
	if s := l.status(d); s.Exists {
		t.Errorf("status: %+v", s)
	}
	must(t, d.Down())
}

// The child holds nothing of the agent's: no open file, no controlling
// terminal, no environment but its own.
func TestChildIsAlone(t *testing.T) {
	l := newLab(t)
	secret, err := os.CreateTemp(t.TempDir(), "held")
	must(t, err)
	defer func() { _ = secret.Close() }()
	d := NewWireGuard(l.conf(), nil)
	l.up(d)
	pid := l.child()
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("session %d of child %d: %v", sid, pid, err)
	}
	mine := map[string]bool{secret.Name(): true}
	for _, link := range openFiles(t, os.Getpid()) {
		mine[link] = link != "/dev/null" && !strings.HasPrefix(link, "anon_inode:") && !strings.HasPrefix(link, "/sys/")
	}
	for fd, link := range openFiles(t, pid) {
		if fd <= 2 && link != "/dev/null" || mine[link] {
			t.Errorf("descriptor %d is %s", fd, link)
		}
	}
	t.Log(memory(t, pid))
}

func TestContextEnds(t *testing.T) {
	l := newLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewWireGuard(l.conf(), nil).Up(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("up: %v", err)
	}
}

func TestTwoDrivers(t *testing.T) {
	l := newLab(t)
	l.serve(nil)
	d := NewWireGuard(l.conf(), nil)
	other := l.conf()
	other.Device = "ls-u"
	other.Peers = slices.Clone(other.Peers)
	other.Peers[0].Endpoint.Addr = other4.Addr()
	u := NewWireGuard(other, nil)
	defer func() { must(t, u.Down()) }()
	errs := make(chan error)
	for _, d := range []*WireGuardDriver{d, u, d, u} {
		go func() { errs <- d.Up(t.Context()) }()
	}
	for range 4 {
		must(t, <-errs)
	}
	must(t, d.Down())
	if s := l.status(u); !s.Configured {
		t.Errorf("%+v", s)
	}
}
