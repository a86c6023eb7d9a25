package opkgfeed

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Key signs. It is a secret.
type Key struct {
	fingerprint [8]byte
	salt        [16]byte
	private     ed25519.PrivateKey // seed, then public key: also signify's order
}

// PublicKey verifies.
type PublicKey struct {
	fingerprint [8]byte
	key         ed25519.PublicKey
}

const algorithm = "Ed"

// NewKey makes a key with a fingerprint.
func NewKey() (Key, error) {
	var k Key
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return k, err
	}
	k.private = private
	rand.Read(k.fingerprint[:]) // never fails
	rand.Read(k.salt[:])
	return k, nil
}

// Public is the key's public half.
func (k Key) Public() PublicKey {
	return PublicKey{k.fingerprint, k.private.Public().(ed25519.PublicKey)}
}

// Fingerprint is the file's name in /etc/opkg/keys.
func (p PublicKey) Fingerprint() string { return fmt.Sprintf("%x", p.fingerprint) }

// text is signify's form: a comment, then base64.
func text(comment string, fingerprint [8]byte, parts ...[]byte) []byte {
	return fmt.Appendf(nil, "untrusted comment: %s %x\n%s\n", comment, fingerprint, base64.StdEncoding.EncodeToString(bytes.Join(parts, nil)))
}

// parse undoes text, for a payload of n bytes.
func parse(what string, file []byte, n int) ([]byte, error) {
	comment, rest, ok := strings.Cut(string(file), "\n")
	if !ok || !strings.HasPrefix(comment, "untrusted comment: ") {
		return nil, fmt.Errorf("%s without a comment line", what)
	}
	out, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(rest, "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if len(out) != n || string(out[:2]) != algorithm {
		return nil, fmt.Errorf("%s is of another kind", what)
	}
	return out, nil
}

// The secret's parts: algorithm, key derivation "BK" with 0 rounds (none), salt,
// checksum of the key, fingerprint, key.
const secretLen = 2 + 2 + 4 + 16 + 8 + 8 + 64

// Secret is the key's file.
func (k Key) Secret() []byte {
	sum := sha512.Sum512(k.private)
	return text("private key", k.fingerprint, []byte(algorithm+"BK"), make([]byte, 4), k.salt[:], sum[:8], k.fingerprint[:], k.private)
}

// ParseSecret reads a key's file.
func ParseSecret(file []byte) (Key, error) {
	b, err := parse("a secret key", file, secretLen)
	if err != nil {
		return Key{}, err
	}
	if !bytes.Equal(b[4:8], make([]byte, 4)) {
		return Key{}, errors.New("the secret key has a password")
	}
	// usign clamps the seed before it makes the public half; the halves must
	// belong together all the same.
	private := ed25519.NewKeyFromSeed(b[40:72])
	sum := sha512.Sum512(b[40:])
	if !bytes.Equal(sum[:8], b[24:32]) || !bytes.Equal(private, b[40:]) {
		return Key{}, errors.New("the secret key is damaged")
	}
	return Key{[8]byte(b[32:40]), [16]byte(b[8:24]), private}, nil
}

// Text is the public key's file.
func (p PublicKey) Text() []byte {
	return text("public key", p.fingerprint, []byte(algorithm), p.fingerprint[:], p.key)
}

// ParsePublic reads a public key's file.
func ParsePublic(file []byte) (PublicKey, error) {
	b, err := parse("a public key", file, 2+8+ed25519.PublicKeySize)
	if err != nil {
		return PublicKey{}, err
	}
	return PublicKey{[8]byte(b[2:10]), ed25519.PublicKey(b[10:])}, nil
}

// Sign makes the signature's file.
func (k Key) Sign(message []byte) []byte {
	return text("signed by key", k.fingerprint, []byte(algorithm), k.fingerprint[:], ed25519.Sign(k.private, message))
}

// Verify checks a signature's file.
func (p PublicKey) Verify(message, signature []byte) error {
	b, err := parse("a signature", signature, 2+8+ed25519.SignatureSize)
	if err != nil {
		return err
	}
	if [8]byte(b[2:10]) != p.fingerprint {
		return fmt.Errorf("signed by key %x, not by %s", b[2:10], p.Fingerprint())
	}
	if !ed25519.Verify(p.key, message, b[10:]) {
		return errors.New("the signature does not fit")
	}
	return nil
}
