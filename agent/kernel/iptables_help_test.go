package kernel

import (
	"context"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/lanseal/lanseal/rules"
)

// iptOpen makes the firewall of a variant inside the router.
func (l *iptLab) iptOpen(t *testing.T, variant string) *IPTables {
	t.Helper()
	for _, tool := range []string{"iptables", "ip6tables"} {
		if _, err := exec.LookPath(tool + "-" + variant); err != nil {
			iptCannot(t, "needs %s-%s", tool, variant)
		}
	}
	var fw *IPTables
	var err error
	l.router.do(func() { fw, err = NewIPTables(variant) })
	if err != nil {
		t.Fatal(err)
	}
	return fw
}

// shell runs commands in the router's namespace.
func (l *iptLab) shell(t *testing.T, variant, script string) string {
	t.Helper()
	script = strings.NewReplacer("ip6tables", "ip6tables-"+variant, "iptables", "iptables-"+variant).Replace(script)
	script = strings.ReplaceAll(script, "ip6iptables-"+variant, "ip6tables-"+variant)
	var out []byte
	var err error
	l.router.do(func() { out, err = exec.Command("sh", "-ec", script).CombinedOutput() })
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

func (l *iptLab) apply(t *testing.T, fw *IPTables, want *rules.Firewall) {
	t.Helper()
	var err error
	l.router.do(func() { err = fw.Apply(context.Background(), want) })
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
}

func (l *iptLab) differs(t *testing.T, fw *IPTables, want *rules.Firewall) []string {
	t.Helper()
	var err error
	var found []string
	l.router.do(func() { found, err = fw.Differs(context.Background(), want) })
	if err != nil {
		t.Fatalf("differs: %v", err)
	}
	return found
}

// iptBothVariants runs a test with each of the two iptables.
func iptBothVariants(t *testing.T, f func(t *testing.T, variant string)) {
	for _, variant := range []string{"legacy", "nft"} {
		t.Run(variant, func(t *testing.T) { f(t, variant) })
	}
}

// iptFirewall is the usual case: default through se; .51 through no, which
// carries no IPv6; .52 direct; .53 blocked.
func iptFirewall() *rules.Firewall {
	ip := netip.MustParseAddr
	member := func(name, v4, v6 string, w rules.Way) []rules.Member {
		return []rules.Member{{Device: name, IP: ip(v4), Way: w}, {Device: name, IP: ip(v6), Way: w}}
	}
	fw := &rules.Firewall{
		LAN: []string{"lan0", "guest0"}, Uplinks: []string{"wan0"}, Default: 1 << 24,
		Hijack: true, BlockDoT: true, BlockDoH: true,
		Exits: []rules.FirewallExit{
			{
				Name: "se", Mark: 1 << 24, Device: "ls-se", Up: true, V4: true, V6: true, ClampMSS: true, Masquerade: true,
				Addresses: []netip.Addr{ip("10.64.0.2"), ip("fd64::2")}, Resolver4: ip("10.64.0.1"), Resolver6: ip("fd64::1"),
			},
			{
				Name: "no", Mark: 2 << 24, Device: "ls-no", Up: true, V4: true, ClampMSS: true, Masquerade: true,
				Addresses: []netip.Addr{ip("10.65.0.2")}, Resolver4: ip("10.65.0.1"),
			},
		},
		Exceptions: []rules.FirewallException{{
			Name: "iptv", Proto: "udp", Ports: []rules.PortRange{{First: 5000, Last: 5010}, {First: 6000, Last: 6000}},
			Dest: []netip.Prefix{netip.MustParsePrefix(iptTarget4 + "/32"), netip.MustParsePrefix("2001:db8:99::/64")},
		}},
	}
	fw.Members = append(fw.Members, member("tv", "192.168.1.51", "fd01::51", 2<<24)...)
	fw.Members = append(fw.Members, member("console", "192.168.1.52", "fd01::52", rules.Way(rules.MarkDirect))...)
	fw.Members = append(fw.Members, member("camera", "192.168.1.53", "fd01::53", rules.WayBlock)...)
	fw.Members = append(fw.Members, rules.Member{Device: "printer", MAC: "02:00:00:00:00:01", Way: rules.WayBlock})
	return fw
}

// iptMAC is the hardware address of eth0 of the host it runs in.
func iptMAC(t *testing.T) string {
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		t.Error(err)
		return ""
	}
	return link.Attrs().HardwareAddr.String()
}
