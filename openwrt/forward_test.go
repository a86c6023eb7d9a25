package openwrt

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/lanseal/lanseal/rules"
)

// The seal that needs no binary is the one that the binary has.
func TestStrictSealFile(t *testing.T) {
	text, err := os.ReadFile("files/usr/share/lanseal/guard-strict.nft")
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != rules.NFTStrict() {
		t.Error("files/usr/share/lanseal/guard-strict.nft is not what rules.NFTStrict prints: copy it")
	}
}

// fw4 is a ruleset as fw4 renders it, as far as the snippet meets it: includes
// at the heads of the chains, a policy that drops, no zone for the tunnels.
// established is fw4's own line for replies.
func fw4(snippet, established string) string {
	return fmt.Sprintf(`table inet fw4
flush table inet fw4
table inet fw4 {
	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept comment "!fw4: Accept traffic from loopback"
		ct state vmap { established : accept, related : accept } comment "!fw4: Handle inbound flows"
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		%s
		%s
		jump handle_reject
	}
	chain output {
		type filter hook output priority filter; policy accept;
	}
	chain handle_reject {
		meta l4proto tcp reject with tcp reset comment "!fw4: Reject TCP traffic"
		reject with icmpx type port-unreachable comment "!fw4: Reject any other traffic"
	}
}
`, snippet, established)
}

const fw4Replies = `ct state vmap { established : accept, related : accept } comment "!fw4: Handle forwarded flows"`

// marks stands for lanseal's own table: a client's packets get the mark of
// exit 1.
const marks = `table inet marks {
	chain prerouting {
		type filter hook prerouting priority mangle - 10;
		iifname "br-lan" ip saddr 192.168.1.50 meta mark set 0x01000000
	}
}
`

// Marked packets pass into a tunnel and replies back, through a firewall that
// knows nothing of tunnels; nothing else does.
func TestThroughFW4(t *testing.T) {
	snippet, err := os.ReadFile("files/usr/share/nftables.d/chain-pre/forward/10-lanseal.nft")
	if err != nil {
		t.Fatal(err)
	}
	r := newRouter(t)
	// A client, the router, and what is behind a tunnel and behind the WAN.
	for _, far := range []struct{ device, name, ours, theirs, peer string }{
		{"br-lan", "client", "192.168.1.1", "192.168.1.50", ""},
		{"ls-se", "exit", "10.64.0.2", "10.64.0.1", ""},
		{"eth0", "isp", "203.0.113.2", "203.0.113.1", ""},
	} {
		r.run(fmt.Sprintf(`unshare -n sleep 60 </dev/null >/dev/null 2>&1 &
			pid=$!
			echo $pid >/tmp/%[2]s
			while [ "$(readlink /proc/$pid/ns/net)" = "$(readlink /proc/1/ns/net)" ]; do :; done
			/usr/libexec/ip-full link add %[1]s type veth peer name %[2]s
			ip addr add %[3]s/24 dev %[1]s
			ip link set %[1]s up`, far.device, far.name, far.ours))
		r.run(fmt.Sprintf(`/usr/libexec/ip-full link set %[1]s netns $(cat /tmp/%[1]s)
			nsenter -t $(cat /tmp/%[1]s) -n sh -c 'ip addr add %[2]s/24 dev %[1]s; ip link set %[1]s up; ip route add default via %[3]s'`, far.name, far.theirs, far.ours))
	}
	r.run("nsenter -t $(cat /tmp/client) -n ip addr add 192.168.1.51/24 dev client")
	ping := func(from, source, to string) bool {
		_, err := r.try(fmt.Sprintf("nsenter -t $(cat /tmp/%s) -n ping -c 1 -W 1 -I %s %s", from, source, to))
		return err == nil
	}
	load := func(text string) {
		t.Helper()
		r.write("/tmp/ruleset.nft", text, 0o644)
		r.run("nft -c -f /tmp/ruleset.nft && nft -f /tmp/ruleset.nft && echo f >/proc/net/nf_conntrack 2>/dev/null || nft list tables")
	}
	load(marks)
	load(fw4("", fw4Replies))
	if ping("client", "192.168.1.50", "10.64.0.1") {
		t.Fatal("without the snippet it passes too, so this shows nothing")
	}
	load(fw4(string(snippet), fw4Replies))
	var pings sync.WaitGroup // a packet that is dropped takes a second to miss
	for _, c := range []struct {
		what, from, source, to string
		want                   bool
	}{
		{"marked, into the tunnel", "client", "192.168.1.50", "10.64.0.1", true},
		{"not marked, into the tunnel", "client", "192.168.1.51", "10.64.0.1", false},
		{"marked, to the WAN", "client", "192.168.1.50", "203.0.113.1", false},
		{"from the tunnel, unasked", "exit", "10.64.0.1", "192.168.1.50", false},
		{"from the tunnel to the WAN", "exit", "10.64.0.1", "203.0.113.1", false},
		{"from the tunnel to the router", "exit", "10.64.0.1", "192.168.1.1", false},
	} {
		pings.Go(func() {
			if got := ping(c.from, c.source, c.to); got != c.want {
				t.Errorf("%s: passes: %v, want %v", c.what, got, c.want)
			}
		})
	}
	pings.Wait()
	if _, err := r.try("ping -c 1 -W 1 10.64.0.1"); err != nil {
		t.Error("the router gets no answer through the tunnel")
	}
	// A firewall that does not let replies pass by itself.
	load(fw4(string(snippet), ""))
	if !ping("client", "192.168.1.50", "10.64.0.1") {
		t.Error("no reply comes back")
	}
	// No tunnel, no lanseal: fw4 loads, twice, and nothing is different.
	r.run("ip link del ls-se; nft delete table inet marks")
	load(fw4(string(snippet), fw4Replies))
	load(fw4(string(snippet), fw4Replies))
	if out := r.run("nft list chain inet fw4 forward"); strings.Count(out, "!lanseal") != 2 {
		t.Errorf("not once each:\n%s", out)
	}
}
