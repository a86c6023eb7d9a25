package tunnel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/lanseal/lanseal/rules"
	"golang.org/x/sys/unix"
)

// action is what must happen before a device can be configured.
type action int

const (
	adopt   action = iota // it is there and answers
	create                // there is nothing
	replace               // there is something of ours that is dead: clear it away, then create
	refuse                // the name is somebody else's
)

// decide knows only what is seen: the kind of link under the name ("" for
// none) and the state of the socket of that name.
func decide(device, kind string, s socketState) action {
	switch {
	case kind == kindWireGuard:
		return adopt
	case kind == kindTUN && s == socketAnswers:
		return adopt
	case kind == kindTUN && strings.HasPrefix(device, rules.DevicePrefix):
		return replace // its child is gone, stopped or cannot be reached
	case kind != "":
		return refuse
	case s == socketNone:
		return create
	default:
		return replace // a socket without a device
	}
}

// makers are the two ways to make a device.
type makers struct {
	kernel func() error
	child  func() error
}

// make prefers the kernel. Only a kernel without WireGuard leads to a child:
// any other error may pass, and a child would then be in its way.
func (m makers) make() error {
	err := m.kernel()
	switch {
	case err == nil, errors.Is(err, unix.EEXIST):
		return nil
	case errors.Is(err, unix.EOPNOTSUPP):
		return m.child()
	default:
		return fmt.Errorf("creating the device: %w", err)
	}
}

// ensure leaves a device that can be configured.
func ensure(ctx context.Context, device string) error {
	kind := ""
	l, err := findLink(device)
	if err != nil {
		return err
	}
	if l != nil {
		kind = l.kind
	}
	s := socket{}
	if kind != kindWireGuard {
		s = lookSocket(ctx, device)
	}
	switch decide(device, kind, s.state) {
	case adopt:
		return nil
	case refuse:
		return fmt.Errorf("%w: %s", ErrTaken, kind)
	case replace:
		if err := clearAway(device, l, s); err != nil {
			return err
		}
	case create:
	}
	return makers{
		kernel: func() error { return addKernelLink(device) },
		child:  func() error { return spawn(ctx, device) },
	}.make()
}

// clearAway removes the link, the process that serves it and its socket.
func clearAway(device string, l *link, s socket) error {
	if s.pid != 0 && elsewhere(s.pid) {
		if !abandoned(s.pid) {
			return errElsewhere
		}
		if err := dismiss(s.pid, device); err != nil {
			return err
		}
	}
	if l != nil {
		if err := removeLink(device); err != nil {
			return err
		}
	}
	endChild(device, s.pid, s.state == socketDeaf)
	if err := os.Remove(socketPath(device)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the socket: %w", err)
	}
	return nil
}

// remove is for Down.
func remove(device string) error {
	if !validDevice(device) {
		return errors.New("not a device name")
	}
	l, err := findLink(device)
	if err != nil {
		return err
	}
	if l != nil && l.kind == kindWireGuard {
		return removeLink(device)
	}
	if l != nil && l.kind != kindTUN {
		return fmt.Errorf("%w: %s", ErrTaken, l.kind)
	}
	return clearAway(device, l, lookSocket(context.Background(), device))
}
