package tunnel

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// WireGuard is the configuration of one WireGuard device: data only. Printed
// by fmt, slog or encoding/json it shows no secret.
type WireGuard struct {
	Device     string
	MTU        int // bytes; 0: leave the device's own
	PrivateKey [32]byte
	ListenPort *int // nil: any port
	Peers      []Peer
}

// Peer is one peer of a WireGuard device.
type Peer struct {
	PublicKey    [32]byte
	PresharedKey *[32]byte
	Endpoint     Endpoint
	AllowedIPs   []netip.Prefix
	Keepalive    time.Duration // 0: DefaultKeepalive
}

// Endpoint is where a peer is reached: by address, or by a name that the
// agent's own resolver answers. With Addr set, Host is not asked.
type Endpoint struct {
	Host string
	Addr netip.Addr
	Port uint16
}

func (e Endpoint) String() string {
	if e.Addr.IsValid() {
		return netip.AddrPortFrom(e.Addr, e.Port).String()
	}
	return e.Host + ":" + strconv.Itoa(int(e.Port))
}

// none says that the peer has no endpoint of its own: it is reached where it
// calls from.
func (e Endpoint) none() bool { return !e.Addr.IsValid() && e.Host == "" }

const redacted = "(secret)"

// String says what may be seen of the configuration.
func (w WireGuard) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "wireguard %s mtu %d private key %s", w.Device, w.MTU, redacted)
	if w.ListenPort != nil {
		fmt.Fprintf(&b, " port %d", *w.ListenPort)
	}
	for _, p := range w.Peers {
		b.WriteString(" [" + p.String() + "]")
	}
	return b.String()
}

// String says what may be seen of the peer.
func (p Peer) String() string {
	s := "peer " + base64.StdEncoding.EncodeToString(p.PublicKey[:]) + " at " + p.Endpoint.String()
	if p.PresharedKey != nil {
		s += " preshared key " + redacted
	}
	return fmt.Sprintf("%s allowed %v keepalive %s", s, p.AllowedIPs, p.Keepalive)
}

// Format prints String for every verb: %d and %x would show the keys.
func (w WireGuard) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, w.String()) }

// Format prints String for every verb.
func (p Peer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// LogValue is what slog shows.
func (w WireGuard) LogValue() slog.Value { return slog.StringValue(w.String()) }

// LogValue is what slog shows.
func (p Peer) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalText keeps the keys out of JSON as well.
func (w WireGuard) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// MarshalText keeps the keys out of JSON as well.
func (p Peer) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
