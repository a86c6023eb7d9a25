// Package crypt checks a password against a hash as /etc/shadow has it: md5
// ($1$), sha256 ($5$), sha512 ($6$) and bcrypt ($2a$, $2b$, $2y$), the kinds
// that busybox and shadow-utils write. It makes bcrypt alone: the others are
// here because routers have them.
//
// OpenWrt's own sign-in (rpcd) compares with the same line by crypt(3). The
// hash is read here instead of asking rpcd, because the ubus program takes its
// message as an argument, and the arguments of a program are for everybody to
// read.
package crypt

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Cost of a new hash: a third of a second on a router's processor.
const cost = 9

// longest is what bcrypt takes; a longer password would be cut in silence.
const longest = 72

// ErrTooLong says that a password cannot be hashed whole.
var ErrTooLong = errors.New("a password has at most 72 bytes")

// Hash makes a new hash.
func Hash(password string) (string, error) {
	if len(password) > longest {
		return "", ErrTooLong
	}
	h, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	return string(h), err
}

// Usable says whether anybody could sign in with the hash: an empty field, "!"
// and "*" let nobody in here.
func Usable(hash string) bool {
	for _, kind := range []string{"$1$", "$2", "$5$", "$6$"} {
		if strings.HasPrefix(hash, kind) {
			return true
		}
	}
	return false
}

// Check compares a password with a hash, in a time that does not tell where
// they differ.
func Check(hash, password string) bool {
	if len(password) > 1024 {
		return false
	}
	if strings.HasPrefix(hash, "$2") {
		return len(password) <= longest && bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	}
	var made string
	switch salt, rounds, custom, kind := settings(hash); kind {
	case "1":
		made = md5crypt(password, salt)
	case "5":
		made = shacrypt(kind, sha256.New, sha256Order, password, salt, rounds, custom)
	case "6":
		made = shacrypt(kind, sha512.New, sha512Order, password, salt, rounds, custom)
	default:
		return false
	}
	return subtle.ConstantTimeCompare([]byte(made), []byte(hash)) == 1
}

const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// encode writes up to three bytes as n characters, the lowest bits first.
func encode(b *strings.Builder, hi, mid, lo byte, n int) {
	v := uint32(hi)<<16 | uint32(mid)<<8 | uint32(lo)
	for range n {
		b.WriteByte(alphabet[v&0x3f])
		v >>= 6
	}
}
