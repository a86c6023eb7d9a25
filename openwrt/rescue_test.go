package openwrt

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// foreign is what others have on a router; nothing that lanseal removes may
// touch it.
const foreign = `set -e
	/usr/libexec/ip-full link add br-lan type veth peer name lan-port
	ip addr add 192.168.1.1/24 dev br-lan
	ip link set br-lan up
	nft add table inet fw4
	nft add chain inet fw4 forward '{ type filter hook forward priority filter; policy drop; }'
	nft add table ip lan
	ip rule add priority 499 fwmark 0x100 lookup 100
	ip rule add priority 1001 fwmark 0x200 lookup 101
	ip -6 rule add priority 530 fwmark 0x200 lookup 101
	iptables -N theirs
	iptables -A FORWARD -m comment --comment "LANSEAL-like, but not lanseal's" -j theirs
	ip6tables -A INPUT -p udp --dport 5353 -j ACCEPT
`

// kernel is everything that lanseal could have changed in it; of iptables what
// somebody put in, because asking for a table already makes it.
func (r *router) kernel() string {
	r.t.Helper()
	return r.run(`nft list ruleset; /bin/ip rule; /bin/ip -6 rule; ls /sys/class/net
		{ iptables-save; ip6tables-save; } | sed -n '/^-A/p; s/^\(:.* -\) .*/\1/p'`)
}

// routes are those of lanseal's tables, which the busybox ip cannot show.
func (r *router) routes() (out string) {
	for _, family := range []string{"-4", "-6"} {
		out += r.run(fullIP + " " + family + " route show table all | grep -E 'table 5[23][0-9][0-9]' || true")
	}
	return out
}

const lansealsNetwork = `
config rule 'lanseal_block4'
	option in 'lan'
	option action 'unreachable'
	option priority '520'

config rule6 'lanseal_block6'
	option in 'lan'
	option action 'unreachable'
	option priority '520'
`

// Whatever lanseal has laid, with the agent alive or dead, with nft or
// iptables, the rescue takes away with a shell, and nothing else.
func TestRescue(t *testing.T) {
	for _, c := range []struct {
		name, setup string
		busybox     bool // whose ip cannot name routes in these tables
		uci         bool
	}{
		{"boot seal", "lanseal guard", true, true},
		{"boot seal, with the whole ip", "lanseal guard; ln -s /usr/libexec/ip-full /usr/sbin/ip", false, true},
		{"boot seal, iptables", "sed -i \"s/^config tunnel/\toption firewall 'iptables'\\n&/\" /etc/config/lanseal; lanseal guard", true, true},
		{"agent alive", "touch /tmp/procd/live; /etc/init.d/lanseal start; wait_for 'nft list table inet lanseal'", true, true},
		{"agent alive, no procd", "lanseal run >/tmp/log 2>&1 & wait_for 'nft list table inet lanseal'; rm /etc/init.d/lanseal", true, true},
		{"no binary, no uci", "lanseal guard; rm /usr/sbin/lanseal /sbin/uci", true, false},
		{"a tunnel is there", "lanseal guard; /usr/libexec/ip-full link add ls-se type veth peer name other; rm /usr/sbin/lanseal", true, true},
		{"nothing is there", "rm /usr/sbin/lanseal", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRouter(t)
			r.layFiles()
			r.run(foreign + "mkdir -p /tmp/procd")
			before := r.kernel()
			r.arm()
			network := r.read("/etc/config/network")
			r.write("/etc/config/network", network+lansealsNetwork, 0o644)
			r.run("wait_for() { while ! $1 >/dev/null 2>&1; do sleep 0.05; done; }\n" + c.setup)
			if held := c.name != "nothing is there"; (r.kernel() == before) == held {
				t.Fatal("lanseal laid nothing, so this shows nothing")
			}

			out := r.run("sh /etc/lanseal/unseal.sh")
			after := strings.ReplaceAll(r.kernel(), "other\n", "") // the far end of the veth
			if d := cmp.Diff(before, after); d != "" {
				t.Errorf("lanseal's are still there, or others' gone (-before +after):\n%s\n%s", d, out)
			}
			for _, line := range strings.Split(strings.TrimSpace(r.routes()), "\n") {
				if line != "" && (!c.busybox || strings.Contains(line, "ls-")) {
					t.Errorf("a route is left: %s", line)
				}
			}
			if got := r.read("/etc/config/lanseal"); !strings.Contains(got, "option enabled '0'") || !strings.Contains(got, "config tunnel 'se'") {
				t.Errorf("not switched off:\n%s", got)
			}
			if r.exists("/etc/lanseal/guard.nft") || !r.exists("/etc/lanseal/tunnels/se.conf") {
				t.Error("the seal's file is there, or the user's is gone")
			}
			if got := r.read("/etc/config/network"); strings.Contains(got, "lanseal") == c.uci || !strings.Contains(got, "interface 'lan'") {
				t.Errorf("network:\n%s", got)
			}
			if c.uci && !strings.Contains(r.read("/tmp/services"), "network reload") {
				t.Error("netifd was not told")
			}
			if out := r.run("pidof lanseal || true"); out != "" {
				t.Errorf("still running: %s", out)
			}
			// Again, and the boot after it.
			r.run("sh /etc/lanseal/unseal.sh")
			if r.exists("/usr/sbin/lanseal") {
				r.run("/etc/init.d/lanseal-guard boot")
				if d := cmp.Diff(before, strings.ReplaceAll(r.kernel(), "other\n", "")); d != "" {
					t.Errorf("the next boot seals again:\n%s", d)
				}
			}
		})
	}
}

// Values of others that lanseal changed are put back by the rescue too.
func TestRescueRestoresSysctls(t *testing.T) {
	r := newRouter(t)
	r.layFiles()
	r.run(fullIP + " link add eth0 type veth peer name isp; echo 1 >/proc/sys/net/ipv4/conf/eth0/src_valid_mark")
	r.write("/var/lib/lanseal/sysctls.json", `{"net/ipv4/conf/eth0/src_valid_mark":"0","net/ipv4/conf/gone/rp_filter":"1"}`, 0o600)
	r.run("sh /etc/lanseal/unseal.sh")
	if got := strings.TrimSpace(r.run("cat /proc/sys/net/ipv4/conf/eth0/src_valid_mark")); got != "0" || r.exists("/var/lib/lanseal/sysctls.json") {
		t.Errorf("src_valid_mark is %s", got)
	}
}

// The record of the agent's changes, as agent/openwrt writes it: a file that is
// as the agent left it is put back byte for byte; one that somebody has changed
// since stays as it is, but for the sections that are lanseal's by name.
func TestRescueRestoresFiles(t *testing.T) {
	r := newRouter(t)
	r.layFiles()
	found := map[string]string{
		"network":  "config interface 'lan'\n\toption proto 'static'   # Zürich, \"æøå\"\n",
		"dhcp":     "config dnsmasq\r\n\toption domain 'lan'\r\n",
		"firewall": "config defaults\n\toption forward 'REJECT'",
	}
	left := map[string]string{"network": found["network"] + lansealsNetwork, "dhcp": found["dhcp"] + "\toption noresolv '1'\n", "firewall": found["firewall"] + "\n"}
	type file struct {
		Found   []byte   `json:"found,omitempty"`
		Left    []string `json:"left"`
		Changes []string `json:"changes"`
	}
	// The last of them is the one that a loop over lines forgets.
	record := map[string]any{"made": []string{"/etc/passwd", "/tmp/dnsmasq.d/lanseal.conf"}}
	files := map[string]file{}
	for name, text := range left {
		r.write("/etc/config/"+name, text, 0o600)
		files[name] = file{Found: []byte(found[name]), Left: []string{strings.Repeat("0", 64), fmt.Sprintf("%x", sha256.Sum256([]byte(text)))}}
	}
	record["files"] = files
	text, err := json.Marshal(record)
	r.must(err)
	r.write("/etc/passwd", "root\n", 0o644)
	for name, changed := range map[string]string{"": "", "network": left["network"] + "\nconfig route\n"} {
		for pkg, text := range left {
			r.write("/etc/config/"+pkg, text, 0o600)
		}
		if changed != "" {
			r.write("/etc/config/"+name, changed, 0o600)
		}
		r.write("/etc/lanseal/openwrt.json", string(text), 0o600)
		r.write("/tmp/dnsmasq.d/lanseal.conf", "server=10.64.0.1@ls-se\n", 0o644)
		r.run("rm -f /tmp/services")
		out := r.run("sh /etc/lanseal/unseal.sh")
		for pkg, want := range found {
			if got := r.read("/etc/config/" + pkg); pkg != name && got != want {
				t.Errorf("%s: %q, want %q\n%s", pkg, got, want, out)
			}
		}
		if got := r.read("/etc/config/network"); changed != "" && (strings.Contains(got, "lanseal") || !strings.Contains(got, "config route") || !strings.Contains(out, "/etc/config/network has changed")) {
			t.Errorf("network: %s\n%s", got, out)
		}
		if d := cmp.Diff("network reload\nfirewall reload\ndnsmasq restart\nodhcpd reload\n", r.read("/tmp/services")); d != "" {
			t.Errorf("services (-want +got):\n%s", d)
		}
		if r.exists("/etc/lanseal/openwrt.json") || r.exists("/tmp/dnsmasq.d/lanseal.conf") || !r.exists("/etc/passwd") {
			t.Error("files of lanseal's are left, or others' gone")
		}
		if info, err := os.Stat(filepath.Join(r.root, "etc/config/dhcp")); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v %v", info, err)
		}
	}
}

// An agent that does not end on SIGTERM is ended all the same.
func TestRescueIsNotHeldUp(t *testing.T) {
	r := newRouter(t)
	r.layFiles()
	r.write("/tmp/lanseal", "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n", 0o755)
	r.run("/tmp/lanseal >/dev/null 2>&1 & while ! pidof lanseal; do :; done; kill $(pidof lanseal); pidof lanseal")
	r.run("sh /etc/lanseal/unseal.sh")
	if out := r.run("pidof lanseal || true"); out != "" {
		t.Errorf("still running: %s", out)
	}
}
