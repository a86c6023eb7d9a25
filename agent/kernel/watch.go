package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/rules"
)

// EventKind says where to look again.
type EventKind string

// The kinds of events. They carry no truth, only a reason for another look.
const (
	EventLink     EventKind = "link"
	EventAddr     EventKind = "address"
	EventRoute    EventKind = "route"
	EventRule     EventKind = "rule"
	EventFirewall EventKind = "firewall"
	EventLost     EventKind = "lost" // the kernel dropped messages: look at everything
)

// Event is one change in the kernel that lanseal did not make itself.
type Event struct {
	Kind EventKind
	What string // "deleted rule 520", for the log
	By   string // the program that did it, where the kernel tells

	Device string // of EventLink
}

// Watch sends an event for every change of links, addresses, rules, of the
// routes that matter and of the firewall, until the context ends. It returns
// when it cannot watch any more; the caller starts it again.
func (k *Kernel) Watch(ctx context.Context, events chan<- Event) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // what watches beside the one that failed
	route, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		return fmt.Errorf("watching routes: %w", err)
	}
	defer route.Close()
	errs := make(chan error, 3)
	go func() { errs <- receive(ctx, route, events, routeEvent) }()
	if _, ok := k.fw.(*nft); ok || k.fingerprint() == "" {
		filter, err := nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
		if err != nil {
			return fmt.Errorf("watching the firewall: %w", err)
		}
		defer filter.Close()
		go func() { errs <- receive(ctx, filter, events, k.firewallEvent) }()
	} else {
		go func() { errs <- k.pollFingerprint(ctx, events) }()
	}
	err = <-errs
	route.Close()
	return err
}

// receive turns messages into events. The socket times out now and then so
// that the end of the context is noticed.
func receive(ctx context.Context, s *nl.NetlinkSocket, events chan<- Event, decode func(kind uint16, pid uint32, body []byte) (Event, bool)) error {
	_ = s.SetReceiveBufferSize(1<<20, true)
	if err := s.SetReceiveTimeout(&unix.Timeval{Sec: 30}); err != nil {
		return err
	}
	for ctx.Err() == nil {
		msgs, _, err := s.Receive()
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			send(ctx, events, Event{Kind: EventLost, What: "the kernel dropped messages"})
			continue
		case err != nil:
			return fmt.Errorf("receiving from netlink: %w", err)
		}
		for _, m := range msgs {
			if e, ok := decode(m.Header.Type, m.Header.Pid, m.Data); ok {
				send(ctx, events, e)
			}
		}
	}
	return ctx.Err()
}

func send(ctx context.Context, events chan<- Event, e Event) {
	select {
	case events <- e:
	case <-ctx.Done():
	}
}

// routeEvent decodes RTM_*; what this process did itself is left out by the
// comparison that follows, not here, since its sockets come and go.
func routeEvent(kind uint16, pid uint32, body []byte) (Event, bool) {
	switch kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		name := ""
		if len(body) >= unix.SizeofIfInfomsg {
			if attrs, err := nl.ParseRouteAttr(body[unix.SizeofIfInfomsg:]); err == nil {
				for _, a := range attrs {
					if a.Attr.Type == unix.IFLA_IFNAME {
						name = nl.BytesToString(a.Value)
					}
				}
			}
		}
		return Event{Kind: EventLink, What: verb(kind == unix.RTM_DELLINK, "device "+name), By: program(pid), Device: name}, true
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return Event{Kind: EventAddr, What: verb(kind == unix.RTM_DELADDR, "address"), By: program(pid)}, true
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		r, err := parseRule(body)
		what := "rule"
		if err == nil {
			what = fmt.Sprintf("rule %d (IPv%d)", r.Priority, r.Family)
		}
		return Event{Kind: EventRule, What: verb(kind == unix.RTM_DELRULE, what), By: program(pid)}, true
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		r, ok, err := parseRoute(body, nil)
		if err != nil || !ok {
			return Event{}, false
		}
		own := r.Table >= rules.TableLAN && r.Table <= rules.TableEnd
		if !own && !(r.Table == rules.TableMain && r.Dest.Bits() == 0) {
			return Event{}, false
		}
		return Event{Kind: EventRoute, What: verb(kind == unix.RTM_DELROUTE, "route "+r.Dest.String()+fmt.Sprintf(" of table %d", r.Table)), By: program(pid)}, true
	}
	return Event{}, false
}

func verb(deleted bool, what string) string {
	if deleted {
		return "deleted " + what
	}
	return "changed " + what
}

// program names a process, if the netlink port id is one: it is for a
// process's first socket.
func program(pid uint32) string {
	if pid == 0 {
		return ""
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// firewallEvent decodes the end of an nft transaction, NFT_MSG_NEWGEN, which
// names the process behind it. The messages are big endian.
func (k *Kernel) firewallEvent(kind uint16, _ uint32, body []byte) (Event, bool) {
	const sizeofNfgenmsg, genPID, genName = 4, 2, 3
	if kind>>8 != unix.NFNL_SUBSYS_NFTABLES || kind&0xff != unix.NFT_MSG_NEWGEN || len(body) < sizeofNfgenmsg {
		return Event{}, false
	}
	e := Event{Kind: EventFirewall, What: "changed the firewall"}
	attrs, err := nl.ParseRouteAttr(body[sizeofNfgenmsg:])
	if err != nil {
		return e, true
	}
	for _, a := range attrs {
		switch a.Attr.Type {
		case genPID:
			if n, ok := k.fw.(*nft); ok && len(a.Value) == 4 && n.Own(int(binary.BigEndian.Uint32(a.Value))) {
				return e, false
			}
		case genName:
			e.By = nl.BytesToString(a.Value)
		}
	}
	return e, true
}

// fingerprinter is a firewall that sends no events, but can cheaply tell
// whether it changed.
type fingerprinter interface{ Fingerprint() (string, error) }

func (k *Kernel) fingerprint() string {
	if f, ok := k.fw.(fingerprinter); ok {
		s, _ := f.Fingerprint()
		return s
	}
	return ""
}

// pollInterval bounds how long a flushed legacy table goes unnoticed; the
// routing lock holds meanwhile.
const pollInterval = time.Second

func (k *Kernel) pollFingerprint(ctx context.Context, events chan<- Event) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	last := k.fingerprint()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if now := k.fingerprint(); now != last {
			last = now
			send(ctx, events, Event{Kind: EventFirewall, What: "changed the firewall"})
		}
	}
}
