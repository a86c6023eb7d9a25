package config

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"log/slog"
)

// redacted is what a secret prints as.
const redacted = "(secret)"

// SecretKey is a private or preshared key. It prints as "(secret)" under every
// verb of fmt, in slog and in text encodings; only a conversion to [32]byte
// shows it. Comparing with == works but takes a time that depends on the
// contents: use Equal.
type SecretKey [32]byte

// String redacts.
func (SecretKey) String() string { return redacted }

// GoString redacts %#v.
func (SecretKey) GoString() string { return redacted }

// Format redacts every verb, %x and %d included.
func (SecretKey) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(redacted)) }

// LogValue redacts for slog, also inside groups.
func (SecretKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText redacts for JSON and its kind: nothing that encodes a
// configuration should carry the key.
func (SecretKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Equal compares in constant time.
func (k SecretKey) Equal(o SecretKey) bool { return subtle.ConstantTimeCompare(k[:], o[:]) == 1 }

// IsZero says whether the key is not set; no real key is all zero.
func (k SecretKey) IsZero() bool { return k.Equal(SecretKey{}) }

// PublicKey names a peer.
type PublicKey [32]byte

// String is the key in base64, as WireGuard's tools write it.
func (k PublicKey) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// MarshalText writes base64.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// decodeKey reads 32 bytes of base64. Its message tells the length at most: the
// value may be a secret with a typing error in it.
func decodeKey(s string) (key [32]byte, problem string) {
	const want = "is no WireGuard key: 44 characters of base64, the last one '=', are right"
	if s == "" {
		return key, "is empty; 44 characters of base64, the last one '=', are right"
	}
	if len(s) != 44 {
		return key, fmt.Sprintf("%s, not %d characters", want, len(s))
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != len(key) {
		return key, want + "; a character here is none of base64's"
	}
	copy(key[:], raw)
	clear(raw)
	if key == [32]byte{} {
		return key, "is all zero, which WireGuard takes for no key"
	}
	return key, ""
}
