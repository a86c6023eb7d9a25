package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Inject puts one Ethernet frame on a device of the host, past its own stack.
func (h *Host) Inject(dev string, frame []byte) error {
	link, err := h.nl.LinkByName(dev)
	if err != nil {
		return fmt.Errorf("%s: finding %s: %w", h.Name, dev, err)
	}
	return h.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index, Protocol: htons(unix.ETH_P_ALL)})
	})
}

// SendBound sends one datagram by IPv4 from a socket that is bound to a device
// (SO_BINDTODEVICE), whatever the host's rules and routes say.
func (h *Host) SendBound(dev string, to netip.AddrPort, msg []byte) error {
	return h.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.BindToDevice(fd, dev); err != nil {
			return fmt.Errorf("%s: binding to %s: %w", h.Name, dev, err)
		}
		return unix.Sendto(fd, msg, 0, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	})
}

// Packet is what the injectors send.
type Packet struct {
	Src, Dst netip.AddrPort
	TCP      byte // flags; 0: UDP
	Payload  []byte
}

// Flags for Packet.TCP.
const (
	TCPSyn    = 0x02
	TCPRst    = 0x04
	TCPAck    = 0x10
	TCPSynAck = 0x12
)

// Frame is the packet between two stations, with right checksums.
func (p Packet) Frame(srcMAC, dstMAC string) ([]byte, error) {
	s, err := net.ParseMAC(srcMAC)
	d, err2 := net.ParseMAC(dstMAC)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	if p.Src.Addr().Is4() != p.Dst.Addr().Is4() {
		return nil, errors.New("a packet of two families")
	}
	proto, l4 := byte(protoUDP), p.udp()
	sumAt := 6
	if p.TCP != 0 {
		proto, l4, sumAt = protoTCP, p.tcp(), 16
	}
	// The pseudo header of RFC 768 and RFC 8200 §8.1.
	pseudo := append(append([]byte{}, p.Src.Addr().AsSlice()...), p.Dst.Addr().AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(l4)))
	pseudo = append(pseudo, 0, 0, 0, proto)
	binary.BigEndian.PutUint16(l4[sumAt:], checksum(append(pseudo, l4...)))
	f := append(append([]byte{}, d...), s...)
	if p.Src.Addr().Is4() {
		f = append(f, 0x08, 0x00)
		ip := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, proto, 0, 0}
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(l4)))
		ip = append(append(ip, p.Src.Addr().AsSlice()...), p.Dst.Addr().AsSlice()...)
		binary.BigEndian.PutUint16(ip[10:], checksum(ip))
		return append(append(f, ip...), l4...), nil
	}
	f = append(f, 0x86, 0xDD)
	ip := []byte{0x60, 0, 0, 0, 0, 0, proto, 64}
	binary.BigEndian.PutUint16(ip[4:], uint16(len(l4)))
	ip = append(append(ip, p.Src.Addr().AsSlice()...), p.Dst.Addr().AsSlice()...)
	return append(append(f, ip...), l4...), nil
}

func (p Packet) udp() []byte {
	b := binary.BigEndian.AppendUint16(nil, p.Src.Port())
	b = binary.BigEndian.AppendUint16(b, p.Dst.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(p.Payload)))
	return append(append(b, 0, 0), p.Payload...)
}

func (p Packet) tcp() []byte {
	b := binary.BigEndian.AppendUint16(nil, p.Src.Port())
	b = binary.BigEndian.AppendUint16(b, p.Dst.Port())
	b = append(b, 0, 0, 0, 1, 0, 0, 0, 1, 5<<4, p.TCP, 0xff, 0xff, 0, 0, 0, 0)
	return append(b, p.Payload...)
}

// checksum is RFC 1071's; the field itself must be zero in b.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// InjectLAN sends a packet from a client to the router with any source
// address: a spoofed source, or a packet to the tunnel's address
// (CVE-2019-14899).
func (l *Lab) InjectLAN(from *Host, p Packet) error {
	link, err := from.nl.LinkByName("eth0")
	if err != nil {
		return err
	}
	mac := MACRouterLAN
	if from == l.Guest {
		br, err := l.Router.nl.LinkByName("br-guest")
		if err != nil {
			return err
		}
		mac = br.Attrs().HardwareAddr.String()
	}
	f, err := p.Frame(link.Attrs().HardwareAddr.String(), mac)
	if err != nil {
		return err
	}
	return from.Inject("eth0", f)
}

// InjectWAN sends a packet from the ISP's end of the wire to the router, with
// any addresses: unsolicited traffic to the LAN or to the tunnel's address.
func (l *Lab) InjectWAN(p Packet) error {
	f, err := p.Frame(MACISP, MACRouterWAN)
	if err != nil {
		return err
	}
	return l.ISP.Inject("cpe", f)
}

// Inbox counts what reaches one UDP port of a host.
type Inbox struct{ n atomic.Int64 }

// Count is how many datagrams have come.
func (b *Inbox) Count() int { return int(b.n.Load()) }

// Inbox listens on one UDP port of the host, on all its addresses, and answers
// nothing.
func (h *Host) Inbox(port uint16) (*Inbox, error) {
	b := &Inbox{}
	return b, h.ListenUDP(netip.AddrPortFrom(netip.IPv6Unspecified(), port), func(netip.AddrPort, []byte) []byte {
		b.n.Add(1)
		return nil
	})
}

// Exchange sends one datagram from this host and returns the answer; a
// refusal by ICMP is an error at once.
func (h *Host) Exchange(to netip.AddrPort, msg []byte, timeout time.Duration) ([]byte, error) {
	return h.exchange(to, msg, time.Now().Add(timeout))
}

// Dial connects by TCP from this host and returns the connection.
func (h *Host) Dial(to netip.AddrPort, timeout time.Duration) (Conn, error) {
	s, err := h.socket(unix.SOCK_STREAM, 0, to, time.Now().Add(timeout))
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Conn is a connection with deadlines.
type Conn interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
	Close() error
	SetDeadline(time.Time) error
}
