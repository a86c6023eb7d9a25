package openwrt

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// eachManager runs a test with opkg and with apk.
func eachManager(t *testing.T, do func(t *testing.T, r *router, m manager)) {
	for name, with := range map[string]func(*router) manager{
		"opkg": func(r *router) manager { return &opkg{router: r, file: packed(r.t).ipk} },
		"apk":  func(r *router) manager { return &apkManager{router: r, file: packed(r.t).apk} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRouter(t)
			r.run("mkdir -p /tmp/procd; touch /tmp/procd/live; " + fullIP + " link add br-lan type veth peer name lan-port; " +
				"ip addr add 192.168.1.1/24 dev br-lan; ip link set br-lan up; ip link set lan-port up")
			do(t, r, with(r))
		})
	}
}

// awaits waits until the agent says the state.
func (r *router) awaits(state string) {
	r.t.Helper()
	r.run("n=0; until lanseal status --json 2>&1 | grep -q '\"state\": *\"" + state + "\"'; do n=$((n + 1)); [ $n -lt 1200 ] && sleep 0.05 || { lanseal status; cat /tmp/procd/log; exit 1; }; done")
}

func (r *router) agent() string { return strings.TrimSpace(r.read("/tmp/procd/pid")) }

// As installed, lanseal runs, and does nothing; removed again, it has left
// nothing.
func TestInstallAndRemove(t *testing.T) {
	eachManager(t, func(t *testing.T, r *router, m manager) {
		r.run("nft add table inet fw4")
		before, kernel := r.tree("/"), r.kernel()
		m.install()
		r.awaits("open")
		r.run("lanseal check")
		if d := cmp.Diff([]string{"K10lanseal", "S18lanseal-guard", "S21lanseal"}, lines(r.run("ls /etc/rc.d"))); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if d := cmp.Diff(kernel, r.kernel()); d != "" {
			t.Errorf("switched off, and the kernel is changed:\n%s", d)
		}
		const told = "rpcd reload\nfirewall reload\n" // of the plugin, and of the way through fw4
		if got := r.read("/tmp/services"); got != told {
			t.Errorf("told: %q", got)
		}
		m.remove()
		if got := r.read("/tmp/services"); got != told+told {
			t.Errorf("told in the end: %q", got)
		}
		for _, line := range difference(before, r.tree("/")) {
			if !strings.HasPrefix(line, "new: /tmp") && !strings.HasPrefix(line, "new: /usr/share") && !strings.HasPrefix(line, "new: /lib") &&
				!strings.HasPrefix(line, "changed: /tmp") && !strings.HasPrefix(line, "new: /proc") && !strings.Contains(line, ": /run") {
				t.Error(line)
			}
		}
		if out := r.run("pidof lanseal || true"); out != "" {
			t.Errorf("still running: %s", out)
		}
	})
}

// Installed, armed, upgraded twice and removed: /etc is as it was but for what
// the user wrote, the kernel is as it was, and neither lock was gone for a
// moment before the removal.
func TestLife(t *testing.T) {
	eachManager(t, func(t *testing.T, r *router, m manager) {
		before, kernel := r.tree("/etc"), r.kernel()
		m.install()
		r.awaits("open")
		r.arm()
		r.run("/etc/init.d/lanseal reload")
		r.awaits("connecting")
		if r.read("/etc/lanseal/guard.nft") == "" {
			t.Error("armed, and there is no boot seal")
		}
		pid := r.agent()

		r.write("/etc/lanseal/state.db", "the agent's", 0o600)
		watch := r.watchLocks()
		for range 2 { // to a newer one, and to an older one
			m.install()
			r.awaits("connecting")
			if r.agent() == pid {
				t.Error("the old agent still runs")
			}
			pid = r.agent()
		}
		r.run("/etc/init.d/lanseal restart; /etc/init.d/lanseal-guard restart; /etc/init.d/lanseal stop; /etc/init.d/lanseal-guard stop; /etc/init.d/lanseal start")
		watch()
		if got := r.read("/etc/config/lanseal"); got != enabled {
			t.Errorf("an upgrade changed the configuration:\n%s", got)
		}
		if out := r.run("ls /etc/lanseal /etc/config | grep -v -e -opkg -e .apk-new"); strings.Contains(r.run("ls /etc/lanseal"), "unseal.sh-opkg") {
			t.Errorf("the new rescue lies beside the old one: %s", out)
		}

		if !r.exists("/etc/lanseal/state.db") {
			t.Error("an upgrade took the agent's memory")
		}
		r.write("/etc/lanseal/state.db.damaged", "the agent's", 0o600)
		m.remove()
		off := strings.Replace(enabled, "enabled '1'", "enabled '0'", 1)
		want := map[string]string{
			"/etc/config/lanseal":          "-rw-r--r-- " + off,
			"/etc/lanseal":                 "drwx------",
			"/etc/lanseal/tunnels":         "drwx------",
			"/etc/lanseal/tunnels/se.conf": "-rw------- " + provider,
		}
		after := r.tree("/etc")
		for name, text := range want {
			if after[name] != text {
				t.Errorf("the user's %s is %q", name, after[name])
			}
			delete(after, name)
		}
		for _, line := range difference(before, after) {
			t.Error(line)
		}
		if d := cmp.Diff(kernel, r.kernel()); d != "" {
			t.Errorf("the kernel is not as it was (-before +after):\n%s", d)
		}
		if out := r.run("pidof lanseal; ls -d /var/lib/lanseal /var/run/lanseal.sock 2>/dev/null || true"); out != "" {
			t.Errorf("left: %s", out)
		}

		m.install() // the second time
		r.awaits("open")
		if got := r.read("/etc/config/lanseal"); got != off {
			t.Errorf("the user's configuration is not found again:\n%s", got)
		}
		r.run("sed -i \"s/enabled '0'/enabled '1'/\" /etc/config/lanseal; /etc/init.d/lanseal reload")
		r.awaits("connecting")
		m.remove()
		after = r.tree("/etc")
		for name := range want {
			delete(after, name)
		}
		for _, line := range difference(before, after) {
			t.Errorf("after the second removal: %s", line)
		}
	})
}

// watchLocks looks at both locks, again and again, until the function that it
// returns is called.
func (r *router) watchLocks() (end func()) {
	done := make(chan struct{})
	var watching sync.WaitGroup
	looks := 0
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			looks++
			out, err := r.try("nft list tables; ip rule; ip -6 rule")
			if err != nil || !strings.Contains(out, "table inet lanseal") || strings.Count(out, "520:\tfrom all iif br-lan") != 2 {
				r.t.Errorf("look %d: a lock is gone: %v\n%s", looks, err, out)
				return
			}
		}
	})
	return func() {
		close(done)
		watching.Wait()
		if looks < 10 {
			r.t.Errorf("looked %d times: too few to tell", looks)
		}
	}
}

// The agent is broken and its binary cannot unseal: removal opens by the rescue.
func TestRemovalOfABrokenAgent(t *testing.T) {
	eachManager(t, func(t *testing.T, r *router, m manager) {
		kernel := r.kernel()
		m.install()
		r.awaits("open")
		r.arm()
		r.run("/etc/init.d/lanseal reload")
		r.awaits("connecting")
		r.run("kill -9 $(pidof lanseal)")
		r.write("/usr/sbin/lanseal", "#!/bin/sh\nexit 1\n", 0o755)
		m.remove()
		if d := cmp.Diff(kernel, r.kernel()); d != "" {
			t.Errorf("still sealed (-before +after):\n%s", d)
		}
	})
}

// The agent saves its state when it ends, and may take its time: the sweep
// comes after it.
func TestRemovalWaitsForTheAgent(t *testing.T) {
	eachManager(t, func(t *testing.T, r *router, m manager) {
		m.install()
		r.awaits("open")
		r.run("/etc/init.d/lanseal stop; while pidof lanseal; do sleep 0.05; done")
		r.write("/usr/sbin/lanseal", `#!/bin/sh
[ "$1" = run ] || exit 0
trap 'sleep 1; echo state >/etc/lanseal/state.db; exit' TERM
while :; do sleep 0.05; done
`, 0o755)
		r.run("/etc/init.d/lanseal start; while ! pidof lanseal; do sleep 0.05; done")
		m.remove()
		if r.exists("/etc/lanseal") || r.run("pidof lanseal || true") != "" {
			t.Error("left: " + r.run("ls -l /etc/lanseal; pidof lanseal || true"))
		}
	})
}

// A rescue script that a sysupgrade has kept is an old one: the package's own
// takes its place.
func TestOldRescueIsReplaced(t *testing.T) {
	eachManager(t, func(t *testing.T, r *router, m manager) {
		r.write("/etc/lanseal/unseal.sh", "#!/bin/sh\n# of an older version\n", 0o700)
		m.install()
		if strings.Contains(r.read("/etc/lanseal/unseal.sh"), "of an older version") || strings.Contains(r.run("ls /etc/lanseal"), "unseal.sh-") {
			t.Error(r.run("ls -l /etc/lanseal"))
		}
	})
}

// reload_config learns of the configuration when it is installed, so the first
// change reaches the agent.
func TestFirstChangeIsSeen(t *testing.T) {
	r := newRouter(t)
	r.write("/var/run/config.md5", "d41d8cd98f00b204e9800998ecf8427e  network\n", 0o644)
	(&opkg{router: r, file: packed(t).ipk}).install()
	check := "cd /tmp && mkdir -p check && uci show lanseal >check/lanseal && cd check && grep ' lanseal$' /var/run/config.md5 | md5sum -c -"
	if out := r.run(check); !strings.Contains(out, "OK") {
		t.Errorf("as installed: %s", out)
	}
	r.run("uci set lanseal.main.enabled=1")
	if out, err := r.try(check); err == nil || !strings.Contains(out, "FAILED") {
		t.Errorf("changed: %v: %s", err, out)
	}
	if got := lines(r.read("/var/run/config.md5")); len(got) != 2 {
		t.Errorf("%q", got)
	}
}
