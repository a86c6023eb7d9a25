package read

import (
	"bytes"
	"compress/flate"
	"crypto/ecdsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// limit is how much a file may unpack to: more than any package for a router.
const limit = 256 << 20

// A Block is one part of a file; Type is the name of the format's documentation.
type Block struct {
	Type    string // ADB, SIG or DATA
	Payload []byte
}

// Container is an opened file.
type Container struct {
	Schema  string // "pckg" or "indx"
	Blocks  []Block
	Deflate bool
}

// unpack takes the compression off and leaves "ADB.", schema and blocks.
func unpack(file []byte) (out []byte, deflated bool, err error) {
	if len(file) < 4 || string(file[:3]) != "ADB" {
		return nil, false, errors.New("not an ADB file")
	}
	body := file[4:]
	switch file[3] {
	case '.':
		return file, false, nil
	case 'd':
	case 'c':
		if len(body) < 2 {
			return nil, false, errors.New("cut off in the header")
		}
		if body[0] != 1 {
			return nil, false, fmt.Errorf("compression %d; OpenWrt's apk knows deflate alone", body[0])
		}
		body = body[2:]
	default:
		return nil, false, fmt.Errorf("compression %q", file[3])
	}
	packed := bytes.NewReader(body)
	out, err = io.ReadAll(io.LimitReader(flate.NewReader(packed), limit+1))
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("unpacking: %w", err)
	case len(out) > limit:
		return nil, false, fmt.Errorf("unpacks to more than %d bytes", limit)
	case packed.Len() > 0:
		return nil, false, fmt.Errorf("%d bytes after the end", packed.Len())
	case len(out) < 4 || string(out[:4]) != "ADB.":
		return nil, false, errors.New("not an ADB file inside")
	}
	return out, true, nil
}

// Open reads the outer form of a file.
func Open(file []byte) (*Container, error) {
	data, deflated, err := unpack(file)
	if err != nil {
		return nil, err
	}
	if len(data) < 8 {
		return nil, errors.New("cut off in the header")
	}
	c := &Container{Schema: string(data[4:8]), Deflate: deflated}
	for rest := data[8:]; len(rest) > 0; {
		if len(rest) < 4 {
			return nil, errors.New("cut off before a block")
		}
		head := binary.LittleEndian.Uint32(rest)
		kind, size := head>>30, int(head&(1<<30-1))
		if kind == 3 {
			return nil, errors.New("a block of more than 1 GiB")
		}
		name := [...]string{"ADB", "SIG", "DATA"}[kind]
		padded := (size + 7) / 8 * 8
		if size < 4 || padded > len(rest) {
			return nil, fmt.Errorf("a %s block of %d bytes where %d are left", name, size, len(rest))
		}
		for _, pad := range rest[size:padded] {
			if pad != 0 {
				return nil, fmt.Errorf("a %s block is not padded with zeros", name)
			}
		}
		if err := c.follows(name); err != nil {
			return nil, err
		}
		c.Blocks = append(c.Blocks, Block{name, rest[4:size]})
		rest = rest[padded:]
	}
	if len(c.Blocks) == 0 {
		return nil, errors.New("no database")
	}
	return c, nil
}

// follows keeps the order: one ADB, then SIGs, then DATA.
func (c *Container) follows(next string) error {
	last := ""
	if n := len(c.Blocks); n > 0 {
		last = c.Blocks[n-1].Type
	}
	if (next == "ADB") != (last == "") || (next == "SIG" && last == "DATA") {
		return fmt.Errorf("a %s block after %q", next, last)
	}
	return nil
}

// adb is the database.
func (c *Container) adb() []byte { return c.Blocks[0].Payload }

// ParsePublic reads a public key in PEM, as it lies in /etc/apk/keys.
func ParsePublic(text []byte) (*ecdsa.PublicKey, error) {
	b, _ := pem.Decode(text)
	if b == nil || b.Type != "PUBLIC KEY" {
		return nil, errors.New("no public key in PEM")
	}
	key, err := x509.ParsePKIXPublicKey(b.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	ec, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("the public key is of no elliptic curve")
	}
	return ec, nil
}

// Signed says whether there is a signature at all.
func (c *Container) Signed() bool { return len(c.Blocks) > 1 && c.Blocks[1].Type == "SIG" }

// VerifiedBy says whether a signature of the key vouches for the database, and
// through it for every file.
func (c *Container) VerifiedBy(pub *ecdsa.PublicKey) error {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return err
	}
	// The point is what the ASN.1 ends in; P-256: 04, x, y.
	const pointLen = 65
	if len(der) < pointLen {
		return errors.New("a public key without a point")
	}
	name := sha512.Sum512(der[len(der)-pointLen:])
	sum := sha512.Sum512(c.adb())
	wrong := errors.New("no signature of this key")
	for _, b := range c.Blocks {
		if b.Type != "SIG" {
			continue
		}
		if len(b.Payload) < 18 || b.Payload[0] != 0 || b.Payload[1] != 4 {
			wrong = errors.New("a signature of an unknown kind")
			continue
		}
		head, sig := b.Payload[:18], b.Payload[18:]
		if !bytes.Equal(head[2:], name[:16]) {
			continue
		}
		h := sha512.New()
		h.Write([]byte(c.Schema))
		h.Write(head)
		h.Write(sum[:])
		if ecdsa.VerifyASN1(pub, h.Sum(nil), sig) {
			return nil
		}
		wrong = errors.New("the signature does not fit")
	}
	return wrong
}
