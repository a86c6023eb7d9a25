package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"path/filepath"
	"strconv"

	"github.com/lanseal/lanseal/rules"
)

// tunnels reads every tunnel section. A section with a name that cannot be an
// exit's is reported elsewhere and left out; it keeps its number, so that
// mending the name does not move the others' marks and tables.
func (l *loader) tunnels(sections []*Section) {
	for i, s := range sections {
		if i == rules.MaxExits {
			l.fail(s, "", 0, "there are more than %d tunnels; marks and tables are numbered up to there", rules.MaxExits)
			return
		}
		t, e := l.tunnel(s)
		if !ValidExitName(s.Name) || s.Name == rules.ViaDirect || s.Name == rules.ViaBlock {
			continue
		}
		e.Number = i + 1
		l.cfg.Tunnels = append(l.cfg.Tunnels, t)
		l.cfg.Policy.Exits = append(l.cfg.Policy.Exits, e)
	}
}

func (l *loader) tunnel(s *Section) (Tunnel, rules.Exit) {
	l.known(s, "enabled", "label", "type", "file", "device", "mtu")
	t := Tunnel{
		Name:    s.Name,
		Label:   l.label(s),
		Enabled: l.boolean(s, "enabled", true, false),
		Device:  rules.DevicePrefix + s.Name,
	}
	var ok bool
	t.Type, ok = l.enum(s, "type", TypeWireGuard, TypeOpenVPN, TypeDevice)
	e := rules.Exit{Name: t.Name, Enabled: t.Enabled, MTU: l.mtu(s)}
	if file, set, _ := l.scalar(s, "file"); set {
		t.File = file.text
		if !filepath.IsAbs(t.File) {
			t.File = filepath.Join(l.opts.TunnelDir, t.File)
		}
	}
	switch {
	case !ok:
		t.Enabled = false
	case t.Type == TypeWireGuard:
		l.wireguard(s, &t, &e)
	case t.Type == TypeOpenVPN:
		if t.Enabled {
			l.fail(s, "type", lineOf(s, "type", ""), "type openvpn is not supported by this version; set option enabled '0', or import a WireGuard file")
			t.Enabled = false
		}
	case t.Type == TypeDevice:
		l.foreign(s, &t, &e)
	}
	if t.Type != TypeDevice {
		if d, set, _ := l.scalar(s, "device"); set {
			l.tunnelWarn(&t, l.warn(s, "device", d.line, "is ignored: it is for type 'device'; this tunnel's device is %s", t.Device))
		}
	}
	e.Enabled, e.Device = t.Enabled, t.Device
	return t, e
}

func (l *loader) tunnelWarn(t *Tunnel, warning string) { t.Warnings = append(t.Warnings, warning) }

// foreign reads a tunnel that somebody else brings up. What it carries is not
// known, so it may carry everything.
func (l *loader) foreign(s *Section, t *Tunnel, e *rules.Exit) {
	e.Foreign = true
	e.Allowed = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	d, set, wrong := l.scalar(s, "device")
	problem := ""
	if set {
		problem = deviceProblem(d.text)
	}
	switch {
	case wrong:
	case !set:
		l.fail(s, "device", 0, "type 'device' needs the interface that somebody else brings up: option device 'l2tp-vpn'")
	case problem != "":
		l.fail(s, "device", d.line, "%s", about(d.text, problem))
	default:
		t.Device = d.text
	}
	if t.Device != d.text {
		// It keeps the name of a device that is not there, and cannot be up.
		t.Enabled = false
	}
	if t.File != "" {
		l.tunnelWarn(t, l.warn(s, "file", lineOf(s, "file", ""), "is ignored: type 'device' reads no file"))
		t.File = ""
	}
}

// wireguard reads the tunnel's file. What is wrong with the file of a disabled
// tunnel is a warning: it may not be there yet.
func (l *loader) wireguard(s *Section, t *Tunnel, e *rules.Exit) {
	defer func() {
		if e.MTU == 0 {
			e.MTU = WireGuardMTU
		}
	}()
	found, warnings := l.readTunnel(s, t)
	for _, w := range warnings {
		l.cfg.Warnings = append(l.cfg.Warnings, w)
		l.tunnelWarn(t, w)
	}
	if !t.Enabled {
		for _, p := range found {
			l.cfg.Warnings = append(l.cfg.Warnings, p.String())
			l.tunnelWarn(t, p.String())
		}
	} else {
		l.problems = append(l.problems, found...)
	}
	if t.WireGuard == nil {
		t.Enabled = false // whoever goes on in spite of the error must not bring it up
		return
	}
	e.Addresses, e.Resolvers = t.WireGuard.Addresses, t.WireGuard.DNS
	for _, p := range t.WireGuard.Peers {
		e.Allowed = append(e.Allowed, p.AllowedIPs...)
	}
	if e.MTU == 0 {
		e.MTU = t.WireGuard.MTU
	}
	if e.MTU != 0 && e.MTU < minMTUIPv6 && e.Carries(6) {
		l.tunnelWarn(t, l.warn(s, "mtu", lineOf(s, "mtu", ""), "%d is less than the %d bytes that IPv6 needs", e.MTU, minMTUIPv6))
	}
}

func (l *loader) readTunnel(s *Section, t *Tunnel) ([]Problem, []string) {
	line := lineOf(s, "file", "")
	if t.File == "" {
		if o := s.Option("file"); o != nil && len(o.Values) > 0 {
			return nil, nil // scalar said why
		}
		return []Problem{l.problem(s, "file", line, "type 'wireguard' needs the provider's file: option file '/etc/lanseal/tunnels/%s.conf'", nameFromHint(s.Name))}, nil
	}
	data, mode, err := readRegular(t.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Problem{l.problem(s, "file", line, "there is no file %q; put the provider's file there, or use lanseal import", t.File)}, nil
	case errors.Is(err, fs.ErrPermission):
		return []Problem{l.problem(s, "file", line, "%q cannot be read: permission denied; tunnel files belong to root", t.File)}, nil
	case err != nil:
		return []Problem{l.problem(s, "file", line, "%q cannot be read: %s", t.File, cause(err))}, nil
	}
	defer clear(data)
	var warnings []string
	if mode&0o077 != 0 {
		warnings = append(warnings, l.problem(s, "file", line,
			"%q has mode %04o: others on this machine may read the private key; chmod 600 %s", t.File, mode, t.File).String())
	}
	if Recognise(data) == TypeOpenVPN {
		return []Problem{l.problem(s, "file", line, "%q is an OpenVPN file; type 'wireguard' needs a wg-quick file", t.File)}, warnings
	}
	wg, more, err := ParseWGQuick(t.File, data)
	t.WireGuard = wg
	return Problems(err), append(warnings, more...)
}

func (l *loader) mtu(s *Section) int {
	it, set, _ := l.scalar(s, "mtu")
	if !set {
		return 0
	}
	n, err := strconv.Atoi(it.text)
	if err != nil || n < minMTU || n > maxMTU {
		l.fail(s, "mtu", it.line, "%s is not a whole number from %d to %d", shown(it.text), minMTU, maxMTU)
		return 0
	}
	return n
}
