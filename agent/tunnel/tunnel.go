package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Driver keeps one tunnel device in being.
type Driver interface {
	// Up makes the device exist and carry its configuration. It may be called
	// at any time and again: it adopts what is there without disturbing
	// traffic. With an error the device may still be there in part.
	Up(ctx context.Context) error
	// Status reads, and changes nothing.
	Status() (Status, error)
	// Down removes the device and, where there is one, its child.
	Down() error
}

// The kinds of device.
const (
	KindKernel    = "kernel"
	KindUserspace = "userspace"
	KindForeign   = "foreign" // made by somebody else
)

// Status is what is true of a tunnel device now.
type Status struct {
	Exists     bool
	Up         bool           // the link is administratively up
	Kind       string         // KindKernel, KindUserspace or KindForeign; empty when there is none
	Endpoint   netip.AddrPort // of the peer with the latest handshake
	Handshake  time.Time      // the latest of any peer; zero: none yet
	RxBytes    uint64         // of all peers; a foreign device: of the link
	TxBytes    uint64
	Peers      int
	Configured bool // keys, mark and peers are as wanted, and every peer has an endpoint
	ListenPort int
	False      *FalseAnswer // the last answer to the name of an endpoint, where it was not believed
}

// Errors that a caller may want to tell apart.
var (
	// ErrNoDevice says that a foreign device is not there.
	ErrNoDevice = errors.New("no such device")
	// ErrNoTUN says that there is neither WireGuard nor TUN in the kernel.
	ErrNoTUN = errors.New("the kernel has neither WireGuard nor /dev/net/tun (on OpenWrt: install kmod-wireguard or kmod-tun)")
	// ErrTaken says that a device of the name exists and is not a tunnel of ours.
	ErrTaken = errors.New("the name is taken by another kind of device")
)

// oneLine joins errors as errors.Join does, but in one line, for a log.
func oneLine(errs ...error) error {
	errs = slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
	if len(errs) == 0 {
		return nil
	}
	args := make([]any, len(errs))
	for i, err := range errs {
		args[i] = err
	}
	return fmt.Errorf("%w"+strings.Repeat("; %w", len(errs)-1), args...)
}

// Times of the WireGuard protocol that decide here.
const (
	// DefaultKeepalive is used where the file gives none: an exit is kept warm.
	DefaultKeepalive = 25 * time.Second
	// rejectAfter is the age at which both sides give up a session's keys.
	rejectAfter = 180 * time.Second
)
