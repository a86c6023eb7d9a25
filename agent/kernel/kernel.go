package kernel

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/rules"
)

// Kernel is the door. Its methods are called from one goroutine, the agent's
// loop; Watch runs beside it.
type Kernel struct {
	fw     Firewall
	name   string // "nft" or "iptables"
	nl     *netlink.Handle
	record *record
	doomed map[flowKey]bool // see doom
	tidied bool             // the other backend holds nothing of lanseal's

	mu   sync.Mutex
	last *rules.Firewall // the lock that Apply loaded last
}

// Options choose the backend and where changed sysctls are remembered.
type Options struct {
	Firewall string // "auto", "nft" or "iptables"
	StateDir string // the record of foreign sysctls lives here; must survive the agent, not a reboot
}

// ErrNoFirewall says that neither nft nor iptables is there.
var ErrNoFirewall = errors.New("neither nft nor iptables is installed: install nftables")

// Open chooses a firewall and opens netlink. It changes nothing.
func Open(o Options) (*Kernel, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER)
	if err != nil {
		// Without NETLINK_NETFILTER flows are flushed through /proc.
		if h, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return nil, fmt.Errorf("opening netlink: %w", err)
		}
	}
	k := &Kernel{nl: h, record: newRecord(o.StateDir)}
	if k.fw, k.name, err = openFirewall(o.Firewall); err != nil {
		h.Close()
		return nil, err
	}
	return k, nil
}

func openFirewall(want string) (Firewall, string, error) {
	_, nftErr := exec.LookPath("nft")
	_, iptErr := exec.LookPath("iptables")
	switch {
	case want == "nft" && nftErr != nil:
		return nil, "", errors.New("option firewall is 'nft', but nft is not installed")
	case want == "iptables" && iptErr != nil:
		return nil, "", errors.New("option firewall is 'iptables', but iptables is not installed")
	case want != "iptables" && nftErr == nil:
		return newNFT(), "nft", nil
	case iptErr == nil:
		fw, err := NewIPTables("")
		return fw, "iptables", err
	}
	return nil, "", ErrNoFirewall
}

// tidy takes away what the other backend was left holding, after a change of
// option firewall: once, after this one holds. Where the other's programs are
// there and its kernel half is not, there is nothing to take away and they
// fail.
func (k *Kernel) tidy(ctx context.Context) {
	if k.tidied {
		return
	}
	k.tidied = true
	if k.name != "nft" {
		if _, err := exec.LookPath("nft"); err == nil {
			if other := newNFT(); other.has(ctx) {
				_ = other.Apply(ctx, nil)
			}
		}
		return
	}
	// Looking must not leave anything behind: iptables on nft makes the tables
	// that it is asked about, and only "save" does not.
	for _, tool := range []string{"iptables-save", "ip6tables-save"} {
		out, err := exec.CommandContext(ctx, tool).Output()
		if err != nil || !strings.Contains(string(out), ":LANSEAL-") {
			continue
		}
		if other, err := NewIPTables(""); err == nil {
			_ = other.Apply(ctx, nil)
		}
		return
	}
}

// Close gives back the sockets and leaves the data plane as it is.
func (k *Kernel) Close() { k.nl.Close() }

// FirewallName is "nft" or "iptables".
func (k *Kernel) FirewallName() string { return k.name }

// Blocked reads the counters of refused packets.
func (k *Kernel) Blocked(ctx context.Context) (Blocked, error) { return k.fw.Blocked(ctx) }

// Last is the firewall lock that Apply loaded last; nil if none.
func (k *Kernel) Last() *rules.Firewall {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last
}

// Adopt says that the kernel has been found to hold the lock, so that nothing
// needs to be loaded.
func (k *Kernel) Adopt(fw *rules.Firewall) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = fw
}
