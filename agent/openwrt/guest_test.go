package openwrt

import (
	"slices"
	"strings"
	"testing"
)

// Arming and disarming leaves every byte of /etc as it was, on every release.
func TestRestoresEveryRelease(t *testing.T) {
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			b := newBox(t, release)
			before := b.etc()
			r := b.turn(armed())
			if r.Error != "" || !slices.Equal(r.LAN, []string{"br-lan"}) || r.Resolver != "ls-se" {
				t.Fatalf("armed: %+v", r)
			}
			for _, want := range []string{"config rule 'lanseal_block4_lan'", "config rule6 'lanseal_block6_lan'", "option priority '520'", "list ip6class 'local'", "option ula_prefix"} {
				if !strings.Contains(b.read("etc/config/network"), want) {
					t.Errorf("network lacks %s:\n%s", want, b.read("etc/config/network"))
				}
			}
			for _, want := range []string{"option noresolv '1'", "option localuse '1'"} {
				if !strings.Contains(b.read("etc/config/dhcp"), want) {
					t.Errorf("dhcp lacks %s:\n%s", want, b.read("etc/config/dhcp"))
				}
			}
			if told := b.told(); told != "network reload\ndnsmasq restart\nodhcpd reload" && told != "network reload\nfirewall reload\ndnsmasq restart\nodhcpd reload" {
				t.Errorf("told: %s", told)
			}
			b.turn(armed())
			if told := b.told(); told != "" {
				t.Errorf("nothing differs, and told: %s", told)
			}
			if r := b.turn(disarmed()); r.Error != "" {
				t.Fatalf("disarmed: %+v", r)
			}
			b.same("disarmed", before)
		})
	}
}
