package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Class is what a frame on the wire is there for.
type Class string

const (
	ARP       Class = "arp"
	ND        Class = "nd"   // ICMPv6 133–137
	DHCP      Class = "dhcp" // v4 and v6, from the client's port
	MLD       Class = "mld"  // IGMP and MLD of the router's own kernel: seen, not a leak
	Transport Class = "transport"
	Explained Class = "explained" // by a rule of the test
	Leak      Class = "leak"
)

// Frame is one decoded frame that the router sent.
type Frame struct {
	Time             time.Time
	Class            Class
	Rule             string // which Explain rule took it
	SrcMAC, DstMAC   net.HardwareAddr
	EtherType        uint16
	Src, Dst         netip.Addr
	Proto            uint8 // IP protocol, after v6 extension headers
	SrcPort, DstPort uint16
	ICMPType         uint8
	ICMPCode         uint8
	TCPFlags         uint8
	Fragment         bool // any fragment
	Later            bool // a fragment that is not the first, so without ports
	FragID           uint32
	Length           int // on the wire
	Raw              []byte
}

const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86DD

	protoICMP, protoIGMP, protoTCP, protoUDP, protoICMPv6 = 1, 2, 6, 17, 58
)

// decode reads as far as the frame makes sense; what does not, stays zero and
// will be called a leak.
func decode(at time.Time, raw []byte, length int) *Frame {
	f := &Frame{Time: at, Raw: raw, Length: length}
	if len(raw) < 14 {
		return f
	}
	f.DstMAC, f.SrcMAC = net.HardwareAddr(raw[:6]), net.HardwareAddr(raw[6:12])
	f.EtherType = binary.BigEndian.Uint16(raw[12:])
	switch f.EtherType {
	case etherIPv4:
		f.ipv4(raw[14:])
	case etherIPv6:
		f.ipv6(raw[14:])
	}
	return f
}

func (f *Frame) ipv4(b []byte) {
	if len(b) < 20 {
		return
	}
	f.Src, f.Dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	f.Proto = b[9]
	frag := binary.BigEndian.Uint16(b[6:])
	f.Fragment, f.Later = frag&0x3fff != 0, frag&0x1fff != 0
	f.FragID = uint32(binary.BigEndian.Uint16(b[4:]))
	if hl := int(b[0]&15) * 4; hl >= 20 && hl <= len(b) {
		f.transport(b[hl:])
	}
}

func (f *Frame) ipv6(b []byte) {
	if len(b) < 40 {
		return
	}
	f.Src, f.Dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	next, b := b[6], b[40:]
	for {
		switch next {
		case 0, 43, 60: // hop-by-hop, routing, destination options
			if len(b) < 8 || len(b) < 8+int(b[1])*8 {
				f.Proto = next
				return
			}
			next, b = b[0], b[8+int(b[1])*8:]
		case 44:
			if len(b) < 8 {
				f.Proto = next
				return
			}
			off := binary.BigEndian.Uint16(b[2:])
			f.Fragment, f.Later, f.FragID = true, off&^7 != 0, binary.BigEndian.Uint32(b[4:])
			next, b = b[0], b[8:]
			if f.Later {
				f.Proto = next
				return
			}
		default:
			f.Proto = next
			f.transport(b)
			return
		}
	}
}

func (f *Frame) transport(b []byte) {
	if f.Later {
		return
	}
	switch {
	case (f.Proto == protoUDP || f.Proto == protoTCP) && len(b) >= 4:
		f.SrcPort, f.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		if f.Proto == protoTCP && len(b) >= 14 {
			f.TCPFlags = b[13]
		}
	case (f.Proto == protoICMP || f.Proto == protoICMPv6) && len(b) >= 2:
		f.ICMPType, f.ICMPCode = b[0], b[1]
	}
}

// natural is the class that a frame has by itself: everything that is not
// ARP, ND, DHCP or multicast housekeeping starts as a leak.
func (f *Frame) natural() Class {
	switch {
	case f.EtherType == etherARP:
		return ARP
	case f.Proto == protoICMPv6 && f.EtherType == etherIPv6 && !f.Later:
		switch {
		case f.ICMPType >= 133 && f.ICMPType <= 137:
			return ND
		case f.ICMPType >= 130 && f.ICMPType <= 132 || f.ICMPType == 143:
			return MLD
		}
	case f.Proto == protoIGMP && f.EtherType == etherIPv4:
		return MLD
	case f.Proto == protoUDP && f.Src.Is4() && f.SrcPort == 68 && f.DstPort == 67,
		f.Proto == protoUDP && f.Src.Is6() && f.SrcPort == 546 && f.DstPort == 547:
		return DHCP
	}
	return Leak
}

// String is one line for a human: "10:00:01.123 UDP 203.0.113.2:4000 → …".
func (f *Frame) String() string {
	var b strings.Builder
	b.WriteString(f.Time.Format("15:04:05.000 "))
	name, ok := map[uint8]string{protoICMP: "ICMP", protoIGMP: "IGMP", protoTCP: "TCP", protoUDP: "UDP", protoICMPv6: "ICMPv6"}[f.Proto]
	switch {
	case !f.Src.IsValid():
		fmt.Fprintf(&b, "ethertype 0x%04x %s → %s", f.EtherType, f.SrcMAC, f.DstMAC)
	case f.SrcPort != 0 || f.DstPort != 0:
		fmt.Fprintf(&b, "%s %s → %s", name, netip.AddrPortFrom(f.Src, f.SrcPort), netip.AddrPortFrom(f.Dst, f.DstPort))
	case ok && (f.Proto == protoICMP || f.Proto == protoICMPv6) && !f.Later:
		fmt.Fprintf(&b, "%s %d/%d %s → %s", name, f.ICMPType, f.ICMPCode, f.Src, f.Dst)
	case ok:
		fmt.Fprintf(&b, "%s %s → %s", name, f.Src, f.Dst)
	default:
		fmt.Fprintf(&b, "protocol %d %s → %s", f.Proto, f.Src, f.Dst)
	}
	if f.Proto == protoTCP && f.TCPFlags != 0 {
		b.WriteByte(' ')
		for i, c := range "FSRPAU" {
			if f.TCPFlags&(1<<i) != 0 {
				b.WriteRune(c)
			}
		}
	}
	if f.Fragment {
		b.WriteString(" fragment")
	}
	fmt.Fprintf(&b, ", %d bytes", f.Length)
	return b.String()
}
