package crypt

import (
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// Bounds of the number of rounds, and the usual one: "Unix crypt using SHA-256
// and SHA-512", Ulrich Drepper. More than a million would keep a router busy
// for a minute, and who writes that into shadow must sign in elsewhere.
const (
	usualRounds  = 5000
	fewestRounds = 1000
	mostRounds   = 1_000_000
)

// settings takes a hash apart.
func settings(hash string) (salt string, rounds int, custom bool, kind string) {
	parts := strings.Split(hash, "$")
	if len(parts) < 4 || parts[0] != "" {
		return "", 0, false, ""
	}
	kind, rounds, salt = parts[1], usualRounds, parts[2]
	if text, ok := strings.CutPrefix(salt, "rounds="); ok && len(parts) == 5 {
		n, err := strconv.Atoi(text)
		if err != nil || n > mostRounds {
			return "", 0, false, ""
		}
		return parts[3], max(n, fewestRounds), true, kind
	}
	if len(parts) != 4 {
		return "", 0, false, ""
	}
	return salt, rounds, false, kind
}

// shacrypt follows the steps of Drepper's description, numbered as there.
func shacrypt(kind string, newHash func() hash.Hash, order func([]byte, *strings.Builder), password, salt string, rounds int, custom bool) string {
	if len(salt) > 16 {
		salt = salt[:16]
	}
	p, s := []byte(password), []byte(salt)
	sum := func(parts ...[]byte) []byte {
		h := newHash()
		for _, b := range parts {
			h.Write(b)
		}
		return h.Sum(nil)
	}
	b := sum(p, s, p)                     // 4–8
	parts := [][]byte{p, s}               // 1–3
	for n := len(p); n > 0; n -= len(b) { // 9, 10
		parts = append(parts, b[:min(n, len(b))])
	}
	for n := len(p); n > 0; n >>= 1 { // 11
		if n&1 != 0 {
			parts = append(parts, b)
		} else {
			parts = append(parts, p)
		}
	}
	a := sum(parts...)                                       // 12
	ps := stretch(sum(repeated(p, len(p))...), len(p))       // 13–16
	ss := stretch(sum(repeated(s, 16+int(a[0]))...), len(s)) // 17–20
	for i := range rounds {                                  // 21
		var r [][]byte
		if i&1 != 0 {
			r = append(r, ps)
		} else {
			r = append(r, a)
		}
		if i%3 != 0 {
			r = append(r, ss)
		}
		if i%7 != 0 {
			r = append(r, ps)
		}
		if i&1 != 0 {
			r = append(r, a)
		} else {
			r = append(r, ps)
		}
		a = sum(r...)
	}
	var out strings.Builder
	out.WriteString("$" + kind + "$")
	if custom {
		fmt.Fprintf(&out, "rounds=%d$", rounds)
	}
	out.WriteString(salt + "$")
	order(a, &out) // 22
	return out.String()
}

func repeated(b []byte, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = b
	}
	return out
}

// stretch repeats a digest until it has n bytes.
func stretch(digest []byte, n int) []byte {
	var out []byte
	for len(out) < n {
		out = append(out, digest[:min(len(digest), n-len(out))]...)
	}
	return out
}

func sha256Order(d []byte, b *strings.Builder) {
	x, y, z := 0, 10, 20
	for range 10 {
		encode(b, d[x], d[y], d[z], 4)
		x, y, z = z+1, x+1, y+1
	}
	encode(b, 0, d[31], d[30], 3)
}

func sha512Order(d []byte, b *strings.Builder) {
	x, y, z := 0, 21, 42
	for range 21 {
		encode(b, d[x], d[y], d[z], 4)
		x, y, z = y+1, z+1, x+1
	}
	encode(b, 0, 0, d[63], 2)
}
