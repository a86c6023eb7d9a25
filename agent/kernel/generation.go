package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/rules"
)

// comparison is the last one of the kernel's rules with a lock that found no
// difference. While the generation is the same, a new one would not find any:
// the kernel counts every transaction that changes rules, whoever made it.
type comparison struct {
	fw         *rules.Firewall
	generation uint32
	sound      bool
}

// doubter is a firewall that leaves out comparisons that it thinks it knows
// the result of.
type doubter interface{ Doubt() }

// Doubt has the next [Kernel.FirewallDiffers] look at everything. It is called
// after what changes rules behind the generation's back: before 6.16 the
// kernel takes a device that vanishes out of an egress chain without counting
// that (nf_tables_netdev_event).
func (k *Kernel) Doubt() {
	if d, ok := k.fw.(doubter); ok {
		d.Doubt()
	}
}

// Doubt forgets the last comparison.
func (n *nft) Doubt() { n.compared = comparison{} }

// generation asks for the number of the ruleset's generation in the calling
// thread's network namespace (NFT_MSG_GETGEN, linux/netfilter/nf_tables.h).
func generation() (uint32, error) {
	const sizeofNfgenmsg, genID = 4, 1
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, 0)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
	answers, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	if err != nil {
		return 0, fmt.Errorf("asking for the ruleset's generation: %w", err)
	}
	for _, body := range answers {
		if len(body) < sizeofNfgenmsg {
			continue
		}
		attrs, err := nl.ParseRouteAttr(body[sizeofNfgenmsg:])
		if err != nil {
			return 0, fmt.Errorf("reading the ruleset's generation: %w", err)
		}
		for _, a := range attrs {
			if a.Attr.Type == genID && len(a.Value) == 4 {
				return binary.BigEndian.Uint32(a.Value), nil
			}
		}
	}
	return 0, errors.New("reading the ruleset's generation: the kernel did not tell")
}
