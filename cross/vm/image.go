package main

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/lanseal/lanseal/agent/lab"
)

// guest holds the scripts of every guest; their mode is by their first line.
//
//go:embed guest
var guest embed.FS

// entry is one file of a root file system.
type entry struct {
	mode uint32 // type and permissions, as in stat
	data []byte // a link's target
}

const (
	modeDir  = 0o040755
	modeFile = 0o100644
	modeExec = 0o100755
	modeLink = 0o120777
)

// packageFile is where opkg finds lanseal's package in the guest.
const packageFile = "feed/lanseal.ipk"

// image is a root file system by path, without leading slashes.
type image map[string]entry

// newImage is what the architecture's guest boots from: a router without lanseal,
// whose package lies in its memory as if opkg had fetched it.
func newImage(root string, a arch, ipk []byte) (image, error) {
	im := image{}
	for _, d := range []string{"dev", "mnt", "overlay", "proc", "sys", "tmp", "usr/bin", "usr/sbin", "etc/rc.d", "etc/config"} {
		im.dir(d)
	}
	if ipk != nil {
		im.file(packageFile, ipk, false)
	}
	base, err := os.ReadFile(filepath.Join(root, "openwrt", "testdata", "root", "lib", "functions.sh"))
	if err != nil {
		return nil, err
	}
	im.file("lib/functions.sh", base, false)
	scripts, err := fs.Sub(guest, "guest")
	if err != nil {
		return nil, err
	}
	for _, from := range []fs.FS{scripts, os.DirFS(a.parts().root()), os.DirFS(a.parts().modules())} {
		if err := im.copy(from); err != nil {
			return nil, err
		}
	}
	if a.image != "" {
		im.file("etc/modules.boot", []byte(modulesAtBoot), false)
		im.link("sbin/modprobe", "/bin/busybox") // the kernel asks for it there
	} else {
		for _, name := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
			im.link("usr/sbin/"+name, "xtables-legacy-multi")
		}
	}
	im.file("etc/lab.conf", []byte(labConf(a)), false)
	return im, im.enable()
}

// modulesAtBoot are what OpenWrt's kmodloader would load; nft's expressions are
// loaded by the kernel when they are first used.
const modulesAtBoot = `crc32c_generic virtio_pci virtio_console virtio_net virtio_blk ata_piix sd_mod mtdblock jffs2 overlay
bridge wireguard tun nf_tables nf_conntrack nf_flow_table nf_flow_table_inet nft_chain_nat
`

// labConf tells the guest's network script what the lab expects.
func labConf(a arch) string {
	offload := 0
	if a.nft {
		offload = 1
	}
	return fmt.Sprintf(`LAN_PORT=eth0
LAN_MAC=%s
LAN_ADDRESSES="%s/24 %s/64 %s/64"
WAN_PORT=eth1
WAN_ADDRESSES="%s/24 %s/64"
GATEWAY4=%s
GATEWAY6=%s
FLOW_OFFLOADING=%d
`, lab.MACRouterLAN, lab.RouterLAN4, lab.RouterLAN6, lab.RouterGUA, lab.WAN4, lab.WAN6, lab.Gateway4, lab.Gateway6, offload)
}

func (im image) dir(p string) {
	for ; p != "."; p = path.Dir(p) {
		if _, there := im[p]; !there {
			im[p] = entry{mode: modeDir}
		}
	}
}

func (im image) file(p string, data []byte, executable bool) {
	im.dir(path.Dir(p))
	mode := uint32(modeFile)
	if executable {
		mode = modeExec
	}
	im[p] = entry{mode, data}
}

func (im image) link(p, to string) {
	im.dir(path.Dir(p))
	im[p] = entry{modeLink, []byte(to)}
}

// copy adds every file of a tree; scripts are executable.
func (im image) copy(from fs.FS) error { return im.copyBelow(".", from) }

func (im image) copyBelow(folder string, from fs.FS) error {
	return fs.WalkDir(from, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(from, p)
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		im.file(path.Join(folder, p), data, st.Mode()&0o111 != 0 || bytes.HasPrefix(data, []byte("#!")))
		return nil
	})
}

var startStop = regexp.MustCompile(`(?m)^(START|STOP)=([0-9]+)$`)

// enable makes the links by which the image's own init scripts run at boot and
// shutdown; the package makes its own.
func (im image) enable() error {
	for p, e := range im {
		name, ok := strings.CutPrefix(p, "etc/init.d/")
		if !ok {
			continue
		}
		for _, m := range startStop.FindAllStringSubmatch(string(e.data), -1) {
			letter := map[string]string{"START": "S", "STOP": "K"}[m[1]]
			im.link("etc/rc.d/"+letter+m[2]+name, "../init.d/"+name)
		}
	}
	for _, needed := range []string{"S11sysctl", "S19firewall", "S20network", "K90umount"} {
		if _, ok := im["etc/rc.d/"+needed]; !ok {
			return fmt.Errorf("no init script makes /etc/rc.d/%s", needed)
		}
	}
	return nil
}

// pack writes a gzipped cpio of the "newc" kind, which kernels unpack
// (buffer-format.rst of their documentation).
func (im image) pack() ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	names := make([]string, 0, len(im))
	for name := range im {
		names = append(names, name)
	}
	slices.Sort(names) // folders before what is in them
	for i, name := range names {
		writeCPIO(&b, i+1, name, im[name])
	}
	writeCPIO(&b, 0, "TRAILER!!!", entry{})
	if _, err := z.Write(b.Bytes()); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func writeCPIO(b *bytes.Buffer, inode int, name string, e entry) {
	// Magic, inode, mode, uid, gid, links, mtime, size, device, rdev, name, check.
	fmt.Fprintf(b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		inode, e.mode, 0, 0, 1, 0, len(e.data), 0, 0, 0, 0, len(name)+1, 0)
	b.WriteString(name + "\x00")
	pad(b)
	b.Write(e.data)
	pad(b)
}

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
