package tunnel

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/rules"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

func TestDecide(t *testing.T) {
	for _, tt := range []struct {
		device, kind string
		s            socketState
		want         action
	}{
		{"ls-se", "", socketNone, create},
		{"ls-se", "", socketStale, replace},
		{"ls-se", "", socketAnswers, replace}, // its device was deleted or renamed
		{"ls-se", kindWireGuard, socketNone, adopt},
		{"ls-se", kindWireGuard, socketStale, adopt}, // the kernel's device needs no socket
		{"ls-se", kindTUN, socketAnswers, adopt},
		{"ls-se", kindTUN, socketNone, replace},
		{"ls-se", kindTUN, socketStale, replace},
		{"ls-se", kindTUN, socketDeaf, replace},
		{"tun0", kindTUN, socketNone, refuse}, // somebody's openvpn
		{"tun0", kindTUN, socketAnswers, adopt},
		{"ls-se", "bridge", socketNone, refuse},
		{"ls-se", "bridge", socketAnswers, refuse},
	} {
		if got := decide(tt.device, tt.kind, tt.s); got != tt.want {
			t.Errorf("%s, %q, socket %d: %d, want %d", tt.device, tt.kind, tt.s, got, tt.want)
		}
	}
}

// The kernel comes first; only a kernel that has no WireGuard leads to a child.
func TestKernelFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		kernel  error
		child   bool
		wantErr bool
	}{
		"kernel has it":        {nil, false, false},
		"somebody was faster":  {unix.EEXIST, false, false},
		"kernel has it not":    {unix.EOPNOTSUPP, true, false},
		"no right to":          {unix.EPERM, false, true},
		"no memory":            {unix.ENOMEM, false, true},
		"netlink had no space": {unix.ENOBUFS, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			spawned := false
			err := makers{kernel: func() error { return tt.kernel }, child: func() error { spawned = true; return nil }}.make()
			if spawned != tt.child || (err != nil) != tt.wantErr || tt.wantErr && !errors.Is(err, tt.kernel) {
				t.Errorf("child %v, error %v", spawned, err)
			}
		})
	}
}

// This machine's kernel says what the decision above expects, or has WireGuard.
func TestKernelsAnswer(t *testing.T) {
	needLab(t)
	err := addKernelLink("ls-kernel")
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("got %v", err)
	}
	must(t, removeLink("ls-kernel"))
}

func TestDiff(t *testing.T) {
	key := func(b byte) wgtypes.Key { return wgtypes.Key{b} }
	psk := [32]byte{9}
	conf := WireGuard{
		PrivateKey: [32]byte{1, 31: 0xff}, ListenPort: ptr(7),
		Peers: []Peer{
			{PublicKey: key(1), Endpoint: Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 1}, AllowedIPs: []netip.Prefix{netip.MustParsePrefix("::/0"), netip.MustParsePrefix("10.0.0.1/8")}},
			{PublicKey: key(2), PresharedKey: &psk, Keepalive: 5 * time.Second, AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::ffff:192.0.2.0/120")}},
		},
	}
	_, all4, err := net.ParseCIDR("10.0.0.0/8")
	must(t, err)
	_, all6, err := net.ParseCIDR("::/0")
	must(t, err)
	_, doc, err := net.ParseCIDR("192.0.2.0/24")
	must(t, err)
	same := func() *wgtypes.Device {
		return &wgtypes.Device{
			PrivateKey: wgtypes.Key{0, 31: 0x7f}, ListenPort: 7, FirewallMark: int(rules.MarkTransport),
			Peers: []wgtypes.Peer{
				{PublicKey: key(2), PresharedKey: psk, PersistentKeepaliveInterval: 5 * time.Second, AllowedIPs: []net.IPNet{*doc, *all4}, Endpoint: &net.UDPAddr{IP: net.IP{1, 2, 3, 4}, Port: 4}},
				{PublicKey: key(1), PersistentKeepaliveInterval: 25 * time.Second, AllowedIPs: []net.IPNet{*all6}, Endpoint: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}},
			},
		}
	}
	for name, tt := range map[string]struct {
		have  func(*wgtypes.Device)
		keep  bool
		stale bool
		want  string
	}{
		"nothing differs":         {func(*wgtypes.Device) {}, false, false, ""},
		"new device":              {func(d *wgtypes.Device) { *d = wgtypes.Device{} }, false, false, "key port mark add1 add2"},
		"mark":                    {func(d *wgtypes.Device) { d.FirewallMark = 0 }, false, false, "mark"},
		"port":                    {func(d *wgtypes.Device) { d.ListenPort = 8 }, false, false, "port"},
		"private key":             {func(d *wgtypes.Device) { d.PrivateKey[3]++ }, false, false, "remove1 remove2 key add1 add2"},
		"preshared key":           {func(d *wgtypes.Device) { d.Peers[0].PresharedKey = wgtypes.Key{} }, false, false, "remove2 add2"},
		"a stranger":              {func(d *wgtypes.Device) { d.Peers = append(d.Peers, wgtypes.Peer{PublicKey: key(3)}) }, false, false, "remove3"},
		"a peer missing":          {func(d *wgtypes.Device) { d.Peers = d.Peers[:1] }, false, false, "add1"},
		"keepalive":               {func(d *wgtypes.Device) { d.Peers[0].PersistentKeepaliveInterval = 0 }, false, false, "keepalive2"},
		"allowed":                 {func(d *wgtypes.Device) { d.Peers[0].AllowedIPs = nil }, false, false, "allowed2"},
		"endpoint with a session": {func(d *wgtypes.Device) { d.Peers[1].Endpoint.Port = 2 }, false, false, "endpoint1"},
		"endpoint without one":    {func(d *wgtypes.Device) { d.Peers[1].Endpoint.Port = 2 }, false, true, "remove1 add1"},
		"endpoint that roamed":    {func(d *wgtypes.Device) { d.Peers[1].Endpoint.Port = 2 }, true, false, ""},
		"no endpoint":             {func(d *wgtypes.Device) { d.Peers[1].Endpoint = nil }, false, true, "remove1 add1"},
	} {
		t.Run(name, func(t *testing.T) {
			have := same()
			tt.have(have)
			target := newTarget(conf, func(p Peer) netip.AddrPort { return netip.AddrPortFrom(p.Endpoint.Addr, p.Endpoint.Port) })
			c := diff(have, target, peerView{
				keep:  func(targetPeer, wgtypes.Peer) bool { return tt.keep },
				stale: func(wgtypes.Peer) bool { return tt.stale },
			})
			if got := describe(c); got != tt.want || c.none() != (tt.want == "") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			for _, p := range c.set.Peers {
				if p.PublicKey == key(2) && !p.UpdateOnly && (*p.PresharedKey != psk || p.Endpoint == nil && len(have.Peers) == 2) {
					t.Errorf("added without its key or its endpoint: %+v", p.Endpoint)
				}
			}
		})
	}
}

// A peer whose name is not answered yet is not added: its first handshake
// would fail, and the next would come 5 s later.
func TestDiffWaitsForName(t *testing.T) {
	conf := WireGuard{Peers: []Peer{{Endpoint: Endpoint{Host: "vpn.example.net", Port: 1}}}}
	target := newTarget(conf, func(Peer) netip.AddrPort { return netip.AddrPort{} })
	if c := diff(&wgtypes.Device{FirewallMark: transportMark}, target, peerView{}); !c.none() {
		t.Errorf("got %s", describe(c))
	}
}

func describe(c changes) string {
	var out []string
	say := func(ok bool, word string) {
		if ok {
			out = append(out, word)
		}
	}
	n := func(p wgtypes.PeerConfig) string { return string('0' + rune(p.PublicKey[0])) }
	for _, k := range "123" {
		for _, p := range c.remove {
			say(n(p) == string(k), "remove"+string(k))
		}
	}
	say(c.set.PrivateKey != nil, "key")
	say(c.set.ListenPort != nil, "port")
	say(c.set.FirewallMark != nil, "mark")
	for _, p := range c.set.Peers {
		say(!p.UpdateOnly, "add"+n(p))
		say(p.UpdateOnly && p.Endpoint != nil, "endpoint"+n(p))
		say(p.UpdateOnly && p.PersistentKeepaliveInterval != nil, "keepalive"+n(p))
		say(p.UpdateOnly && p.ReplaceAllowedIPs, "allowed"+n(p))
	}
	return strings.Join(out, " ")
}

func TestLinkMessages(t *testing.T) {
	message := func(kind uint16, index, flags uint32) []byte {
		b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg+3)
		binary.NativeEndian.PutUint32(b, uint32(len(b)))
		binary.NativeEndian.PutUint16(b[4:], kind)
		binary.NativeEndian.PutUint32(b[unix.SizeofNlMsghdr+4:], index)
		binary.NativeEndian.PutUint32(b[unix.SizeofNlMsghdr+8:], flags)
		return append(b, 0) // padding to 4
	}
	b := append(message(unix.RTM_NEWLINK, 7, unix.IFF_UP), message(unix.RTM_NEWADDR, 8, 0)...)
	b = append(b, message(unix.RTM_DELLINK, 9, 0)...)
	got := linkMessages(b)
	if len(got) != 2 || got[0] != (linkMessage{7, true, false}) || got[1] != (linkMessage{9, false, true}) {
		t.Errorf("got %+v", got)
	}
	for n := range b {
		linkMessages(b[:n]) // no panic
	}
}

func TestValidDevice(t *testing.T) {
	for _, bad := range []string{"", ".", "..", "a/b", "../x", "sixteen-letters-", "a b", "a\n", "ä"} {
		if validDevice(bad) {
			t.Errorf("%q is taken for a device", bad)
		}
	}
	if !validDevice("ls-abcdefghijkl") {
		t.Error("the longest exit name is refused")
	}
	if ChildMain(nil) != exitUsage || ChildMain([]string{"../x"}) != exitUsage {
		t.Error("the child takes any name")
	}
}
