package openwrt

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sections are those of a package, each as text, by ID.
func (b *box) sections(pkg string) map[string]string {
	b.t.Helper()
	f, err := b.Guest.read(b.t.Context(), pkg)
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[string]string{}
	for _, s := range f.Sections {
		out[s.ID] = fmt.Sprintf("%+v", s)
	}
	return out
}

// foreignState is what other packages and their users leave on a router.
func (b *box) foreignState() {
	b.t.Helper()
	b.write("etc/config/network", b.read("etc/config/network")+`
config interface 'iot'
	option device 'br-iot'
	option proto 'static'
	option ipaddr '192.168.7.1'

config rule 'mwan3_1'
	option mark '0x100/0x3f00'
	option lookup '1'
	option priority '2001'

config rule
	option in 'lan'
	option lookup '100'
	option priority '1001'
`)
	b.write("etc/config/dhcp", b.read("etc/config/dhcp")+`
config dnsmasq 'iot_dns'
	option confdir '/tmp/dnsmasq.iot.d'
	list interface 'iot'
	list server '9.9.9.9'
	option resolvfile '/tmp/resolv.iot'

config dhcp 'iot'
	option interface 'iot'
	option ra 'relay'
`)
	b.write("etc/config/mwan3", "config globals 'globals'\n\toption mmx_mask '0x3F00'\n")
	b.write("etc/nftables.d/10-mine.nft", "chain mine { }\n")
	b.write("tmp/dnsmasq.iot.d/adblock", "address=/ads.example/\n")
}

// With others' marks and rules, a resolver for another network, includes and
// zones: armed, nothing of theirs differs; disarmed, nothing at all does.
func TestForeignStateStays(t *testing.T) {
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			b := newBox(t, release).within()
			b.foreignState()
			found := b.etc()
			theirs := map[string]map[string]string{}
			for _, pkg := range packages {
				theirs[pkg] = b.sections(pkg)
			}
			if r := b.turn(armed()); r.Error != "" || r.Resolver != "ls-se" {
				t.Fatalf("%+v", r)
			}
			ours := map[string]string{"cfg01411c": "dhcp", "lan": "dhcp network", "wan": "network", "globals": "network"}
			for _, pkg := range packages {
				now := b.sections(pkg)
				for id, text := range theirs[pkg] {
					if now[id] != text && !strings.Contains(ours[id], pkg) {
						t.Errorf("%s.%s was\n%s\nand is\n%s", pkg, id, text, now[id])
					}
				}
				for id := range now {
					if theirs[pkg][id] == "" && !strings.HasPrefix(id, "lanseal_") {
						t.Errorf("%s.%s is new, and not named as lanseal's", pkg, id)
					}
				}
			}
			if b.read("tmp/dnsmasq.iot.d/adblock") == "" {
				t.Error("another's file is gone")
			}
			if _, err := os.Stat(b.path("tmp/dnsmasq.iot.d/lanseal.conf")); err == nil {
				t.Error("another network's resolver was given lanseal's upstream")
			}
			if r := b.turn(disarmed()); r.Error != "" {
				t.Fatal(r.Error)
			}
			b.same("disarmed", found)
		})
	}
}

// What somebody has staged is neither committed nor lost.
func TestStagedChangesStay(t *testing.T) {
	b := newBox(t, "24.10").within()
	b.write("tmp/.uci/network", "network.lan.ipaddr='10.9.9.1'\n")
	found := b.etc()
	if r := b.turn(armed()); r.Error != "" {
		t.Fatal(r.Error)
	}
	if strings.Contains(b.read("etc/config/network"), "10.9.9.1") {
		t.Error("what was staged has been committed")
	}
	if b.read("tmp/.uci/network") == "" {
		t.Error("what was staged is gone")
	}
	b.turn(disarmed())
	b.same("disarmed", found)
}

// Another program answers on port 53: dnsmasq and the other are left alone.
func TestForeignResolverIsLeftAlone(t *testing.T) {
	b := newBox(t, "24.10").within()
	b.write("proc/net/udp", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"+
		"  1: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0 0\n")
	b.write("proc/77/comm", "AdGuardHome\n")
	if err := os.MkdirAll(b.path("proc/77/fd"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("socket:[4711]", b.path("proc/77/fd/9")); err != nil {
		t.Fatal(err)
	}
	dhcp := b.sections("dhcp")
	r := b.turn(armed())
	if r.Error != "" || r.Resolver != "" || len(r.Notes) == 0 || !strings.Contains(r.Notes[0], "AdGuardHome") {
		t.Errorf("%+v", r)
	}
	if diff := cmp.Diff(dhcp["cfg01411c"], b.sections("dhcp")["cfg01411c"]); diff != "" {
		t.Errorf("dnsmasq was changed:\n%s", diff)
	}
	if err := os.WriteFile(b.path("proc/77/comm"), []byte("dnsmasq\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.again()
	b.within()
	if r := b.turn(armed()); r.Resolver != "ls-se" {
		t.Errorf("dnsmasq itself counts as foreign: %+v", r)
	}
}

func TestListeners(t *testing.T) {
	const table = "  sl  local_address rem_address\n" +
		" 1: 0100007F:0035 00000000:0000 07 0:0 0:0 0 0 0 11 2 0 0\n" + // 127.0.0.1
		" 2: 0101A8C0:0035 00000000:0000 07 0:0 0:0 0 0 0 12 2 0 0\n" + // 192.168.1.1
		" 3: 7F01A8C0:0035 00000000:0000 07 0:0 0:0 0 0 0 13 2 0 0\n" + // 192.168.1.127
		" 4: 00000000000000000000000001000000:0035 0:0 07 0:0 0:0 0 0 0 14 2 0 0\n" + // ::1
		" 5: 00000000000000000000000000000000:0035 0:0 07 0:0 0:0 0 0 0 15 2 0 0\n" +
		" 6: 00000000:0043 00000000:0000 07 0:0 0:0 0 0 0 16 2 0 0\nnonsense\n :0035 1 2 3 4 5 6 7 8 9\n"
	if diff := cmp.Diff([]string{"12", "13", "15"}, listeners(table)); diff != "" {
		t.Error(diff)
	}
}

// Instances that share a confdir are told the same: where one of them is not
// lanseal's business, none is kept, and the rules answer in their place.
func TestSharedConfdir(t *testing.T) {
	b := newBox(t, "23.05").within()
	b.write("etc/config/dhcp", b.read("etc/config/dhcp")+"\nconfig dnsmasq 'iot_dns'\n\tlist interface 'iot'\n\toption port '5353'\n")
	before := b.sections("dhcp")
	if r := b.turn(armed()); r.Error != "" || r.Resolver != "" {
		t.Errorf("%+v", r)
	}
	for _, id := range []string{"cfg01411c", "iot_dns"} {
		if diff := cmp.Diff(before[id], b.sections("dhcp")[id]); diff != "" {
			t.Errorf("%s was changed:\n%s", id, diff)
		}
	}
	if found, _ := filepath.Glob(b.path("tmp/dnsmasq*/lanseal.conf")); len(found) > 0 {
		t.Errorf("made %v", found)
	}
}

// A dnsmasq that does not run is not started, and nothing of it is changed.
func TestStoppedDnsmasq(t *testing.T) {
	b := newBox(t, "24.10").within()
	b.write("run/dnsmasq.stopped", "")
	if r := b.turn(armed()); r.Error != "" || r.Resolver != "" {
		t.Errorf("%+v", r)
	}
	if told := b.told(); told != "network reload" {
		t.Errorf("told: %s", told)
	}
}
