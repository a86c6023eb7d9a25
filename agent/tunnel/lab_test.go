package tunnel

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// The tests run inside a network and a mount namespace of their own: TestMain
// starts the test binary once more, there. The same binary is also the child
// (as the product's is), the far side (roleServer) and an agent to be killed
// (roleAgent).
const (
	roleEnv    = "LANSEAL_TUNNEL_TEST"
	roleInside = "inside"
	roleServer = "server"
	roleAgent  = "agent"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == ChildCommand {
		os.Exit(ChildMain(os.Args[2:]))
	}
	switch os.Getenv(roleEnv) {
	case roleServer:
		os.Exit(serverMain())
	case roleAgent:
		os.Exit(agentMain())
	case roleInside:
		if err := moveIn(); err != nil {
			fmt.Fprintln(os.Stderr, "setting up the lab:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	for _, a := range os.Args[1:] {
		if strings.HasPrefix(a, "-test.fuzz") { // its workers talk through inherited pipes
			os.Exit(m.Run())
		}
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), roleEnv+"="+roleInside)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	err := cmd.Start()
	if errors.Is(err, unix.EPERM) {
		os.Exit(m.Run()) // the tests that need it say so
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the tests:", err)
		os.Exit(1)
	}
	if err := cmd.Wait(); err != nil {
		os.Exit(max(cmd.ProcessState.ExitCode(), 1))
	}
	os.Exit(0)
}

func moveIn() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// needLab fails where a lab is required and cannot be had.
func needLab(t *testing.T) {
	t.Helper()
	if os.Getenv(roleEnv) == roleInside {
		if _, err := os.Stat("/dev/net/tun"); err == nil {
			return
		}
	}
	if os.Getenv("LANSEAL_LAB") == "require" {
		t.Fatal("this test needs root, namespaces and /dev/net/tun, and LANSEAL_LAB=require")
	}
	t.Skip("needs root, namespaces and /dev/net/tun")
}

// The wire and what is at its ends.
var (
	client4 = netip.MustParsePrefix("192.0.2.2/24")
	server4 = netip.MustParsePrefix("192.0.2.1/24")
	other4  = netip.MustParsePrefix("192.0.2.3/24") // the server's second address
	client6 = netip.MustParsePrefix("2001:db8::2/64")
	server6 = netip.MustParsePrefix("2001:db8::1/64")

	inClient4 = netip.MustParsePrefix("10.9.0.2/24")
	inServer4 = netip.MustParsePrefix("10.9.0.1/24")
	inClient6 = netip.MustParsePrefix("fd09::2/64")
	inServer6 = netip.MustParsePrefix("fd09::1/64")
)

const (
	wire       = "wan0"
	serverPort = 51820

	// serverPause is how long to leave a server alone between two first
	// messages: it drops what comes within 20 ms.
	serverPause = 30 * time.Millisecond
)

// lab is one client (the test process) and one server process with a
// namespace of its own, and a wire between them.
type lab struct {
	t      *testing.T
	server *serverProcess
	device string
	client wgtypes.Key // private
	far    wgtypes.Key // the server's, private
	bind   string      // "", the library's, or "own": one that can be moved from IPv4 to IPv6
}

func newLab(t *testing.T) *lab {
	t.Helper()
	needLab(t)
	l := &lab{t: t, device: "ls-t", client: newKey(t), far: newKey(t)}
	l.server = startServer(t)
	t.Cleanup(func() { _ = NewWireGuard(WireGuard{Device: l.device}, nil).Down() })
	a := netlink.NewLinkAttrs()
	a.Name = wire
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: "far0"}))
	t.Cleanup(func() {
		if link, err := netlink.LinkByName(wire); err == nil {
			_ = netlink.LinkDel(link)
		}
	})
	far, err := netlink.LinkByName("far0")
	must(t, err)
	must(t, netlink.LinkSetNsPid(far, l.server.pid))
	must(t, setAddress(wire, client4, client6))
	l.server.do("addr", "far0", server4.String(), other4.String(), server6.String())
	return l
}

func setAddress(dev string, prefixes ...netip.Prefix) error {
	link, err := netlink.LinkByName(dev)
	if err != nil {
		return err
	}
	for _, p := range prefixes {
		a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrReplace(link, a); err != nil {
			return fmt.Errorf("%s on %s: %w", p, dev, err)
		}
	}
	return netlink.LinkSetUp(link)
}

// conf is the client's tunnel to the server's first address.
func (l *lab) conf() WireGuard {
	return WireGuard{
		Device: l.device, MTU: 1400, PrivateKey: l.client,
		Peers: []Peer{{
			PublicKey:  l.far.PublicKey(),
			Endpoint:   Endpoint{Addr: server4.Addr(), Port: serverPort},
			AllowedIPs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
		}},
	}
}

// serve starts the server's WireGuard, which accepts the client.
func (l *lab) serve(psk *wgtypes.Key) { l.serveAs(l.client.PublicKey(), psk) }

func (l *lab) serveAs(client wgtypes.Key, psk *wgtypes.Key) {
	l.t.Helper()
	conf := fmt.Sprintf("private_key=%s\nlisten_port=%d\nreplace_peers=true\npublic_key=%s\nallowed_ip=10.9.0.2/32\nallowed_ip=fd09::2/128\n",
		hex.EncodeToString(l.far[:]), serverPort, hex.EncodeToString(client[:]))
	if psk != nil {
		conf += "preshared_key=" + hex.EncodeToString(psk[:]) + "\n"
	}
	l.server.do("wg", conf, l.bind)
	l.server.do("addr", "srv0", inServer4.String(), inServer6.String())
}

// up brings the driver up and gives the device its addresses.
func (l *lab) up(d *WireGuardDriver) {
	l.t.Helper()
	start := time.Now()
	if err := d.Up(l.t.Context()); err != nil {
		s, serr := d.Status()
		l.t.Fatalf("after %s: %v; status %+v, %v; socket %+v", time.Since(start), err, s, serr, lookSocket(l.t.Context(), l.device))
	}
	must(l.t, setAddress(l.device, inClient4, inClient6))
}

func (l *lab) status(d *WireGuardDriver) Status {
	l.t.Helper()
	s, err := d.Status()
	must(l.t, err)
	return s
}

// handshake waits for one that is newer than the given.
func (l *lab) handshake(d *WireGuardDriver, after time.Time, limit time.Duration) time.Time {
	l.t.Helper()
	var got time.Time
	if !eventually(limit, func() bool {
		got = l.status(d).Handshake
		return got.After(after)
	}) {
		l.t.Fatalf("no handshake within %s", limit)
	}
	return got
}

func (l *lab) ping() {
	l.t.Helper()
	for _, target := range []netip.Addr{inServer4.Addr(), inServer6.Addr()} {
		_, err := Probe(l.t.Context(), l.device, target)
		for tries := 1; err != nil && tries < 3; tries++ { // a machine under load
			_, err = Probe(l.t.Context(), l.device, target)
		}
		if err != nil {
			l.t.Fatalf("ping %s: %v", target, err)
		}
	}
}

// child is the pid of the device's child.
func (l *lab) child() int {
	l.t.Helper()
	s := lookSocket(l.t.Context(), l.device)
	if s.state != socketAnswers || !isChild(s.pid, l.device) {
		l.t.Fatalf("no child serves the device: %+v", s)
	}
	return s.pid
}

// nft loads a ruleset and returns a reader of its counters.
func nft(t *testing.T, rules string) func(counter string) (packets int) {
	t.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("nft", "flush", "ruleset").Run() })
	return func(counter string) int {
		t.Helper()
		out, err := exec.Command("nft", "-j", "list", "counter", "inet", "t", counter).Output()
		must(t, err)
		var doc struct {
			Nftables []struct {
				Counter *struct {
					Packets int `json:"packets"`
				} `json:"counter"`
			} `json:"nftables"`
		}
		must(t, json.Unmarshal(out, &doc))
		for _, o := range doc.Nftables {
			if o.Counter != nil {
				return o.Counter.Packets
			}
		}
		t.Fatalf("no counter %s in %s", counter, out)
		return 0
	}
}

// markRules drop and count what leaves for the port without the transport mark.
func markRules(proto string, port int) string {
	return fmt.Sprintf(`table inet t {
	counter marked {}
	counter unmarked {}
	chain out {
		type filter hook output priority 0; policy accept;
		%[1]s dport %[2]d meta mark 0x7f000000 counter name marked accept
		%[1]s dport %[2]d counter name unmarked drop
	}
}`, proto, port)
}

type serverProcess struct {
	t   *testing.T
	pid int
	in  *json.Encoder
	out *bufio.Scanner
}

func startServer(t *testing.T) *serverProcess {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"="+roleServer)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s := &serverProcess{t, cmd.Process.Pid, json.NewEncoder(in), bufio.NewScanner(out)}
	s.do("hello")
	return s
}

func (s *serverProcess) do(args ...string) {
	s.t.Helper()
	must(s.t, s.in.Encode(args))
	if !s.out.Scan() || s.out.Text() != "ok" {
		s.t.Fatalf("server: %s: %s", args[0], s.out.Text())
	}
}

// serverMain is the far side: addresses, a WireGuard device, a resolver that
// refuses everything.
func serverMain() int {
	if err := moveIn(); err != nil {
		fmt.Println(err)
		return 1
	}
	go refuseDNS()
	var wg *device.Device
	stop := func() {
		if wg != nil {
			wg.Close()
			wg = nil
		}
	}
	in := json.NewDecoder(os.Stdin)
	for {
		var args []string
		if in.Decode(&args) != nil {
			return 0
		}
		var err error
		switch args[0] {
		case "addr":
			var prefixes []netip.Prefix
			for _, a := range args[2:] {
				prefixes = append(prefixes, netip.MustParsePrefix(a))
			}
			err = setAddress(args[1], prefixes...)
		case "wg":
			stop()
			var dev tun.Device
			// Without the library's watchers, which would take it down once more.
			if dev, err = openTUN("srv0", make(chan tun.Event)); err == nil {
				bind := conn.NewDefaultBind()
				if args[2] == "own" {
					bind = new(udpBind)
				}
				wg = device.NewDevice(dev, bind, device.NewLogger(device.LogLevelSilent, ""))
				err = errors.Join(wg.IpcSet(args[1]), wg.Up())
			}
		case "stop":
			stop()
		}
		if err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("ok")
		}
	}
}

func refuseDNS() {
	c, err := net.ListenPacket("udp", ":53")
	if err != nil {
		return
	}
	buf := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		if n > 12 {
			buf[2], buf[3] = buf[2]|0x80, buf[3]|5
			_, _ = c.WriteTo(buf[:n], from)
		}
	}
}

// agentMain brings a tunnel up, as the agent would, says so and waits to be
// killed.
func agentMain() int {
	signal.Ignore(unix.SIGTERM)
	var in agentConf
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := NewWireGuard(in.conf(), nil).Up(context.Background()); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ok")
	select {}
}

// agentConf is a WireGuard that can be sent, keys and all.
type agentConf struct {
	Device   string
	Key, Far []byte
	Endpoint netip.AddrPort
}

func (a agentConf) conf() WireGuard {
	return WireGuard{Device: a.Device, MTU: 1400, PrivateKey: [32]byte(a.Key), Peers: []Peer{{
		PublicKey: [32]byte(a.Far), Endpoint: Endpoint{Addr: a.Endpoint.Addr(), Port: a.Endpoint.Port()},
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
	}}}
}

func newKey(t *testing.T) wgtypes.Key {
	t.Helper()
	k, err := wgtypes.GeneratePrivateKey()
	must(t, err)
	return k
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		if ok() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func alive(pid int) bool { return state(pid) != 0 && state(pid) != 'Z' }

// state is as in proc(5); 0: there is no such process.
func state(pid int) byte {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[0]
}
