package tunnel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Status reads the link and the device. A device that nobody serves, or
// that does not answer, exists and is not configured.
func (d *WireGuardDriver) Status() (Status, error) {
	conf := d.config()
	wrap := func(err error) error { return fmt.Errorf("wireguard %s: %w", conf.Device, err) }
	l, err := findLink(conf.Device)
	if err != nil {
		return Status{}, wrap(err)
	}
	if l == nil {
		return Status{False: d.falseAnswer(conf)}, nil
	}
	s := Status{Exists: true, Up: l.up, False: d.falseAnswer(conf)}
	switch l.kind {
	case kindWireGuard:
		s.Kind = KindKernel
	case kindTUN:
		s.Kind = KindUserspace
	default:
		s.Kind = KindForeign
		return s, nil
	}
	have, err := readDevice(context.Background(), conf.Device, 2*time.Second)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return s, nil
	case err != nil:
		return s, wrap(fmt.Errorf("reading the device: %w", err))
	}
	s.ListenPort, s.Peers = have.ListenPort, len(have.Peers)
	missing := false
	for _, p := range have.Peers {
		s.RxBytes += uint64(max(p.ReceiveBytes, 0))
		s.TxBytes += uint64(max(p.TransmitBytes, 0))
		if at := udpAddrPort(p.Endpoint); at.IsValid() && (!s.Endpoint.IsValid() || p.LastHandshakeTime.After(s.Handshake)) {
			s.Endpoint = at
		}
		if p.LastHandshakeTime.After(s.Handshake) {
			s.Handshake = p.LastHandshakeTime
		}
		i := slices.IndexFunc(conf.Peers, func(c Peer) bool { return c.PublicKey == p.PublicKey })
		missing = missing || i >= 0 && p.Endpoint == nil && !conf.Peers[i].Endpoint.none()
	}
	if !s.Handshake.IsZero() && d.now().Sub(s.Handshake) < rejectAfter {
		d.forgetFalseAnswers()
		s.False = nil
	}
	want := newTarget(conf, d.endpoint)
	c := diff(have, want, peerView{keep: d.keep(conf), stale: d.stale})
	s.Configured = !missing && c.none() && len(have.Peers) == len(want.peers)
	return s, nil
}
