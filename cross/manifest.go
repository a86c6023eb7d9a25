package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/lanseal/lanseal/cross/tree"
)

// product is one package, whatever its format.
type product struct {
	name, title, description string
	license, section         string
	depends                  []string
	apkDepends               []string // and these on releases with apk
	conffiles                []string // files, and folders that end in "/"
	postinst, prerm          string   // the package's own part, beside the base system's
	postrm                   string   // runs as it is, after the files are gone
	noarch                   bool
}

const (
	homepage   = "https://github.com/lanseal/lanseal"
	maintainer = "lanseal <dev@lanseal.example>"
)

func agentProduct() product {
	return product{
		name: "lanseal", title: "Seals a LAN into a VPN tunnel", license: "GPL-2.0-only", section: "net",
		description: "Routes a whole LAN through WireGuard or OpenVPN, device by device,\n" +
			"and lets nothing leave beside the tunnel: not at boot, not after a crash,\n" +
			"not during an upgrade.",
		// OpenVPN is the user's choice and asked for at run time.
		depends: []string{"libc", "ca-bundle", "kmod-wireguard", "kmod-tun"},
		// On releases with opkg firewall4 brings these, and 21.02 must not have
		// them: its kernel cannot reject in prerouting, and nft is preferred to
		// iptables where it is installed. nftables is provided by nftables-json
		// and nftables-nojson.
		apkDepends: []string{"kmod-nft-core", "kmod-nft-fib", "kmod-nft-nat", "nftables"},
		conffiles:  []string{"/etc/config/lanseal", "/etc/lanseal/"},
		postinst:   settleIn,
		prerm:      unsealOnRemoval,
		postrm:     sweepUp,
	}
}

func luciProduct() product {
	return product{
		name: "luci-app-lanseal", title: "LuCI support for lanseal", license: "Apache-2.0", section: "luci",
		description: "Pages in LuCI for lanseal: state, exits, devices, settings.",
		depends:     []string{"luci-base", "lanseal"},
		postinst:    refreshLuCI,
		noarch:      true,
	}
}

// What runs on the router, beside the base system's own scripts. POSIX sh for
// busybox; each part runs in a shell of its own.
const (
	// An older rescue script may lie where a sysupgrade has kept it; package
	// managers then put the new one beside it. reload_config tells services what
	// has changed since it last looked, so a new configuration is shown to it:
	// else the first change of all would reach nobody. rpcd reads its plugins
	// when it loads; luci.lanseal is a new one. fw4 includes the way through it
	// when it loads.
	//
	// apk stops nothing before an upgrade, the base system's part only starts,
	// and procd keeps a process whose command line is unchanged: without the
	// restart the old binary would run until the next boot. Stopping leaves every
	// lock in the kernel, so nothing opens in between.
	settleIn = `#!/bin/sh
[ -n "${IPKG_INSTROOT}" ] && exit 0
for new in /etc/lanseal/unseal.sh-opkg /etc/lanseal/unseal.sh.apk-new; do
	[ -f "$new" ] && mv -f "$new" /etc/lanseal/unseal.sh
done
seen=/var/run/config.md5
if [ -f $seen ] && ! grep -q ' lanseal$' $seen; then
	sum=$(uci -q show lanseal | md5sum)
	echo "${sum%% *}  lanseal" >>$seen
fi
[ -x /etc/init.d/rpcd ] && /etc/init.d/rpcd reload
nft list table inet fw4 >/dev/null 2>&1 && /etc/init.d/firewall reload
[ "${PKG_UPGRADE}" = "1" ] && /etc/init.d/lanseal restart
exit 0
`
	// Stopping never opens the LAN, removal does: whoever removes the package
	// does not want to be sealed by what is no longer there to unseal. An
	// upgrade is no removal. A failure must not leave a package behind that can
	// neither be removed nor used, so there is the rescue, which needs no binary.
	unsealOnRemoval = `#!/bin/sh
[ -n "${IPKG_INSTROOT}" ] && exit 0
[ "${PKG_UPGRADE}" = "1" ] && exit 0
/usr/sbin/lanseal unseal --yes || sh /etc/lanseal/unseal.sh ||
	echo "lanseal: could not unseal: remove its tables (nft list tables) and rules (ip rule, 500 to 529) by hand" >&2
exit 0
`
	// What the agent has written goes; the configuration and the tunnel files
	// are the user's and stay, where they differ from the package's. The agent
	// saves its state when it stops, so its end comes first.
	sweepUp = `#!/bin/sh
[ -n "${IPKG_INSTROOT}" ] && exit 0
[ "${PKG_UPGRADE}" = "1" ] && exit 0
tries=0
while [ $tries -lt 12 ] && pidof lanseal >/dev/null; do
	sleep 1
	tries=$((tries + 1))
done
rm -rf /var/lib/lanseal /var/run/lanseal.sock
rm -f /etc/lanseal/state.db* /etc/lanseal/openwrt.json.old /etc/config/lanseal-opkg /etc/config/lanseal.apk-new
rmdir /etc/lanseal/tunnels /etc/lanseal 2>/dev/null
[ -d /etc/lanseal ] && echo "lanseal: your tunnel files, with their keys, are still in /etc/lanseal" >&2
[ -x /etc/init.d/rpcd ] && /etc/init.d/rpcd reload
nft list table inet fw4 >/dev/null 2>&1 && /etc/init.d/firewall reload
exit 0
`
	refreshLuCI = `#!/bin/sh
[ -n "${IPKG_INSTROOT}" ] && exit 0
rm -f /tmp/luci-indexcache.*
rm -rf /tmp/luci-modulecache/
[ -x /etc/init.d/rpcd ] && /etc/init.d/rpcd reload
exit 0
`
)

// agentTree is what lanseal puts on a router: the binary, the link that makes it
// an rpcd plugin, and everything below openwrt/files, mapped 1:1 to /.
func agentTree(root, binary string) (tree.Tree, error) {
	data, err := os.ReadFile(binary)
	if err != nil {
		return tree.Tree{}, err
	}
	entries := []tree.Entry{
		{Path: "/usr/sbin/lanseal", Mode: 0o755, Data: data},
		{Path: "/usr/libexec/rpcd/luci.lanseal", Kind: tree.Link, Target: "/usr/sbin/lanseal"},
		// Tunnel files hold private keys.
		{Path: "/etc/lanseal", Kind: tree.Dir, Mode: 0o700},
		{Path: "/etc/lanseal/tunnels", Kind: tree.Dir, Mode: 0o700},
	}
	more, err := staged(filepath.Join(root, "openwrt", "files"), "/")
	if err != nil {
		return tree.Tree{}, err
	}
	t, err := tree.New(append(entries, more...)...)
	if err != nil {
		return t, err
	}
	return withKeep(t, agentProduct())
}

// luciTree is what the LuCI app puts on a router, or nothing when there is no
// app. As luci.mk has it: htdocs goes to /www, root to /.
func luciTree(root string) (tree.Tree, bool, error) {
	var entries []tree.Entry
	for _, base := range []string{"luci", "luci/luci-app-lanseal"} {
		for from, to := range map[string]string{"htdocs": "/www", "root": "/"} {
			more, err := staged(filepath.Join(root, base, from), to)
			if err != nil {
				return tree.Tree{}, false, err
			}
			entries = append(entries, more...)
		}
	}
	if len(entries) == 0 {
		return tree.Tree{}, false, nil
	}
	t, err := tree.New(entries...)
	return t, err == nil, err
}

// staged lists the files below a folder as they lie on the router below to; none
// if there is no such folder. Folders come with their files.
func staged(folder, to string) ([]tree.Entry, error) {
	var out []tree.Entry
	err := filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		if name == folder && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		rel, err := filepath.Rel(folder, name)
		if err != nil {
			return err
		}
		e := tree.Entry{Path: path.Join(to, filepath.ToSlash(rel))}
		if d.Type()&fs.ModeSymlink != 0 {
			e.Kind = tree.Link
			e.Target, err = os.Readlink(name)
		} else {
			e.Data, err = os.ReadFile(name)
			e.Mode = modeOf(e.Path, e.Data)
		}
		if err != nil {
			return err
		}
		if strings.HasPrefix(e.Path, "/etc/init.d/") && e.Mode != 0o755 {
			return fmt.Errorf("%s is no script: rc.common could not start it", name)
		}
		out = append(out, e)
		return nil
	})
	return out, err
}

// modeOf is the mode on the router. It is not that of the file here, which a
// checkout or an archive may change.
func modeOf(p string, data []byte) uint32 {
	mode := uint32(0o644)
	if bytes.HasPrefix(data, []byte("#!")) {
		mode = 0o755
	}
	if strings.HasPrefix(p, "/etc/lanseal/") {
		mode &= 0o700 // secrets live there
	}
	return mode
}

// withKeep adds /lib/upgrade/keep.d for what sysupgrade shall keep and cannot
// find by itself: conffiles that are no regular files of the package.
func withKeep(t tree.Tree, p product) (tree.Tree, error) {
	var keep []string
	for _, c := range p.conffiles {
		if e, ok := t.Find(c); !ok || e.Kind != tree.File {
			keep = append(keep, c)
		}
	}
	file := "/lib/upgrade/keep.d/" + p.name
	if len(keep) == 0 {
		return t, nil
	}
	if e, ok := t.Find(file); ok {
		for _, k := range keep {
			if !strings.Contains("\n"+string(e.Data), "\n"+k+"\n") {
				return t, fmt.Errorf("%s is staged and does not list %s", file, k)
			}
		}
		return t, nil
	}
	return t.With(tree.Entry{Path: file, Mode: 0o644, Data: []byte(strings.Join(keep, "\n") + "\n")})
}
