package config

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Keys of WireGuard's own manual.
const (
	testPrivate = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
	testPublic  = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
	testShared  = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="
)

func key(t *testing.T, s string) (k [32]byte) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil || copy(k[:], raw) != 32 {
		t.Fatal(s)
	}
	return k
}

func TestParseWGQuick(t *testing.T) {
	in := "\ufeff# Provider\r\n [ interface ] \r\nprivatekey=" + testPrivate + " # mine\r\n" +
		"ADDRESS = 10.64.0.2/32,fd00::2/64\r\nAddress=10.65.0.2\r\nDNS = 10.64.0.1, fd00::1 lan.example\r\n" +
		"MTU=1380\r\nListenPort = 51820\r\n; note\r\nPostUp = rm -rf /\r\nTable = off\r\n" +
		"[PEER]\r\nPublicKey = " + testPublic + "\r\nPresharedKey=" + testShared + "\r\n" +
		"Endpoint = [2001:db8::1]:51820\r\nAllowedIPs = 0.0.0.0/1, 128.0.0.0/1\r\nAllowedIPs = fd00::7/8\r\nPersistentKeepalive = 25\r\n" +
		"[Peer]\r\nPublicKey = " + testShared + "\r\nEndpoint = se.example.net:443\r\nAllowedIPs=10.0.0.0/8\r\nPersistentKeepalive = OFF\r\n"
	got, warnings, err := ParseWGQuick("se.conf", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	prefixes := func(ss ...string) (ps []netip.Prefix) {
		for _, s := range ss {
			ps = append(ps, netip.MustParsePrefix(s))
		}
		return ps
	}
	want := &WireGuard{
		PrivateKey: key(t, testPrivate), ListenPort: 51820, MTU: 1380,
		Addresses: prefixes("10.64.0.2/32", "fd00::2/64", "10.65.0.2/32"),
		DNS:       []netip.Addr{netip.MustParseAddr("10.64.0.1"), netip.MustParseAddr("fd00::1")},
		Search:    []string{"lan.example"},
		Peers: []Peer{{
			PublicKey: key(t, testPublic), PresharedKey: key(t, testShared), HasPresharedKey: true,
			Endpoint:   Endpoint{Host: "2001:db8::1", Addr: netip.MustParseAddr("2001:db8::1"), Port: 51820},
			AllowedIPs: prefixes("0.0.0.0/1", "128.0.0.0/1", "fd00::/8"), Keepalive: 25,
		}, {
			PublicKey: key(t, testShared), Endpoint: Endpoint{Host: "se.example.net", Port: 443}, AllowedIPs: prefixes("10.0.0.0/8"),
		}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	wantWarnings := []string{
		"se.conf:10: [Interface] PostUp: is ignored: lanseal sets its own marks and routes, and never runs a command of a tunnel file",
		"se.conf:11: [Interface] Table: is ignored: lanseal sets its own marks and routes, and never runs a command of a tunnel file",
	}
	if diff := cmp.Diff(wantWarnings, warnings); diff != "" {
		t.Error(diff)
	}
}

func TestParseWGQuickMessages(t *testing.T) {
	const iface = "[Interface]\nPrivateKey = " + testPrivate + "\nAddress = 10.0.0.2\n"
	const peer = "[Peer]\nPublicKey = " + testPublic + "\nAllowedIPs = ::/0\nEndpoint = 192.0.2.1:1\n"
	tests := []struct{ name, in, want string }{
		{"empty", "", "f: there is no [Interface] section: is this a wg-quick file?\nf: there is no [Peer] section: the tunnel has no other end"},
		{"utf-16", "\xff\xfe[", "f: the file is UTF-16: save it as UTF-8"},
		{"no private key", "[Interface]\nAddress=10.0.0.2\n" + peer, "f:1: [Interface] PrivateKey: is missing; the provider's file holds it"},
		{"no address", "[Interface]\nPrivateKey=" + testPrivate + "\n" + peer, "f:1: [Interface] Address: is missing; the tunnel needs an address of its own, like 10.64.0.2/32"},
		{"no peer", iface, "f: there is no [Peer] section: the tunnel has no other end"},
		{"no public key", iface + "[Peer]\nAllowedIPs=::/0", "f:4: [Peer] PublicKey: is missing; without it no peer can be recognised"},
		{"short key", "[Interface]\nPrivateKey=" + testPrivate[1:] + "\nAddress=10.0.0.2\n" + peer,
			"f:2: [Interface] PrivateKey: is no WireGuard key: 44 characters of base64, the last one '=', are right, not 43 characters"},
		{"bad key", "[Interface]\nPrivateKey=-" + testPrivate[1:] + "\nAddress=10.0.0.2\n" + peer,
			"f:2: [Interface] PrivateKey: is no WireGuard key: 44 characters of base64, the last one '=', are right; a character here is none of base64's"},
		{"zero key", "[Interface]\nPrivateKey=" + zeroKey + "\nAddress=10.0.0.2\n" + peer, "f:2: [Interface] PrivateKey: is all zero, which WireGuard takes for no key"},
		{"private key in the wrong line", iface + "Address = " + testPrivate + "\n" + peer,
			"f:4: [Interface] Address: a value that is part of a key (not repeated here) is no address or prefix, like 192.0.2.0/24 or 2001:db8::/32"},
		{"private key without '='", "[Interface]\nPrivateKey " + testPrivate + "\nPrivateKey = " + testPrivate + "\nAddress=10.0.0.2\n" + peer,
			"f:2: [Interface]: this line is not 'Key = value' (it is not repeated here; it may hold part of a key)"},
		{"key without '='", iface + "MTU 1400\nMTU\n" + peer,
			"f:4: [Interface]: this line is not 'Key = value' (it is not repeated here; it may hold part of a key)\nf:5: [Interface] MTU: there is no '=' between key and value"},
		{"unknown key", iface + "Adress = 10.0.0.3\nColour = red\n" + peer,
			"f:4: [Interface] Adress: unknown key (did you mean \"Address\"?)\nf:5: [Interface] Colour: unknown key; [Interface] may have PrivateKey, Address, DNS, MTU, ListenPort, FwMark, Table, PreUp, PostUp, PreDown, PostDown, SaveConfig"},
		{"wrong section", iface + "Endpoint = 192.0.2.1:1\n" + peer, "f:4: [Interface] Endpoint: belongs in [Peer], not in [Interface]"},
		{"before a section", "MTU = 1400\n" + iface + peer, "f:1: MTU stands before the first section: it belongs in [Interface]"},
		{"twice", iface + "MTU = 1400\nMTU = 1400\n" + peer, "f:5: [Interface] MTU: is given twice in one section; the first is on line 4"},
		{"two interfaces", iface + iface[:12] + peer, "f:4: [Interface]: a second [Interface]; the first is on line 1, and one file is one tunnel"},
		{"unknown section", iface + peer + "[Peers]\nFoo = bar\n[Peer\n", "f:8: unknown section (did you mean \"Peer\"?); a WireGuard file has [Interface] and [Peer]\nf:10: a section line ends with ']': [Interface] or [Peer] is right"},
		{"same peer", iface + peer + peer, "f:8: [Peer] PublicKey: is the one of the peer on line 4"},
		{"mtu", iface + "MTU = 12\n" + peer, `f:4: [Interface] MTU: "12" is not a whole number from 576 to 65535`},
		{"dns", iface + "DNS = 10.0.0.300, 127.0.0.1, a_b.example, -x\n" + peer,
			"f:4: [Interface] DNS: \"10.0.0.300\" is neither an address nor a search domain: it looks like an address, but is none\n" +
				"f:4: [Interface] DNS: \"127.0.0.1\" is no address that a resolver elsewhere can have\n" +
				"f:4: [Interface] DNS: \"-x\" is neither an address nor a search domain: the parts of a name have 1 to 63 characters and no '-' at either end"},
		{"endpoint without a port", iface + peer[:strings.LastIndex(peer, ":")] + "\n",
			`f:7: [Peer] Endpoint: "192.0.2.1" has no port; HOST:PORT is right, like 192.0.2.10:51820, [2001:db8::1]:51820 or se.example.net:51820`},
		{"endpoint without brackets", iface + strings.Replace(peer, "192.0.2.1", "2001:db8::1", 1),
			`f:7: [Peer] Endpoint: "2001:db8::1:1": an IPv6 address needs brackets; HOST:PORT is right, like 192.0.2.10:51820, [2001:db8::1]:51820 or se.example.net:51820`},
		{"endpoint of zeroes", iface + strings.Replace(peer, "192.0.2.1", "0.0.0.0", 1), `f:7: [Peer] Endpoint: "0.0.0.0:1": no server has such an address`},
		{"allowed", iface + strings.Replace(peer, "::/0", "10.0.0.0/33, fe80::1%a", 1),
			"f:6: [Peer] AllowedIPs: \"10.0.0.0/33\": the prefix length is a number from 0 to 32\nf:6: [Peer] AllowedIPs: \"fe80::1%a\" has a zone, which means nothing here"},
		{"amnezia", iface + "Jc = 4\nJmin = 40\njmax = 70\nH1 = 1\n" + peer,
			"f:4: [Interface] Jc: this file needs AmneziaWG (it sets Jc, Jmin, Jmax, H1), which lanseal does not speak itself: bring the tunnel up with amneziawg and use a tunnel of type 'device'"},
		{"warp", iface + peer + "Reserved = 1,2,3", "f:8: [Peer] Reserved: reserved bytes (Cloudflare WARP) are not supported by this version: remove the line if the server does without"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wg, _, err := ParseWGQuick("f", []byte(tt.in))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if wg != nil {
				t.Error("there is a tunnel in spite of errors")
			}
		})
	}
}

func TestParseWGQuickWarnings(t *testing.T) {
	in := "[Interface]\nPrivateKey = " + testPrivate + "\nAddress = 10.0.0.2\nIncludedApplications = a.b\n" +
		"[Peer]\nPublicKey = " + testPublic + "\nAllowedIPs = ::/0\n" +
		"[Peer]\nPublicKey = " + testShared + "\nPresharedKey = " + zeroKey + "\nAllowedIPs = ::/0\nEndpoint = a.example:1\n" +
		"[Peer]\nPublicKey = " + testPrivate + "\nEndpoint = a.example:1\n"
	wg, warnings, err := ParseWGQuick("f", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"f:4: [Interface] IncludedApplications: is ignored: it is for the provider's app",
		"f:5: [Peer] Endpoint: is missing: this peer has to call first",
		"f:10: [Peer] PresharedKey: is all zero, which is the same as none",
		"f:11: [Peer] AllowedIPs: ::/0 is also a prefix of peer 1 of this file: the later one gets it",
		"f:13: [Peer] AllowedIPs: is missing: this peer carries nothing; 0.0.0.0/0, ::/0 is everything",
	}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Error(diff)
	}
	if n := len(wg.Peers[0].AllowedIPs); n != 0 || wg.Peers[1].HasPresharedKey {
		t.Errorf("%d prefixes of the first peer, preshared key of the second %t", n, wg.Peers[1].HasPresharedKey)
	}
}

// TestSecretsDoNotPrint prints a whole tunnel in every way that a log or a
// message might.
func TestSecretsDoNotPrint(t *testing.T) {
	private, shared := key(t, testPrivate), key(t, testShared)
	wg := WireGuard{PrivateKey: private, Peers: []Peer{{PresharedKey: shared, HasPresharedKey: true}}}
	c := Config{Tunnels: []Tunnel{{WireGuard: &wg}}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%c", "%U"} {
		fmt.Fprintf(&out, verb+"\n", wg)
		fmt.Fprintf(&out, verb+"\n", &wg)
		fmt.Fprintf(&out, verb+"\n", wg.PrivateKey)
		fmt.Fprintf(&out, verb+"\n", c)
	}
	fmt.Fprintln(&out, wg.PrivateKey.String(), wg)
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "wg", wg, "key", wg.PrivateKey, "c", c)
	}
	if err := json.NewEncoder(&out).Encode(wg); err != nil {
		t.Fatal(err)
	}
	for _, k := range [][32]byte{private, shared} {
		for _, form := range []string{
			base64.StdEncoding.EncodeToString(k[:])[:20], fmt.Sprintf("%x", k[:8]), fmt.Sprintf("%X", k[:8]),
			fmt.Sprintf("%d %d %d", k[0], k[1], k[2]), fmt.Sprintf("%d,%d,%d", k[0], k[1], k[2]), fmt.Sprintf("%#x, %#x", k[0], k[1]),
		} {
			if strings.Contains(out.String(), form) {
				t.Errorf("the key is printed as %s", form)
			}
		}
	}
	if !wg.PrivateKey.Equal(private) || wg.PrivateKey.Equal(shared) || wg.PrivateKey.IsZero() {
		t.Error("Equal compares wrongly")
	}
}
