package crypt

import (
	"crypto/md5"
	"strings"
)

// md5crypt is Poul-Henning Kamp's scheme of 1994, as in FreeBSD's and
// busybox's crypt.
func md5crypt(password, salt string) string {
	if len(salt) > 8 {
		salt = salt[:8]
	}
	p, s := []byte(password), []byte(salt)
	inner := md5.Sum(append(append(append([]byte{}, p...), s...), p...))
	h := md5.New()
	h.Write(p)
	h.Write([]byte("$1$"))
	h.Write(s)
	for n := len(p); n > 0; n -= 16 {
		h.Write(inner[:min(n, 16)])
	}
	for n := len(p); n > 0; n >>= 1 {
		if n&1 != 0 {
			h.Write([]byte{0})
		} else {
			h.Write(p[:1])
		}
	}
	sum := h.Sum(nil)
	for i := range 1000 {
		h := md5.New()
		if i&1 != 0 {
			h.Write(p)
		} else {
			h.Write(sum)
		}
		if i%3 != 0 {
			h.Write(s)
		}
		if i%7 != 0 {
			h.Write(p)
		}
		if i&1 != 0 {
			h.Write(sum)
		} else {
			h.Write(p)
		}
		sum = h.Sum(nil)
	}
	var b strings.Builder
	b.WriteString("$1$" + salt + "$")
	for i := range 4 {
		encode(&b, sum[i], sum[i+6], sum[i+12], 4)
	}
	encode(&b, sum[4], sum[10], sum[5], 4)
	encode(&b, 0, 0, sum[11], 2)
	return b.String()
}
