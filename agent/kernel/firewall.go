package kernel

import (
	"context"

	"github.com/lanseal/lanseal/rules"
)

// Firewall is one way to hold the firewall lock: nft, or iptables.
type Firewall interface {
	// Apply replaces what is there by fw, sealed at every moment on the way;
	// nil removes all of lanseal's tables or chains.
	Apply(ctx context.Context, fw *rules.Firewall) error
	// Differs compares the kernel with fw and says in one line each what is
	// missing or foreign; none: the lock is as it should be.
	Differs(ctx context.Context, fw *rules.Firewall) ([]string, error)
	// Blocked reads the counters of refused packets.
	Blocked(ctx context.Context) (Blocked, error)
}

// Blocked counts packets that were refused since the firewall was last
// replaced, by hardware address where it is known; and, with nft, what devices
// sent out of the LAN and got from there.
type Blocked struct {
	Packets, Bytes uint64
	ByMAC          map[string]uint64 // packets
	Sent           map[string]uint64 // bytes, by hardware address
	Received       map[string]uint64 // bytes, by address: the hardware's is not known in forward
}
