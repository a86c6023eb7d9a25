package crypt

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// pair is one question to crypt(3): a password, and the hash or only its kind
// and salt.
type pair struct{ password, setting string }

// crypt3 asks the C library, by perl, which every Debian has.
func crypt3(t *testing.T, pairs []pair) []string {
	t.Helper()
	if _, err := exec.LookPath("perl"); err != nil {
		if os.Getenv("LANSEAL_LAB") == "require" {
			t.Fatal("LANSEAL_LAB=require, and there is no perl")
		}
		t.Skip("there is no perl to ask crypt(3) by")
	}
	var in strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&in, "x%s x%s\n", hex.EncodeToString([]byte(p.password)), hex.EncodeToString([]byte(p.setting)))
	}
	cmd := exec.Command("perl", "-ne", `my ($p, $s) = map { pack("H*", substr($_, 1)) } split; my $h = crypt($p, $s); print defined $h ? $h : "*", "\n"`)
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(pairs) {
		t.Fatalf("%d answers to %d questions", len(lines), len(pairs))
	}
	return lines
}

// The sign-in of OpenWrt (rpcd, for LuCI and every other client of ubus) takes
// root's line of /etc/shadow: an empty hash lets anybody in, any other is right
// if crypt(password, hash) is the hash itself. Check says the same of each hash
// that a router's passwd writes; only the empty one lets nobody in.
func TestSameAsTheRoutersSignIn(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 8))
	text := func(most int) string {
		b := make([]byte, 1+r.IntN(most))
		for i := range b {
			b[i] = byte(1 + r.IntN(255)) // no NUL: it ends a string there
		}
		return string(b)
	}
	salt := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	var made []pair
	for range 25 {
		made = append(made, pair{text(100), "$1$" + salt(1+r.IntN(8))}, pair{text(100), "$5$" + salt(1+r.IntN(16))},
			pair{text(100), "$6$" + salt(1+r.IntN(16))}, pair{text(100), fmt.Sprintf("$6$rounds=%d$%s", 1000+r.IntN(2000), salt(8))},
			pair{text(longest), "$2b$04$" + salt(21) + "."})
	}
	hashes := crypt3(t, made)
	var asked []pair
	for i, p := range made {
		wrong := []string{"", p.password + "x", p.password[1:], strings.ToUpper(p.password), text(100), hashes[i]}
		for _, w := range append(wrong, p.password) {
			if !strings.HasPrefix(p.setting, "$2") || len(w) <= longest {
				asked = append(asked, pair{w, hashes[i]})
			}
		}
	}
	for _, locked := range []string{"!", "*", "x", "!!", "*LK*", "!" + hashes[2], "$6$", "$9$salt$hash", "plain"} {
		for _, w := range []string{"", "x", locked, made[2].password} {
			asked = append(asked, pair{w, locked})
		}
	}
	right := 0
	for i, theirs := range crypt3(t, asked) {
		p := asked[i]
		rpcd := theirs == p.setting
		if ours := Check(p.setting, p.password); ours != rpcd {
			t.Errorf("%q with %q: we say %v, the router %v", p.password, p.setting, ours, rpcd)
		}
		if rpcd {
			right++
		}
	}
	if right < len(made) {
		t.Errorf("only %d of %d passwords were right", right, len(made))
	}
	if Check("", "") || Usable("") {
		t.Error("a router without a password lets anybody in here too")
	}
}
