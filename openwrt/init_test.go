package openwrt

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What procd is told, command by command.
func TestAgentService(t *testing.T) {
	r := newRouter(t)
	r.layFiles()
	start := []string{
		"instance",
		"command /usr/sbin/lanseal run",
		"respawn 3600 2 0",
		"env GOMEMLIMIT=20MiB GOGC=50 GOMAXPROCS=1",
		"limits core=0 nofile=4096 4096",
		"stdout 1",
		"stderr 1",
		"term_timeout 10",
		"reload on lanseal network dhcp firewall",
		"on interface.* 2000 /etc/init.d/lanseal reload",
	}
	for command, want := range map[string][]string{
		"start":    start,
		"boot":     start,
		"stop":     {"kill lanseal"},
		"shutdown": {"kill lanseal"},
		"reload":   {"signal lanseal * HUP"},
		"restart":  append([]string{"kill lanseal"}, start...),
	} {
		r.run("rm -f /tmp/procd/calls; /etc/init.d/lanseal " + command)
		if d := cmp.Diff(want, lines(r.read("/tmp/procd/calls"))); d != "" {
			t.Errorf("%s (-want +got):\n%s", command, d)
		}
	}
}

// The order of the boot: before the firewall (19) and the network (20), and
// after it. Nothing of the guard is run at shutdown.
func TestOrder(t *testing.T) {
	r := newRouter(t)
	r.layFiles()
	r.run("/etc/init.d/lanseal enable; /etc/init.d/lanseal-guard enable")
	if d := cmp.Diff([]string{"K10lanseal", "S18lanseal-guard", "S21lanseal"}, lines(r.run("ls /etc/rc.d"))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	r.run("/etc/init.d/lanseal disable; /etc/init.d/lanseal-guard disable")
	if left := r.run("ls /etc/rc.d"); left != "" {
		t.Errorf("disabled, and still there: %s", left)
	}
}

func lines(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }

const (
	nothing = "nothing"
	names   = "the seal of the names"
	strict  = "the strict seal"
)

// What the guard lays, with the binary, without it, and with one that fails;
// each with every way in which its files can be.
func TestGuard(t *testing.T) {
	r := newRouter(t)
	r.layFiles()
	r.arm()
	r.run("lanseal guard")
	file := r.read("/etc/lanseal/guard.nft")
	if !strings.Contains(file, "br-lan") {
		t.Fatalf("no seal was written: %q", file)
	}
	binary := packed(t).binary
	broken := "#!/bin/sh\necho broken >&2\nexit 1\n"
	off := func(option string) string {
		return strings.Replace(enabled, "option "+option+" '1'", "option "+option+" '0'", 1)
	}
	if off("enabled") == enabled || off("killswitch") == enabled {
		t.Fatal("the test itself is wrong")
	}
	for _, c := range []struct{ name, binary, config, seal, want string }{
		{"as it should be", binary, enabled, file, names},
		{"no seal yet", binary, enabled, "", names},
		{"a damaged seal, and it is not needed", binary, enabled, "table inet x {", names},
		{"an invalid configuration", binary, enabled + "\toption nonsense '1'\n", file, names},
		{"an unreadable configuration", binary, "config lanseal 'main\n", file, names},
		{"an unreadable configuration and no seal", binary, "config lanseal 'main\n", "", strict},
		{"disabled", binary, off("enabled"), file, nothing},
		{"kill switch off", binary, off("killswitch"), file, nothing},

		{"no binary", "", enabled, file, names},
		{"a broken binary", broken, enabled, file, names},
		{"no binary, no seal", "", enabled, "", strict},
		{"no binary, a damaged seal", "", enabled, "table inet x {", strict},
		{"no binary, half a seal", "", enabled, file[:len(file)/2], strict},
		{"no binary, disabled", "", off("enabled"), file, nothing},
		{"no binary, disabled in a word", "", strings.Replace(enabled, "'1'", "'off'", 1), file, nothing},
		{"no binary, kill switch off", "", off("killswitch"), file, nothing},
		{"no binary, an unreadable configuration", "", "config lanseal 'main\n", file, names},
		{"no binary, no configuration", "", "", "", strict},
		{"a broken binary, disabled", broken, off("enabled"), "", nothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			r.run("nft flush ruleset; rm -f /usr/sbin/lanseal /etc/lanseal/guard.nft /etc/config/lanseal; rm -rf /var/lib/lanseal")
			for path, text := range map[string]string{"/usr/sbin/lanseal": c.binary, "/etc/lanseal/guard.nft": c.seal, "/etc/config/lanseal": c.config} {
				if text != "" {
					r.write(path, text, 0o755)
				}
			}
			// Whatever is run after the boot opens nothing.
			out, err := r.try("cd /etc/init.d; for c in boot stop shutdown restart reload disable start; do ./lanseal-guard $c || exit 1; nft list ruleset >/tmp/$c; done")
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			for _, command := range []string{"boot", "stop", "shutdown", "restart", "reload", "disable", "start"} {
				if got := seal(r.read("/tmp/" + command)); got != c.want {
					t.Errorf("after %s: %s, want %s\n%s", command, got, c.want, out)
				}
			}
		})
	}
}

// sealed says what the kernel holds.
func (r *router) sealed() string {
	r.t.Helper()
	return seal(r.run("nft list ruleset"))
}

func seal(ruleset string) string {
	switch {
	case strings.Contains(ruleset, "no valid configuration: nothing is forwarded"):
		return strict
	case strings.Contains(ruleset, "table inet lanseal_guard") && strings.Contains(ruleset, "br-lan"):
		return names
	case strings.Contains(ruleset, "lanseal"):
		return ruleset
	}
	return nothing
}

// Nothing can seal: the boot goes on, and its log says so.
func TestGuardThatCannot(t *testing.T) {
	r := newRouter(t)
	r.layFiles()
	r.arm()
	r.run("rm /usr/sbin/lanseal /usr/sbin/nft")
	out, err := r.try("/etc/init.d/lanseal-guard boot")
	if err == nil || !strings.Contains(out, "NOT SEALED") {
		t.Errorf("%v: %s", err, out)
	}
}

// The extra command is the one way to open by this script, and it opens.
func TestUnlock(t *testing.T) {
	r := newRouter(t)
	r.layFiles()
	for _, binary := range []string{packed(t).binary, "#!/bin/sh\nexit 1\n"} {
		r.arm()
		r.write("/usr/sbin/lanseal", packed(t).binary, 0o755)
		r.run("/etc/init.d/lanseal-guard start")
		if r.sealed() != names || !strings.Contains(r.run("ip rule"), "520:") {
			t.Fatal("not sealed")
		}
		r.write("/usr/sbin/lanseal", binary, 0o755)
		r.run("/etc/init.d/lanseal-guard unlock")
		if r.sealed() != nothing || strings.Contains(r.run("ip rule"), "520:") || !strings.Contains(r.read("/etc/config/lanseal"), "option enabled '0'") {
			t.Errorf("%s\n%s", r.sealed(), r.read("/etc/config/lanseal"))
		}
	}
}

// The NTP hook tells the agent what it wants to know, and is quiet without one.
func TestClockHook(t *testing.T) {
	r := newRouter(t)
	r.layFiles()
	r.write("/usr/sbin/lanseal", "#!/bin/sh\necho \"$*\" >>/tmp/told\n", 0o755)
	for _, action := range []string{"step", "stratum", "periodic", "unsync"} {
		r.run("(ACTION=" + action + "; . /etc/hotplug.d/ntp/30-lanseal)")
	}
	if d := cmp.Diff("notify time-synced\nnotify time-synced\n", r.read("/tmp/told")); d != "" {
		t.Error(d)
	}
	r.run("rm /usr/sbin/lanseal")
	if out := r.run("(ACTION=step; . /etc/hotplug.d/ntp/30-lanseal) || true"); out != "" {
		t.Errorf("says %q", out)
	}
}
