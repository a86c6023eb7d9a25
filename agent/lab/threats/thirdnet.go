package threats

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/lanseal/lanseal/agent/lab"
)

// errDropped is what a sender hears of a frame that the device's egress drops.
const errDropped = syscall.ENOBUFS

// elsewhere is where the router's own programs send what must not leave. It is
// not the echo server's address: no client of the lab speaks to it.
var elsewhere = netip.AddrPortFrom(addr(lab.Echo4b), 9)

// rawFrames puts frames on the uplink past the router's whole stack, as a
// program with a packet socket does.
func rawFrames(e *Env, dev string) error {
	for _, p := range []lab.Packet{
		{Src: addrPort(lab.WAN4 + ":4000"), Dst: elsewhere, Payload: []byte(marker)},
		{Src: addrPort(lab.WAN4 + ":4000"), Dst: elsewhere, TCP: lab.TCPSyn},
		{Src: addrPort("[" + lab.WAN6 + "]:4000"), Dst: netip.AddrPortFrom(addr(lab.Echo6), 9), Payload: []byte(marker)},
	} {
		frame, err := p.Frame(lab.MACRouterWAN, lab.MACISP)
		if err != nil {
			return err
		}
		for range 3 {
			if err := e.Lab.Router.Inject(dev, frame); err != nil && !errors.Is(err, errDropped) {
				return err
			}
		}
	}
	return nil
}

// boundToUplink sends from a socket that is bound to the uplink. Where no table
// has a route by that device, the kernel takes everybody for a neighbour, and
// an ISP's router with proxy ARP says that it is.
func boundToUplink(ctx context.Context, e *Env) error {
	if err := sh(ctx, e.Lab.Router, "ip neigh replace "+elsewhere.Addr().String()+" lladdr "+lab.MACISP+" dev wan"); err != nil {
		return err
	}
	for range 3 {
		if err := e.Lab.Router.SendBound("wan", elsewhere, []byte(marker)); err != nil && !errors.Is(err, errDropped) {
			return fmt.Errorf("sending from a socket bound to the uplink: %w", err)
		}
	}
	return nil
}

// rawDHCP sends what DHCP clients send, which is raw frames as well.
func rawDHCP(_ context.Context, e *Env) error {
	p := lab.Packet{Src: addrPort("0.0.0.0:68"), Dst: addrPort("255.255.255.255:67"), Payload: make([]byte, 300)}
	frame, err := p.Frame(lab.MACRouterWAN, "ff:ff:ff:ff:ff:ff")
	if err != nil {
		return err
	}
	before := e.Lab.WAN.Count(lab.DHCP, 0)
	if err := e.Lab.Router.Inject("wan", frame); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	if err := e.Lab.WAN.Drain(ctx); err != nil {
		return err
	}
	if e.Lab.WAN.Count(lab.DHCP, 0) == before {
		return errors.New("the uplink's own DHCP client is held")
	}
	return nil
}

// lockDeleted takes the firewall lock and leaves the third net; the agent does
// not get to heal it.
func lockDeleted(_ context.Context, e *Env) error {
	return errors.Join(e.Agent.Stop(), e.Lab.Router.NFT("delete table inet lanseal\n"))
}

// thirdNet are the scenarios in which nothing but the third net holds.
func thirdNet() []Scenario {
	mended := func(ctx context.Context, e *Env, dev string) error {
		if !e.Frozen {
			if err := e.healed(ctx); err != nil {
				return err
			}
		}
		return rawFrames(e, dev)
	}
	return []Scenario{
		{
			Name: "D3RawFrames", Threat: "D3", Title: "A program on the router writes raw frames to the uplink",
			User: "Nothing.", RecoversBy: "nothing was broken", NFTOnly: true,
			Fault: func(_ context.Context, e *Env) error { return rawFrames(e, "wan") }, During: rawDHCP,
			Mutate: func(_ context.Context, e *Env) error { return freeze(e) },
		},
		{
			Name: "D3BoundToUplink", Threat: "D3", Title: "The firewall lock is deleted, and a program on the router has bound itself to the uplink",
			User: "A blink; then everything goes on.", RecoversBy: "the agent", NFTOnly: true, Breaks: "firewall",
			Fault: func(ctx context.Context, e *Env) error {
				return errors.Join(lockDeleted(ctx, e), boundToUplink(ctx, e))
			},
			Undo:   func(_ context.Context, e *Env) error { return e.Agent.Cont() },
			Mutate: func(_ context.Context, e *Env) error { return freeze(e) },
		},
		{
			Name: "D3NetDeleted", Threat: "D3", Title: "The third net is deleted; then a program on the router writes raw frames",
			User: "Nothing.", RecoversBy: "the agent", NFTOnly: true,
			Fault:  func(_ context.Context, e *Env) error { return noNet(e) },
			During: func(ctx context.Context, e *Env) error { return mended(ctx, e, "wan") },
			Mutate: func(_ context.Context, e *Env) error { return freeze(e) },
		},
		{
			Name: "D3NetRedial", Threat: "D3", Title: "The uplink's device is made again; then a program on the router writes raw frames",
			User: "A pause; then everything goes on.", RecoversBy: "the agent", NFTOnly: true,
			Fault:  func(_ context.Context, e *Env) error { return e.Lab.RedialWAN() },
			During: func(ctx context.Context, e *Env) error { return mended(ctx, e, "wan") },
			Mutate: func(_ context.Context, e *Env) error { return freeze(e) },
		},
		{
			Name: "D3NetRenamed", Threat: "D3", Title: "The uplink's device gets another name; then a program on the router writes raw frames",
			User: "A pause; then everything goes on.", RecoversBy: "the agent", NFTOnly: true,
			Fault: func(ctx context.Context, e *Env) error {
				return errors.Join(e.Lab.LinkRename("wan", "wan0"), lease(ctx, e, "wan0"))
			},
			During: func(ctx context.Context, e *Env) error { return mended(ctx, e, "wan0") },
			Undo: func(ctx context.Context, e *Env) error {
				return errors.Join(e.Lab.LinkRename("wan0", "wan"), lease(ctx, e, "wan"))
			},
			Mutate: func(_ context.Context, e *Env) error { return freeze(e) },
		},
	}
}
