package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

// linkWatch tells the child of its device: when it first comes up, when its
// MTU may have changed, and when it is gone. It is quiet otherwise.
//
// Coming down is not passed on: the session then survives, and traffic flows
// again as soon as the link is up.
type linkWatch struct {
	index int
	up    bool // already, when the watch began
	f     *os.File
}

func watchLink(name string) (*linkWatch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("watching the device: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		return nil, fmt.Errorf("watching the device: %w", err)
	}
	// Looked up after the subscription, so that nothing is missed.
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("watching the device: %w", err)
	}
	return &linkWatch{link.Index, link.Flags&net.FlagUp != 0, os.NewFile(uintptr(fd), "netlink")}, nil
}

// run returns when the device is gone.
func (w *linkWatch) run(events chan<- tun.Event) {
	wasUp := false
	look := func(up bool) {
		e := tun.Event(tun.EventMTUUpdate)
		if up && !wasUp {
			wasUp = true
			e |= tun.EventUp
		}
		events <- e
	}
	// The agent's loop may have set the device up as soon as it appeared, before
	// anybody listened.
	if w.up {
		look(true)
	}
	buf := make([]byte, 1<<14)
	for {
		n, err := w.f.Read(buf)
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return
		}
		if err != nil { // messages were lost
			link, err := net.InterfaceByIndex(w.index)
			if err != nil {
				return
			}
			look(link.Flags&net.FlagUp != 0)
			continue
		}
		for _, m := range linkMessages(buf[:n]) {
			switch {
			case m.index != w.index:
			case m.gone:
				return
			default:
				look(m.up)
			}
		}
	}
}

type linkMessage struct {
	index    int
	up, gone bool
}

// linkMessages reads the heads of RTM_NEWLINK and RTM_DELLINK messages.
func linkMessages(b []byte) []linkMessage {
	var out []linkMessage
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			break
		}
		kind, body := binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:size]
		if (kind == unix.RTM_NEWLINK || kind == unix.RTM_DELLINK) && len(body) >= unix.SizeofIfInfomsg {
			out = append(out, linkMessage{
				index: int(binary.NativeEndian.Uint32(body[4:])),
				up:    binary.NativeEndian.Uint32(body[8:])&unix.IFF_UP != 0,
				gone:  kind == unix.RTM_DELLINK,
			})
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return out
}
