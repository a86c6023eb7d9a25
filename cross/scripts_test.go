package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// router runs a script as a package manager would, in a folder that stands in
// for the root: the scripts' absolute paths are moved into it. It returns what
// was called, in order.
func router(t *testing.T, script string, env ...string) []string {
	t.Helper()
	root := t.TempDir()
	put(t, root, map[string]string{
		"lib/functions.sh": "add_group_and_user() { echo \"users $pkgname\" >>\"$CALLS\"; }\n" +
			"default_postinst() { echo \"postinst $pkgname upgrade=$PKG_UPGRADE\" >>\"$CALLS\"; }\n" +
			"default_prerm() { echo \"prerm $pkgname\" >>\"$CALLS\"; }\n",
		"tmp/luci-indexcache.x": "old", "tmp/luci-modulecache/x": "old",
	})
	for _, name := range []string{"etc/init.d/lanseal", "etc/init.d/rpcd", "etc/init.d/firewall", "usr/sbin/lanseal", "etc/lanseal/unseal.sh"} {
		if err := writeFile(filepath.Join(root, name), []byte("#!/bin/sh\necho \"${0##*/} $*\" >>\"$CALLS\"\nexit ${FAIL:-0}\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The machine's own programs must not be asked either.
	for name, text := range map[string]string{"pidof": "exit 1\n", "nft": "exit 0\n", "uci": "echo lanseal.main=lanseal\n"} {
		if err := writeFile(filepath.Join(root, "bin", name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Every absolute path but the one below IPKG_INSTROOT, wherever it stands:
	// the machine's own lanseal must not be run.
	script = strings.ReplaceAll(script, "${IPKG_INSTROOT}/lib/", "${IPKG_INSTROOT:-"+root+"}/lib/")
	for _, dir := range []string{"/etc/init.d/", "/etc/lanseal", "/etc/config/", "/usr/sbin/", "/var/", "/tmp/luci"} {
		script = strings.ReplaceAll(script, dir, root+dir)
	}
	calls := filepath.Join(root, "calls")
	cmd := exec.Command("sh", "-c", script, "script", "0.1.0-r1")
	cmd.Env = append(append(os.Environ(), "CALLS="+calls, "PATH="+filepath.Join(root, "bin")+":"+os.Getenv("PATH")), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, script)
	}
	text, _ := os.ReadFile(calls)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// On apk an upgrade really restarts the agent, and nothing but a removal opens
// the LAN.
func TestApkScripts(t *testing.T) {
	s := scripts(agentProduct())
	for name, c := range map[string]struct {
		script string
		env    []string
		want   []string
	}{
		"install":              {s.PostInstall, nil, []string{"users lanseal", "postinst lanseal upgrade=", "rpcd reload", "firewall reload"}},
		"upgrade":              {s.PostUpgrade, nil, []string{"users lanseal", "postinst lanseal upgrade=1", "rpcd reload", "firewall reload", "lanseal restart"}},
		"remove":               {s.PreDeinstall, nil, []string{"prerm lanseal", "lanseal unseal --yes"}},
		"removed":              {s.PostDeinstall, nil, []string{"rpcd reload", "firewall reload"}},
		"told to run nothing":  {s.PostUpgrade, []string{"IPKG_NO_SCRIPT=1"}, []string{""}},
		"not OpenWrt":          {s.PostInstall, []string{"IPKG_INSTROOT=/nonexistent"}, []string{""}},
		"a removal that fails": {s.PreDeinstall, []string{"FAIL=1"}, []string{"prerm lanseal", "lanseal unseal --yes", "unseal.sh"}},
		"a restart that fails": {s.PostUpgrade, []string{"FAIL=1"}, []string{"users lanseal", "postinst lanseal upgrade=1", "rpcd reload", "firewall reload", "lanseal restart"}},
		"an app, installed":    {scripts(luciProduct()).PostInstall, nil, []string{"users luci-app-lanseal", "postinst luci-app-lanseal upgrade=", "rpcd reload"}},
		"an app, upgraded":     {scripts(luciProduct()).PostUpgrade, nil, []string{"users luci-app-lanseal", "postinst luci-app-lanseal upgrade=1", "rpcd reload"}},
		"an app, removed":      {scripts(luciProduct()).PreDeinstall, nil, []string{"prerm luci-app-lanseal"}},
		"opkg: install":        {settleIn, []string{"PKG_UPGRADE=0"}, []string{"rpcd reload", "firewall reload"}},
		"opkg: upgrade":        {settleIn, []string{"PKG_UPGRADE=1"}, []string{"rpcd reload", "firewall reload", "lanseal restart"}},
		"opkg: removal":        {unsealOnRemoval, []string{"PKG_UPGRADE=0"}, []string{"lanseal unseal --yes"}},
		"opkg: removed":        {sweepUp, []string{"PKG_UPGRADE=0"}, []string{"rpcd reload", "firewall reload"}},
		"opkg: old one goes":   {unsealOnRemoval, []string{"PKG_UPGRADE=1"}, []string{""}},
		"opkg: old one gone":   {sweepUp, []string{"PKG_UPGRADE=1"}, []string{""}},
		"from an image":        {unsealOnRemoval, []string{"IPKG_INSTROOT=/image"}, []string{""}},
		"out of an image":      {sweepUp, []string{"IPKG_INSTROOT=/image"}, []string{""}},
		"into an image":        {settleIn, []string{"IPKG_INSTROOT=/image"}, []string{""}},
	} {
		if d := cmp.Diff(c.want, router(t, c.script, c.env...)); d != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", name, d, c.script)
		}
	}
}

// Into an image, base scripts run and nothing of the build machine is touched.
func TestApkScriptsIntoAnImage(t *testing.T) {
	image := t.TempDir()
	put(t, image, map[string]string{"lib/functions.sh": "add_group_and_user() { :; }\ndefault_postinst() { echo \"postinst into $root\" >>\"$CALLS\"; }\ndefault_prerm() { :; }\n"})
	s := scripts(agentProduct())
	if d := cmp.Diff([]string{"postinst into " + image}, router(t, s.PostUpgrade, "IPKG_INSTROOT="+image)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{""}, router(t, s.PreDeinstall, "IPKG_INSTROOT="+image)); d != "" {
		t.Error(d)
	}
}
