package openwrt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

const (
	initCommand = "router-init"
	fullIP      = "/usr/libexec/ip-full"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == initCommand {
		routerInit(os.Args[2])
	}
	status := m.Run()
	if dir, err := scratch(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(status)
}

// routerInit is a router's first process: it mounts what a root needs, buries
// the dead, and ends, and with it everything in the namespaces, when the test
// does.
func routerInit(root string) {
	setup := `mount --make-rprivate /
		mount -t proc proc "$1/proc"
		mount -t sysfs sysfs "$1/sys"
		mount --bind /dev "$1/dev"
		ip link set lo up
		echo 1 >/proc/sys/net/ipv4/ip_forward`
	if out, err := exec.Command("sh", "-ec", setup, "sh", root).CombinedOutput(); err != nil {
		fmt.Printf("setting up the router: %v: %s\n", err, bytes.ReplaceAll(out, []byte("\n"), []byte(" ")))
		os.Exit(1)
	}
	fmt.Println("ready")
	dead := make(chan os.Signal, 1)
	signal.Notify(dead, syscall.SIGCHLD)
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(0)
	}()
	for range dead {
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

// router is a root directory as on OpenWrt, in namespaces of its own.
type router struct {
	t    *testing.T
	root string
	pid  int
}

func need(t *testing.T, programs ...string) {
	t.Helper()
	err := lab.Usable()
	for _, p := range programs {
		if _, e := exec.LookPath(p); e != nil && err == nil {
			err = e
		}
	}
	if err != nil {
		if os.Getenv("LANSEAL_LAB") == "require" {
			t.Fatalf("LANSEAL_LAB=require: %v", err)
		}
		t.Skipf("%v; LANSEAL_LAB=require makes this a failure", err)
	}
}

// newRouter makes one, with OpenWrt's stand-ins and nothing of lanseal's.
func newRouter(t *testing.T) *router {
	t.Helper()
	need(t, "busybox", "nft", "ip", "iptables-legacy", "nsenter", "ldd")
	r := &router{t: t, root: filepath.Join(t.TempDir(), "root")}
	model, err := makeModel()
	r.must(err)
	// Links, because nothing here is written to in its place.
	if out, err := exec.Command("cp", "-al", model, r.root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.write("/etc/config/network", "config interface 'lan'\n\toption proto 'static'\n", 0o644)
	r.boot()
	return r
}

// makeModel makes the root directory that all routers begin with, once.
var makeModel = sync.OnceValues(func() (string, error) {
	dir, err := scratch()
	if err != nil {
		return "", err
	}
	m := model{root: filepath.Join(dir, "model")}
	for _, dir := range []string{"bin", "dev", "proc", "run", "sys", "tmp", "var/run", "var/lib", "usr/bin", "usr/sbin", "usr/lib/opkg/info", "usr/libexec/rpcd",
		"usr/lib/xtables", "etc/config", "etc/init.d", "etc/rc.d", "etc/hotplug.d/ntp"} {
		m.must(os.MkdirAll(filepath.Join(m.root, dir), 0o755))
	}
	m.must(os.CopyFS(m.root, os.DirFS("testdata/root")))
	for _, name := range []string{"sbin/uci", "etc/rc.common"} {
		m.must(os.Chmod(filepath.Join(m.root, name), 0o755))
	}
	// Services that lanseal's scripts talk to.
	for _, name := range []string{"rpcd", "network", "firewall", "dnsmasq", "odhcpd"} {
		m.must(os.WriteFile(filepath.Join(m.root, "etc/init.d", name), []byte("#!/bin/sh\necho \"$(basename $0) $*\" >>/tmp/services\n"), 0o755))
	}
	m.program("busybox", "bin/busybox")
	applets, err := exec.Command("busybox", "--list").Output()
	m.must(err)
	for _, name := range strings.Fields(string(applets)) {
		m.must(os.Symlink("busybox", filepath.Join(m.root, "bin", name)))
	}
	m.program("nft", "usr/sbin/nft")
	m.program("ip", fullIP) // not in PATH: most routers have busybox's alone
	m.program("iptables-legacy", "usr/sbin/xtables")
	for _, name := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
		m.must(os.Symlink("xtables", filepath.Join(m.root, "usr/sbin", name)))
	}
	extensions, _ := filepath.Glob("/usr/lib/*/xtables/*.so")
	for _, file := range extensions {
		m.copy(file, filepath.Join("usr/lib/xtables", filepath.Base(file)))
	}
	return m.root, m.err
})

// model is a root directory in the making, and the first error.
type model struct {
	root string
	err  error
}

func (m *model) must(err error) { m.err = errors.Join(m.err, err) }

// program copies a program and the libraries that it is linked with.
func (m *model) program(name, to string) {
	path, err := exec.LookPath(name)
	m.must(err)
	path, err = filepath.EvalSymlinks(path)
	m.must(err)
	m.copy(path, to)
	linked, _ := exec.Command("ldd", path).Output() // fails for static programs
	for _, lib := range regexp.MustCompile(`(/\S+) \(0x`).FindAllStringSubmatch(string(linked), -1) {
		m.copy(lib[1], lib[1])
	}
}

func (m *model) copy(from, to string) {
	data, err := os.ReadFile(from)
	m.must(err)
	to = filepath.Join(m.root, to)
	m.must(os.MkdirAll(filepath.Dir(to), 0o755))
	m.must(os.WriteFile(to, data, 0o755))
}

func (r *router) boot() {
	r.t.Helper()
	self, err := os.Executable()
	r.must(err)
	cmd := exec.Command(self, initCommand, r.root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID}
	stdin, err := cmd.StdinPipe()
	r.must(err)
	stdout, err := cmd.StdoutPipe()
	r.must(err)
	r.must(cmd.Start())
	r.t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "ready\n" {
		r.t.Fatalf("the router does not start: %s%v", line, err)
	}
	r.pid = cmd.Process.Pid
}

func (r *router) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *router) command(script string) *exec.Cmd {
	cmd := exec.Command("nsenter", "-t", fmt.Sprint(r.pid), "-m", "-n", "-p", "chroot", r.root, "/bin/sh", "-c", script)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "XTABLES_LIBDIR=/usr/lib/xtables"}
	cmd.WaitDelay = time.Second
	return cmd
}

// try runs a script on the router, under busybox.
func (r *router) try(script string) (string, error) {
	out, err := r.command(script).CombinedOutput()
	return string(out), err
}

// run is try for what must succeed.
func (r *router) run(script string) string {
	r.t.Helper()
	out, err := r.try(script)
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// copy puts a file of this machine on the router.
func (r *router) copy(from, to string) {
	r.t.Helper()
	data, err := os.ReadFile(from)
	r.must(err)
	r.write(to, string(data), 0o755)
}

// write puts a file on the router, in the place of one that may be running.
func (r *router) write(path, text string, mode fs.FileMode) {
	r.t.Helper()
	file := filepath.Join(r.root, path)
	r.must(os.MkdirAll(filepath.Dir(file), 0o755))
	_ = os.Remove(file)
	r.must(os.WriteFile(file, []byte(text), mode))
	r.must(os.Chmod(file, mode))
}

func (r *router) read(path string) string {
	data, _ := os.ReadFile(filepath.Join(r.root, path))
	return string(data)
}

func (r *router) exists(path string) bool {
	_, err := os.Lstat(filepath.Join(r.root, path))
	return err == nil
}

// layFiles lays the files of the package on the router, as cross does, without
// the scripts of a package manager; the binary is the real one.
func (r *router) layFiles() {
	r.t.Helper()
	r.must(filepath.WalkDir("files", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		mode := fs.FileMode(0o644)
		if bytes.HasPrefix(text, []byte("#!")) {
			mode = 0o755
		}
		r.write(strings.TrimPrefix(name, "files"), string(text), mode)
		return err
	}))
	r.write("/usr/sbin/lanseal", packed(r.t).binary, 0o755)
}

// enabled is a valid configuration of a LAN with one exit.
const enabled = `config lanseal 'main'
	option enabled '1'
	option killswitch '1'
	list lan_device 'br-lan'
	list wan_device 'eth0'

config tunnel 'se'
	option file '/etc/lanseal/tunnels/se.conf'
`

// provider is a provider's file; the keys are the SHA-256 of nothing.
const provider = `[Interface]
PrivateKey = 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
Address = 10.64.0.2/32
DNS = 10.64.0.1
[Peer]
PublicKey = 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
Endpoint = 192.0.2.10:51820
AllowedIPs = 0.0.0.0/0
`

// arm is what a user does.
func (r *router) arm() {
	r.write("/etc/config/lanseal", enabled, 0o644)
	r.write("/etc/lanseal/tunnels/se.conf", provider, 0o600)
}

// version is that of the Makefiles; TestFeedMakefile compares.
const version = "0.1.0"

// packages are what cross makes for this machine.
type packages struct{ ipk, apk, binary string }

var scratch = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "lanseal-openwrt-") })

// makePackages runs cross once, for all tests of this package.
var makePackages = sync.OnceValues(func() (packages, error) {
	dist, err := scratch()
	if err != nil {
		return packages{}, err
	}
	arch, err := exec.Command("go", "env", "GOARCH").Output()
	if err != nil {
		return packages{}, err
	}
	target := strings.TrimSpace(string(arch))
	if target == "arm" {
		target = "arm5"
	}
	cmd := exec.Command("go", "run", "./cross", "packages", "-version", version, "-only", target, "-dist", dist)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return packages{}, fmt.Errorf("making packages: %w: %s", err, out)
	}
	var p packages
	for pattern, to := range map[string]*string{"lanseal_*.ipk": &p.ipk, "lanseal-*.apk": &p.apk, "bin/*/lanseal": &p.binary} {
		found, _ := filepath.Glob(filepath.Join(dist, pattern))
		if len(found) == 0 {
			return packages{}, fmt.Errorf("cross made no %s", pattern)
		}
		*to = found[0]
	}
	binary, err := os.ReadFile(p.binary)
	p.binary = string(binary)
	return p, err
})

func packed(t *testing.T) packages {
	t.Helper()
	p, err := makePackages()
	if err != nil {
		t.Fatal(err)
	}
	return p
}
