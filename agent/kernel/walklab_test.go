package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/rules"
)

// The router of the stories: the devices that they name, each a wire into a
// namespace of its own where an AF_PACKET socket listens. The devices towards
// the internet need no neighbours (NOARP), as tunnels do not.
//
// The test's own thread is in the router's namespace and never leaves it for
// good; it ends with the test.
type walkLab struct {
	t        *testing.T
	k        *Kernel
	router   netns.NsHandle
	clients  map[string]netns.NsHandle // by LAN device
	captures map[string]int            // by router device
	senders  map[string]net.Conn       // of the probes that keep their socket
}

type walkArrival struct{ probe, when, device string }

// walkProbe is one kind of packet from the LAN.
type walkProbe struct {
	name, lan, src, dst string
	port                uint16
	fresh               bool // a new source port each time: a new flow
}

var walkProbes = []walkProbe{
	{name: "new", lan: "br-lan", src: "192.168.1.50", dst: "198.51.100.10", port: 7000, fresh: true},
	{name: "old", lan: "br-lan", src: "192.168.1.50", dst: "198.51.100.10", port: 7001},
	{name: "new6", lan: "br-lan", src: "fd01::50", dst: "2001:db8:5::10", port: 7000, fresh: true},
	{name: "dns", lan: "br-lan", src: "192.168.1.50", dst: "203.0.113.53", port: 53, fresh: true},
	{name: "wansubnet", lan: "br-lan", src: "192.168.1.50", dst: "203.0.113.9", port: 7000, fresh: true},
	{name: "tv", lan: "br-lan", src: "192.168.1.52", dst: "198.51.100.10", port: 7000, fresh: true},
	{name: "guest", lan: "br-guest", src: "192.168.2.50", dst: "198.51.100.10", port: 7000, fresh: true},
}

func (p walkProbe) flow() rules.Flow {
	return rules.Flow{In: p.lan, MAC: walkMAC, Src: netip.MustParseAddr(p.src), Dst: netip.MustParseAddr(p.dst), Proto: "udp", Dport: p.port}
}

const walkMAC = "02:00:00:00:00:99"

func walkCannot(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("LANSEAL_LAB") == "require" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func newWalkLab(t *testing.T) *walkLab {
	t.Helper()
	if os.Geteuid() != 0 {
		walkCannot(t, "needs root for network namespaces")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	router, err := netns.New()
	if err != nil {
		walkCannot(t, "making a network namespace: %v", err)
	}
	w := &walkLab{t: t, router: router, clients: map[string]netns.NsHandle{}, captures: map[string]int{}, senders: map[string]net.Conn{}}
	t.Cleanup(func() { router.Close() })
	for _, f := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		w.sysctl(f, "1")
	}
	w.sysctl("ipv4/conf/all/rp_filter", "0")
	w.sysctl("ipv4/conf/default/rp_filter", "0")
	w.run("ip", "link", "set", "lo", "up")
	w.wire("br-lan", true, "192.168.1.1/24", "fd01::1/64")
	w.wire("br-guest", true, "192.168.2.1/24", "fd02::1/64")
	w.wire("wan", false, "203.0.113.2/24", "2001:db8:ffff::2/64")
	w.wire("mgmt", false, "10.9.0.2/24")
	w.wire("tun9", false, "10.77.0.2/24")
	w.wire("ls-se", false)
	w.wire("ls-no", false)
	w.run("ip", "route", "add", "default", "via", "203.0.113.1")
	w.run("ip", "-6", "route", "add", "default", "via", "2001:db8:ffff::1", "dev", "wan")
	if w.k, err = Open(Options{Firewall: "nft", StateDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.k.Close)
	return w
}

// wire makes a device of the router. A LAN's far end is a client that sends;
// any other's listens.
func (w *walkLab) wire(device string, lan bool, addrs ...string) {
	w.t.Helper()
	w.run("ip", "link", "add", device, "type", "veth", "peer", "name", "far")
	far, err := netns.New()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { far.Close() })
	w.must(netns.Set(w.router))
	link, err := netlink.LinkByName("far")
	w.must(err)
	w.must(netlink.LinkSetNsFd(link, int(far)))
	w.sysctl("ipv6/conf/"+device+"/accept_dad", "0")
	if !lan {
		w.run("ip", "link", "set", device, "arp", "off")
	}
	w.run("ip", "link", "set", device, "up")
	for _, a := range addrs {
		w.run("ip", "addr", "add", a, "dev", device, "nodad")
	}
	w.must(netns.Set(far))
	defer func() { w.must(netns.Set(w.router)) }()
	w.sysctl("ipv6/conf/far/accept_dad", "0")
	w.run("ip", "link", "set", "far", "address", walkMAC, "up")
	if !lan {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ALL)))
		w.must(err)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
		w.captures[device] = fd
		w.t.Cleanup(func() { unix.Close(fd) })
		return
	}
	net4, net6 := netip.MustParsePrefix(addrs[0]), netip.MustParsePrefix(addrs[1])
	base4, base6 := strings.TrimSuffix(net4.Addr().String(), ".1"), strings.TrimSuffix(net6.Addr().String(), "::1")
	w.run("ip", "addr", "add", base4+".50/24", "dev", "far")
	w.run("ip", "addr", "add", base4+".52/24", "dev", "far")
	w.run("ip", "addr", "add", base6+"::50/64", "dev", "far", "nodad")
	w.run("ip", "route", "add", "default", "via", net4.Addr().String())
	w.run("ip", "-6", "route", "add", "default", "via", net6.Addr().String())
	w.clients[device] = far
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

func (w *walkLab) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *walkLab) sysctl(path, value string) {
	w.t.Helper()
	w.must(os.WriteFile("/proc/sys/net/"+path, []byte(value), 0o644))
}

// sysctls are those that a plan may change on devices that are not lanseal's.
func (w *walkLab) sysctls() string {
	var b strings.Builder
	for _, d := range []string{"all", "br-lan", "wan", "mgmt", "tun9"} {
		v, err := readSysctl("net/ipv4/conf/" + d + "/src_valid_mark")
		fmt.Fprintln(&b, d, v, err)
	}
	return b.String()
}

// run executes a program in the router.
func (w *walkLab) run(args ...string) string {
	w.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// try is run for what may be missing.
func (w *walkLab) try(args ...string) string {
	out, err := exec.Command(args[0], args[1:]...).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

func (w *walkLab) nft(script string) {
	w.t.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("nft: %v: %s", err, out)
	}
}

const probeTag = "lanseal-probe|"

// send sends one probe from its client; that the kernel answers with an error
// is one of the things that may happen.
func (w *walkLab) send(p walkProbe, when string) {
	w.t.Helper()
	c := w.senders[p.name]
	if c == nil {
		w.must(netns.Set(w.clients[p.lan]))
		local := &net.UDPAddr{IP: net.ParseIP(p.src)}
		remote := &net.UDPAddr{IP: net.ParseIP(p.dst), Port: int(p.port)}
		var err error
		c, err = net.DialUDP("udp", local, remote)
		w.must(netns.Set(w.router))
		if err != nil {
			w.t.Fatalf("probe %s: %v", p.name, err)
		}
		if p.fresh {
			defer c.Close()
		} else {
			w.senders[p.name] = c
			w.t.Cleanup(func() { c.Close() })
		}
	}
	text := probeTag + p.name + "|" + when + "\x00"
	// A write is told of an ICMP error to an earlier probe instead of being
	// sent, and several may be on their way.
	for range 50 {
		if _, err := c.Write([]byte(text)); err == nil {
			return
		}
	}
	w.t.Errorf("probe %s, %s: never sent", p.name, when)
}

// arrived are the probes that have shown on a wire since the last call.
func (w *walkLab) arrived() []walkArrival {
	buf := make([]byte, 2048)
	var out []walkArrival
	for device, fd := range w.captures {
		for {
			n, err := unix.Read(fd, buf)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				break
			}
			_, rest, ok := bytes.Cut(buf[:n], []byte(probeTag))
			text, _, whole := bytes.Cut(rest, []byte{0})
			if name, when, found := strings.Cut(string(text), "|"); ok && whole && found {
				out = append(out, walkArrival{name, when, device})
			}
		}
	}
	return out
}

// ways are the devices by which a plan lets a flow out.
func (w *walkLab) ways(p rules.Plan, f rules.Flow) []string {
	switch got := rules.Explain(p, f); got.Outcome {
	case rules.ByMain:
		return []string{"wan"}
	case rules.ByExit, rules.Resolver:
		if got.Device != "" {
			return []string{got.Device}
		}
	}
	return nil
}

// control shows that the probes mean something: with the plan in force each
// arrives where Explain says, and those that are refused do not arrive.
func (w *walkLab) control(s walkStory) {
	w.t.Helper()
	want := map[walkArrival]bool{}
	when := "with " + s.name + " in force"
	for _, p := range walkProbes {
		w.send(p, when)
		for _, device := range w.ways(s.plan, p.flow()) {
			want[walkArrival{p.name, when, device}] = true
		}
	}
	for deadline := time.Now().Add(3 * time.Second); ; {
		for _, got := range w.arrived() {
			if got.when != when {
				continue
			}
			if _, ok := want[got]; !ok {
				w.t.Errorf("%s: the probe %s arrived at %s", s.name, got.probe, got.device)
			}
			delete(want, got)
		}
		if len(want) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Errorf("%s: never arrived: %v", s.name, want)
			return
		}
		runtime.Gosched()
	}
}

// plantForeign sets up what others may have on a router.
func (w *walkLab) plantForeign() {
	w.t.Helper()
	w.nft(`table inet fw4 {
	set bad { type ipv4_addr; elements = { 192.0.2.66 }; }
	chain forward { type filter hook forward priority filter; policy accept; ip saddr @bad drop; ct state established,related accept; }
	chain output { type filter hook output priority filter; policy accept; }
}
table ip nat { chain POSTROUTING { type nat hook postrouting priority srcnat; policy accept; }; }
table ip lanseal { chain forward { }; }
table inet lanseal2 { chain forward { }; }
`)
	for _, args := range []string{
		"rule add from 10.1.1.1 lookup 100 prio 100", "rule add from 10.1.1.1 lookup 5201 prio 499", "rule add from 10.1.1.1 lookup 100 prio 530",
		"rule add fwmark 0x100/0xff00 lookup 100 prio 30000", "-6 rule add from fd99::1 lookup 100 prio 100", "-6 rule add from fd99::1 lookup 100 prio 530",
		"route add default via 203.0.113.1 table 100", "route add default via 203.0.113.1 table 5199", "route add default via 203.0.113.1 table 5322",
		"-6 route add default via 2001:db8:ffff::1 dev wan table 5322",
		"route add 198.51.100.0/24 via 203.0.113.1", "route add 0.0.0.0/1 via 203.0.113.1", "-6 route add 2001:db8:5::/48 via 2001:db8:ffff::1 dev wan",
	} {
		w.run(append([]string{"ip"}, strings.Fields(args)...)...)
	}
}

// plantGarbage spoils what lanseal holds in its own ranges.
func (w *walkLab) plantGarbage() {
	w.t.Helper()
	for _, args := range []string{
		"rule add iif br-lan lookup main prio 505", "rule add from 10.0.0.0/8 lookup main prio 510", "rule add iif br-lan prohibit prio 528",
		"rule add iif br-lan tos 0x10 lookup main prio 511", "rule add iif br-lan lookup main suppress_prefixlength 0 prio 504", "rule add not iif br-lan lookup main prio 506",
		"rule add fwmark 0x1 lookup main prio 507", "rule add iif br-lan ipproto tcp dport 80-90 lookup main prio 508", "rule add iif br-lan goto 32766 prio 509",
		"-6 rule add iif br-lan lookup main prio 505", "-6 rule add from fd00::/8 lookup main prio 510",
		"route add 9.0.0.0/8 via 203.0.113.1 table 5201", "route replace default dev wan table 5202", "route add 203.0.113.0/24 dev wan table 5200",
		"route add blackhole 10.0.0.0/8 table 5320", "route add 8.0.0.0/8 table 5202 nexthop via 203.0.113.1 nexthop via 203.0.113.9",
		"route add default dev wan table 5201 metric 7", "route add prohibit default table 5203 metric 4294967294", "route add throw 7.0.0.0/8 table 5201",
		"-6 route append default via 2001:db8:ffff::1 dev wan table 5201", "-6 route add 2001:db8:5::/48 dev wan table 5200", "-6 route add unreachable default table 5204 metric 5",
		"-6 route add default dev wan table 5202 metric 1", "-6 route add blackhole 2001:db8:7::/48 table 5202",
	} {
		w.run(append([]string{"ip"}, strings.Fields(args)...)...)
	}
	for _, args := range []string{"rule del prio 520", "-6 rule del prio 520", "rule del prio 502", "route del unreachable default table 5201 metric 4294967295", "-6 route flush table 5202"} {
		w.try(append([]string{"ip"}, strings.Fields(args)...)...)
	}
	w.nft("add table inet lanseal_guard\nadd table inet lanseal\nadd chain inet lanseal garbage\n")
}
