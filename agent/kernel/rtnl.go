package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/lanseal/lanseal/rules"
)

// This file speaks RTM_*RULE and RTM_*ROUTE itself, because the library
// neither reports a rule's action nor takes a metric above 2^31-1 on 32-bit
// machines. struct fib_rule_hdr (linux/fib_rules.h) has the layout of struct
// rtmsg (linux/rtnetlink.h): the action stands where the route type does.

const (
	actionToTable     = 1 // FR_ACT_TO_TBL
	actionUnreachable = 7 // FR_ACT_UNREACHABLE

	fraDst         = 1
	fraSrc         = 2
	fraIIF         = 3
	fraPriority    = 6
	fraMark        = 10
	fraSuppressIf  = 13
	fraSuppressLen = 14
	fraTable       = 15
	fraMask        = 16
	fraOIF         = 17
	fraProtocol    = 21
	fraIPProto     = 22
	fraSport       = 23
	fraDport       = 24
	fraSportMask   = 28 // since 6.15: 0xffff for a single port
	fraDportMask   = 29

	ipv6DefaultMetric = 1024 // IP6_RT_PRIO_USER: what the kernel makes of no metric
	protocolLanseal   = 197  // rtm_protocol, so that "ip route" shows whose it is
)

var native = binary.NativeEndian

func afOf(family int) uint8 {
	if family == 4 {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func familyOfAF(af uint8) int {
	if af == unix.AF_INET {
		return 4
	}
	return 6
}

func u32(v uint32) []byte {
	b := make([]byte, 4)
	native.PutUint32(b, v)
	return b
}

func portRange(p uint16) []byte {
	b := make([]byte, 4)
	native.PutUint16(b, p)
	native.PutUint16(b[2:], p)
	return b
}

func name0(s string) []byte { return append([]byte(s), 0) }

// raw is a header and its attributes as the kernel gave them: enough to delete
// exactly that rule or route again.
type raw []byte

func header(af, dstLen, table, protocol, scope, kind uint8) *nl.RtMsg {
	m := nl.NewRtMsg()
	m.Family, m.Dst_len, m.Table, m.Protocol, m.Scope, m.Type = af, dstLen, table, protocol, scope, kind
	return m
}

// ruleRequest encodes a rule of lanseal's.
func ruleRequest(msg, flags int, r rules.Rule) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(msg, flags|unix.NLM_F_ACK)
	action := uint8(actionToTable)
	if r.Unreachable {
		action = actionUnreachable
	}
	table := uint8(0)
	if r.Table < 256 {
		table = uint8(r.Table)
	}
	req.AddData(header(afOf(r.Family), 0, table, 0, 0, action))
	add := func(kind int, data []byte) { req.AddData(nl.NewRtAttr(kind, data)) }
	add(fraPriority, u32(uint32(r.Priority)))
	if r.Table != 0 {
		add(fraTable, u32(uint32(r.Table)))
	}
	if r.In != "" {
		add(fraIIF, name0(r.In))
	}
	if r.Out != "" {
		add(fraOIF, name0(r.Out))
	}
	if r.Mark != 0 {
		add(fraMark, u32(r.Mark))
		add(fraMask, u32(rules.MarkMask))
	}
	if r.Proto != 0 {
		add(fraIPProto, []byte{r.Proto})
	}
	if r.Sport != 0 {
		add(fraSport, portRange(r.Sport))
	}
	if r.Dport != 0 {
		add(fraDport, portRange(r.Dport))
	}
	add(fraProtocol, []byte{protocolLanseal})
	return req
}

// parseRule decodes one RTM_NEWRULE body. What lanseal never sets makes the
// rule foreign.
func parseRule(b []byte) (rules.Rule, error) {
	m := nl.DeserializeRtMsg(b)
	attrs, err := nl.ParseRouteAttr(b[m.Len():])
	if err != nil {
		return rules.Rule{}, err
	}
	r := rules.Rule{Family: familyOfAF(m.Family), Table: int(m.Table), Unreachable: m.Type == actionUnreachable}
	var f foreign
	f.flag(m.Flags&^uint32(unix.FIB_RULE_IIF_DETACHED|unix.FIB_RULE_OIF_DETACHED) != 0, "flags %#x", m.Flags)
	f.flag(m.Tos != 0, "tos %#x", m.Tos)
	f.flag(m.Type != actionToTable && m.Type != actionUnreachable, "action %d", m.Type)
	mask := uint32(0)
	for _, a := range attrs {
		switch v := a.Value; a.Attr.Type {
		case fraPriority:
			r.Priority = int(native.Uint32(v))
		case fraTable:
			r.Table = int(native.Uint32(v))
		case fraIIF:
			r.In = nl.BytesToString(v)
		case fraOIF:
			r.Out = nl.BytesToString(v)
		case fraMark:
			r.Mark = native.Uint32(v)
		case fraMask:
			mask = native.Uint32(v)
		case fraIPProto:
			r.Proto = v[0]
		case fraSport:
			r.Sport = native.Uint16(v)
			f.flag(native.Uint16(v[2:]) != r.Sport, "sports to %d", native.Uint16(v[2:]))
		case fraDport:
			r.Dport = native.Uint16(v)
			f.flag(native.Uint16(v[2:]) != r.Dport, "dports to %d", native.Uint16(v[2:]))
		case fraSuppressIf, fraSuppressLen:
			f.flag(native.Uint32(v) != 0xffffffff, "suppress %d", native.Uint32(v))
		case fraSportMask, fraDportMask:
			f.flag(native.Uint16(v) != 0xffff, "port mask %#x", native.Uint16(v))
		case fraProtocol:
		default:
			f.flag(true, "attribute %d %x", a.Attr.Type, v)
		}
	}
	f.flag(r.Mark != 0 && mask != rules.MarkMask || r.Mark == 0 && mask != 0 && mask != 0xffffffff, "mask %#x", mask)
	if r.Unreachable {
		r.Table = 0
	}
	r.Foreign = f.String()
	return r, nil
}

// foreign collects what lanseal never sets on a rule or route.
type foreign []string

func (f *foreign) flag(is bool, format string, args ...any) {
	if is {
		*f = append(*f, fmt.Sprintf(format, args...))
	}
}

func (f foreign) String() string {
	if len(f) == 0 {
		return ""
	}
	return "[" + strings.Join(f, ", ") + "]"
}

// dump returns the bodies of a dump, and its error unless the kernel merely
// says that the list changed meanwhile: the next event brings another look.
func dump(request, answer int, family int) ([][]byte, error) {
	req := nl.NewNetlinkRequest(request, unix.NLM_F_DUMP)
	req.AddData(header(afOf(family), 0, 0, 0, 0, 0))
	msgs, err := req.Execute(unix.NETLINK_ROUTE, uint16(answer))
	if err != nil && !errors.Is(err, nl.ErrDumpInterrupted) {
		return nil, err
	}
	return msgs, nil
}

// listRules reads every ip rule, lanseal's and others. The kernel holds the
// same rule twice if two programs lay it, as netifd and lanseal do.
func listRules() ([]rules.Rule, map[rules.Rule][]raw, error) {
	var out []rules.Rule
	raws := map[rules.Rule][]raw{}
	for _, family := range []int{4, 6} {
		msgs, err := dump(unix.RTM_GETRULE, unix.RTM_NEWRULE, family)
		if err != nil {
			return nil, nil, fmt.Errorf("listing ip rules: %w", err)
		}
		for _, b := range msgs {
			r, err := parseRule(b)
			if err != nil {
				return nil, nil, fmt.Errorf("reading an ip rule: %w", err)
			}
			out = append(out, r)
			raws[r.Key()] = append(raws[r.Key()], b)
		}
	}
	return out, raws, nil
}

// routeRequest encodes a route of lanseal's; ifindex is 0 for unreachable.
func routeRequest(msg, flags int, r rules.Route, ifindex int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(msg, flags|unix.NLM_F_ACK)
	// Exits are of scope universe, so that no gateway is ever looked for in
	// a tunnel; IPv6 knows no scopes.
	kind, scope := uint8(unix.RTN_UNICAST), uint8(unix.RT_SCOPE_UNIVERSE)
	if r.Unreachable {
		kind = unix.RTN_UNREACHABLE
	} else if r.Family == 4 && r.Table == rules.TableLAN {
		scope = unix.RT_SCOPE_LINK
	}
	req.AddData(header(afOf(r.Family), uint8(r.Dest.Bits()), 0, protocolLanseal, scope, kind))
	add := func(kind int, data []byte) { req.AddData(nl.NewRtAttr(kind, data)) }
	add(unix.RTA_TABLE, u32(uint32(r.Table)))
	if r.Dest.Bits() > 0 {
		add(unix.RTA_DST, r.Dest.Addr().AsSlice())
	}
	if ifindex != 0 {
		add(unix.RTA_OIF, u32(uint32(ifindex)))
	}
	if r.Src.IsValid() {
		add(unix.RTA_PREFSRC, r.Src.AsSlice())
	}
	if r.Metric != 0 {
		add(unix.RTA_PRIORITY, u32(r.Metric))
	}
	return req
}

// parseRoute decodes one RTM_NEWROUTE body; ok is false for what is no route
// of a table (cached clones).
func parseRoute(b []byte, names map[int]string) (r rules.Route, ok bool, err error) {
	m := nl.DeserializeRtMsg(b)
	if m.Flags&unix.RTM_F_CLONED != 0 {
		return r, false, nil
	}
	attrs, err := nl.ParseRouteAttr(b[m.Len():])
	if err != nil {
		return r, false, err
	}
	r = rules.Route{Family: familyOfAF(m.Family), Table: int(m.Table), Unreachable: m.Type == unix.RTN_UNREACHABLE}
	zero := netip.IPv4Unspecified()
	if r.Family == 6 {
		zero = netip.IPv6Unspecified()
	}
	r.Dest = netip.PrefixFrom(zero, int(m.Dst_len))
	var f foreign
	f.flag(m.Type != unix.RTN_UNICAST && m.Type != unix.RTN_UNREACHABLE, "type %d", m.Type)
	f.flag(m.Src_len != 0, "from a prefix of length %d", m.Src_len)
	f.flag(m.Tos != 0, "tos %#x", m.Tos)
	for _, a := range attrs {
		switch v := a.Value; a.Attr.Type {
		case unix.RTA_TABLE:
			r.Table = int(native.Uint32(v))
		case unix.RTA_DST:
			addr, _ := netip.AddrFromSlice(v)
			r.Dest = netip.PrefixFrom(addr, int(m.Dst_len))
		case unix.RTA_OIF:
			r.Device = names[int(native.Uint32(v))]
		case unix.RTA_PREFSRC:
			r.Src, _ = netip.AddrFromSlice(v)
		case unix.RTA_PRIORITY:
			r.Metric = native.Uint32(v)
		case unix.RTA_CACHEINFO, unix.RTA_PREF, unix.RTA_METRICS:
		case unix.RTA_GATEWAY:
			gw, _ := netip.AddrFromSlice(v)
			f.flag(true, "via %s", gw)
		default:
			f.flag(true, "attribute %d %x", a.Attr.Type, v)
		}
	}
	if r.Family == 6 && r.Metric == ipv6DefaultMetric {
		r.Metric = 0
	}
	if r.Unreachable {
		r.Device = "" // IPv6 hangs them on lo
	}
	r.Foreign = f.String()
	return r, true, nil
}

// routeTable is what one dump of all tables tells.
type routeTable struct {
	own     []rules.Route // of lanseal's tables
	raws    map[rules.Route]raw
	uplinks []string // devices with a default route in main
}

func listRoutes(names map[int]string) (routeTable, error) {
	t := routeTable{raws: map[rules.Route]raw{}}
	for _, family := range []int{4, 6} {
		msgs, err := dump(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, family)
		if err != nil {
			return t, fmt.Errorf("listing routes: %w", err)
		}
		for _, b := range msgs {
			r, ok, err := parseRoute(b, names)
			switch {
			case err != nil:
				return t, fmt.Errorf("reading a route: %w", err)
			case !ok:
			case r.Table >= rules.TableLAN && r.Table <= rules.TableEnd:
				t.own = append(t.own, r)
				t.raws[r] = b
			case r.Table == rules.TableMain && r.Dest.Bits() == 0 && !r.Unreachable:
				t.uplinks = append(t.uplinks, nexthopDevices(b, names)...)
			}
		}
	}
	slices.Sort(t.uplinks)
	t.uplinks = slices.Compact(t.uplinks)
	return t, nil
}

// nexthopDevices names the devices of a route, also of a multipath one.
func nexthopDevices(b []byte, names map[int]string) []string {
	m := nl.DeserializeRtMsg(b)
	attrs, _ := nl.ParseRouteAttr(b[m.Len():])
	var out []string
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.RTA_OIF:
			out = append(out, names[int(native.Uint32(a.Value))])
		case unix.RTA_MULTIPATH: // struct rtnexthop: len u16, flags u8, hops u8, ifindex i32
			for v := a.Value; len(v) >= unix.SizeofRtNexthop; {
				n := int(native.Uint16(v))
				out = append(out, names[int(native.Uint32(v[4:]))])
				if n < unix.SizeofRtNexthop || n > len(v) {
					break
				}
				v = v[n:]
			}
		}
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

// rawRequest sends a body as the kernel gave it, to delete just that object.
func rawRequest(msg int, body raw) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(msg, unix.NLM_F_ACK)
	req.AddRawData(body)
	return req
}
