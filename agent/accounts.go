package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/agent/atomicfile"
	"github.com/lanseal/lanseal/agent/crypt"
	"github.com/lanseal/lanseal/webui"
)

// Where passwords are: OpenWrt's root has one already, which LuCI asks for too.
const (
	openwrtRelease = "/etc/openwrt_release"
	shadowFile     = "/etc/shadow"
	passwordFile   = "webui.passwd" // under --persist
	fewestLetters  = 8
)

// accounts reads the one hash that lets people in, anew each time: a password
// that is changed counts at once.
type accounts struct{ hash func() string }

// HavePassword says whether anybody could sign in.
func (a accounts) HavePassword() bool { return crypt.Usable(a.hash()) }

// Check compares.
func (a accounts) Check(password string) bool { return crypt.Check(a.hash(), password) }

func onOpenWrt() bool {
	_, err := os.Stat(openwrtRelease)
	return err == nil
}

func findAccounts(g globals) webui.Accounts {
	if onOpenWrt() {
		return accounts{func() string { return shadowHash(shadowFile) }}
	}
	return accounts{func() string {
		b, _ := os.ReadFile(filepath.Join(g.persist, passwordFile))
		return strings.TrimSpace(string(b))
	}}
}

func howToPassword() string {
	if onOpenWrt() {
		return "on the router, set root's password with passwd, or in LuCI under System, Administration"
	}
	return "on the router, as root, run lanseal passwd"
}

// shadowHash is root's.
func shadowHash(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Split(lines.Text(), ":"); len(fields) > 1 && fields[0] == "root" {
			return fields[1]
		}
	}
	return ""
}

func cmdPasswd(_ context.Context, g globals, args []string) (int, error) {
	if err := none(flags(args, noFlags)); err != nil {
		return 2, err
	}
	if onOpenWrt() {
		return 2, errors.New("the web UI asks for root's password here: " + howToPassword())
	}
	password, err := readPassword(g)
	if err != nil {
		return 2, err
	}
	if len(password) < fewestLetters {
		return 2, fmt.Errorf("nothing was changed: the password needs at least %d characters", fewestLetters)
	}
	hash, err := crypt.Hash(password)
	if err != nil {
		return 2, fmt.Errorf("nothing was changed: %w", err)
	}
	if err := os.MkdirAll(g.persist, 0o755); err != nil {
		return 2, err
	}
	if err := atomicfile.Write(filepath.Join(g.persist, passwordFile), []byte(hash+"\n"), 0o600); err != nil {
		return 2, err
	}
	fmt.Fprintln(g.stdout, "the web UI's password is set")
	return 0, nil
}

// readPassword asks twice on a terminal, which does not show it, and reads one
// line elsewhere.
func readPassword(g globals) (string, error) {
	r := bufio.NewReader(g.stdin)
	tty, isFile := g.stdin.(*os.File)
	if !isFile {
		return readLine(r)
	}
	fd := int(tty.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return readLine(r) // no terminal
	}
	quiet := *old
	quiet.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return "", fmt.Errorf("hiding what is typed: %w", err)
	}
	defer func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, old) }()
	fmt.Fprint(g.stderr, "New password of the web UI: ")
	first, err := readLine(r)
	fmt.Fprint(g.stderr, "\nAgain: ")
	if err != nil {
		return "", err
	}
	second, err := readLine(r)
	fmt.Fprintln(g.stderr)
	if err == nil && first != second {
		err = errors.New("nothing was changed: the two are not the same")
	}
	return first, err
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if line == "" && err != nil {
		return "", errors.New("nothing was changed: no password came")
	}
	return strings.TrimRight(line, "\r\n"), nil
}
