package main

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/lanseal/lanseal/cross/apk"
	"github.com/lanseal/lanseal/cross/tree"
)

// apk knows nothing of init scripts and conffiles. OpenWrt's base scripts do,
// from files that the build system puts into every package below this folder.
const apkLists = "/lib/apk/packages/"

// withLists adds the lists: of all files and links (they tell default_postinst
// which services to enable and start), of conffiles, and of their hashes as
// shipped (they tell sysupgrade which ones the user changed).
func withLists(t tree.Tree, p product) (tree.Tree, error) {
	lines := func(suffix, text string) tree.Entry {
		return tree.Entry{Path: apkLists + p.name + suffix, Mode: 0o644, Data: []byte(text)}
	}
	more := []tree.Entry{lines(".list", strings.Join(t.Paths(), "\n")+"\n")}
	if len(p.conffiles) > 0 {
		more = append(more, lines(".conffiles", strings.Join(p.conffiles, "\n")+"\n"))
		var static strings.Builder
		for _, c := range p.conffiles {
			if e, ok := t.Find(c); ok && e.Kind == tree.File {
				fmt.Fprintf(&static, "%s %x\n", c, sha256.Sum256(e.Data))
			}
		}
		if static.Len() > 0 {
			more = append(more, lines(".conffiles_static", static.String()))
		}
	}
	return t.With(more...)
}

// scripts are the bodies that the build system writes, with the package's own
// part at the end, in a shell of its own so that its exit ends nothing else.
func scripts(p product) apk.Scripts {
	preamble := "[ -s \"${IPKG_INSTROOT}/lib/functions.sh\" ] || exit 0\n" +
		". \"${IPKG_INSTROOT}/lib/functions.sh\"\n" +
		"export root=\"${IPKG_INSTROOT}\"\n" +
		"export pkgname=\"" + p.name + "\"\n"
	own := func(script string) string {
		if script == "" {
			return ""
		}
		return "(\n" + strings.TrimPrefix(script, "#!/bin/sh\n") + ")\n"
	}
	install := "[ \"${IPKG_NO_SCRIPT}\" = \"1\" ] && exit 0\n" + preamble + "add_group_and_user\ndefault_postinst\n"
	return apk.Scripts{
		PostInstall:   "#!/bin/sh\n" + install + own(p.postinst),
		PostUpgrade:   "#!/bin/sh\nexport PKG_UPGRADE=1\n" + install + own(p.postinst),
		PreDeinstall:  "#!/bin/sh\n" + preamble + "default_prerm\n" + own(p.prerm),
		PostDeinstall: p.postrm,
	}
}
