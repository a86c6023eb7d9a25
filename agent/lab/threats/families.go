package threats

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/lanseal/lanseal/agent/lab"
)

var v6Kinds = []lab.Kind{lab.UDP6, lab.TCP6, lab.TCPNew6, lab.ICMP6, lab.Fragment6, lab.DNSPublic6}

func families() []Scenario {
	refused := func(_ context.Context, e *Env) error {
		err := errors.Join(refusedAtOnce("an IPv6 connection", dial(e.Lab.TV, lab.Echo6, lab.EchoPort)),
			refusedAtOnce("an IPv6 datagram", datagram(e.Lab.TV, lab.Echo6, lab.EchoPort)))
		for _, k := range v6Kinds {
			if s := e.TV.Of(k); s.Answered > 0 {
				err = errors.Join(err, fmt.Errorf("%s was answered %d times", k, s.Answered))
			}
		}
		return err
	}
	return []Scenario{
		{
			Name: "V1Carried", Threat: "V1", Title: "The exit carries IPv6",
			User: "IPv6 works, under the tunnel's address.", RecoversBy: "nothing was broken",
			Check: func(ctx context.Context, e *Env) error {
				a, err := e.Lab.TV.WhoAmI(lab.Echo6)
				if err != nil || !e.Lab.VPN1.Public(a) {
					return errors.Join(err, fmt.Errorf("the TV is seen as %s", a))
				}
				return seenAs(1)(ctx, e)
			},
			Mutate: unlock,
		},
		{
			Name: "V2NotCarried", Threat: "V2", Title: "The exit carries IPv4 only", Dead: v6Kinds,
			User: "IPv6 is refused at once; programs use IPv4.", RecoversBy: "by design",
			Agent: func(l *lab.Lab) lab.AgentConfig {
				return lab.AgentConfig{Tunnels: map[string]string{"se": l.VPN1.ClientFile(lab.ClientOptions{NoIPv6: true})}}
			},
			Check: refused, Mutate: unlock,
		},
		{
			Name: "V2Blocked", Threat: "V2", Title: "IPv6 is switched off by the user", Dead: v6Kinds,
			User: "IPv6 is refused at once; programs use IPv4.", RecoversBy: "by design",
			Agent: func(l *lab.Lab) lab.AgentConfig {
				c := One(l)
				c.Main = []string{"option ipv6 'block'"}
				return c
			},
			Check: refused, Mutate: unlock,
		},
		{
			Name: "V3Tunnels", Threat: "V3", Title: "Clients bring tunnels of their own: 6in4, 6to4, Teredo, GRE, IPsec",
			User: "They go through the tunnel or not at all.", RecoversBy: "nothing was broken",
			Fault:  ownTunnels,
			During: noOwnTunnels, Mutate: unlock,
		},
		{
			Name: "W1STUN", Threat: "W1", Title: "A browser asks a STUN server for its address",
			User: "It learns the tunnel's.", RecoversBy: "nothing was broken",
			Check: func(_ context.Context, e *Env) error {
				at, err := e.Lab.TV.STUN(lab.Echo4)
				if err != nil || !e.Lab.VPN1.Public(at.Addr()) {
					return errors.Join(err, fmt.Errorf("STUN shows %s", at))
				}
				return nil
			},
			Mutate: unlock,
		},
	}
}

// protocols of clients' own tunnels.
const (
	protoIPv6 = 41
	protoGRE  = 47
	protoESP  = 50
	protoAH   = 51
)

var tunnelPorts = []uint16{3544, 500, 4500, 1701, 1194, 51821}

func ownTunnels(_ context.Context, e *Env) (err error) {
	inner := make([]byte, 60)
	inner[0] = 0x60
	for range 3 {
		for _, dst := range []string{lab.Echo4, "192.88.99.1", lab.ISPResolver4, lab.VPN1v4} {
			for _, proto := range []byte{protoIPv6, protoGRE, protoESP, protoAH} {
				err = errors.Join(err, e.Lab.TV.Inject("eth0", raw4(proto, lab.TV4, dst, inner)))
			}
			for _, port := range tunnelPorts {
				err = errors.Join(err, e.Lab.InjectLAN(e.Lab.TV, lab.Packet{Src: netip.AddrPortFrom(addr(lab.TV4), port),
					Dst: netip.AddrPortFrom(addr(dst), port), Payload: inner}))
			}
		}
	}
	return err
}

// noOwnTunnels looks at frames of every class: some of these would pass for a
// tunnel's transport by their port.
func noOwnTunnels(_ context.Context, e *Env) error {
	for _, f := range e.Lab.WAN.Frames() {
		switch f.Proto {
		case protoIPv6, protoGRE, protoESP, protoAH:
			return fmt.Errorf("a client's tunnel left in the clear: %s", f)
		}
	}
	return nil
}

// raw4 is an IPv4 frame of any protocol from the TV to the router.
func raw4(proto byte, src, dst string, payload []byte) []byte {
	to, _ := net.ParseMAC(lab.MACRouterLAN)
	from, _ := net.ParseMAC(lab.MACTV)
	ip := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, proto, 0, 0}
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(payload)))
	ip = append(append(ip, addr(src).AsSlice()...), addr(dst).AsSlice()...)
	var sum uint32
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
	f := append(append(append([]byte{}, to...), from...), 0x08, 0x00)
	return append(append(f, ip...), payload...)
}
