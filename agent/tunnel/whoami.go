package tunnel

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Who is asked: OpenDNS answers this one name with the address that asked. Its
// port 5353 is used, because lanseal leads port 53 to the exit's own resolver,
// and many providers do so once more: then the resolver would be answered with
// its own address.
const (
	whoamiName   = "myip.opendns.com"
	whoamiPort   = 5353
	whoamiLimit  = 2 * time.Second
	whoamiResend = 700 * time.Millisecond
)

func whoamiServer(qtype dnsmessage.Type) netip.AddrPort {
	if qtype == dnsmessage.TypeAAAA {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x26, 0x20, 1, 0x19, 0, 0x35, 14: 0, 15: 0x35}), whoamiPort)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{208, 67, 222, 222}), whoamiPort)
}

// Whoami asks through the device, and by no other way, which address of the
// family (4 or 6) the world sees of who comes through it. It takes 2 s at most.
func Whoami(ctx context.Context, device string, family int) (netip.Addr, error) {
	qtype := dnsmessage.TypeA
	if family == 6 {
		qtype = dnsmessage.TypeAAAA
	}
	return Prober{Device: device}.whoami(ctx, whoamiServer(qtype), qtype)
}

func (p Prober) whoami(ctx context.Context, server netip.AddrPort, qtype dnsmessage.Type) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, whoamiLimit)
	defer cancel()
	name, err := dnsName(whoamiName)
	if err != nil {
		return netip.Addr{}, err
	}
	for ctx.Err() == nil {
		id, err := randomID()
		if err != nil {
			return netip.Addr{}, err
		}
		query, err := newQuery(id, name, qtype)
		if err != nil {
			return netip.Addr{}, err
		}
		var seen netip.Addr
		var verdict error
		try, cancelTry := context.WithTimeout(ctx, whoamiResend)
		_, err = p.roundTrip(try, "udp", server.String(), query, func(answer []byte) bool {
			seen, verdict = parseWhoami(answer, id, name, qtype)
			return !errors.Is(verdict, errNotOurs)
		})
		cancelTry()
		if err == nil {
			return seen, verdict
		}
		if !isTimeout(err) {
			return netip.Addr{}, err
		}
	}
	return netip.Addr{}, errors.New("nobody answered")
}

// parseWhoami reads the one address of an answer, which must be one that a
// host on the internet can have.
func parseWhoami(msg []byte, id uint16, name dnsmessage.Name, qtype dnsmessage.Type) (netip.Addr, error) {
	addrs, err := parseAnswer(msg, id, name, qtype)
	if err != nil {
		return netip.Addr{}, err
	}
	if why := refusal(addrs[0], nil); why != "" {
		return netip.Addr{}, &FalseAnswer{addrs[0], why}
	}
	return addrs[0], nil
}
