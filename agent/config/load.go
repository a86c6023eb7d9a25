package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/lanseal/lanseal/rules"
)

// Options says where things are, where the file does not.
type Options struct {
	TunnelDir string // where a relative option 'file' is looked up; empty: beside the configuration
}

// Load reads the configuration and the tunnel files it names. The error, if any,
// is an [Errors] with all that is wrong. The Config is never nil: it holds what
// could be understood, read the closed way where it could not, so that the
// caller can seal the LAN with it. It must not be applied as a whole then.
func Load(path string, opts Options) (*Config, error) {
	if opts.TunnelDir == "" {
		opts.TunnelDir = filepath.Dir(path)
	}
	l := &loader{path: path, opts: opts, cfg: closed()}
	// No lock: libuci and Edit replace the file whole, and the agent must
	// not wait for whoever holds a lock.
	data, _, err := readRegular(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.whole("there is no such file: create it with a section config lanseal 'main', or name another with -c FILE")
	case err != nil:
		l.whole(cause(err))
	default:
		l.text(data)
	}
	return l.cfg, asError(l.problems)
}

// text reads what a file says, or will say.
func (l *loader) text(data []byte) {
	l.cfg.File = parse(l.path, data)
	l.problems = append(l.problems, l.cfg.File.problems...)
	l.load(l.cfg.File)
}

// closed is what holds when nothing can be read.
func closed() *Config {
	return &Config{
		Policy: rules.Policy{
			Enabled: true, KillSwitch: true, Via: []string{rules.ViaBlock},
			BlockIPv6: true, DNS: rules.DNSTunnel, BlockDoT: true,
		},
		LANNetworks: []string{"lan"},
		Bootstrap:   DefaultBootstrap(),
		Firewall:    FirewallAuto,
		WebUI:       true,
	}
}

type loader struct {
	path     string
	opts     Options
	cfg      *Config
	problems []Problem

	exits   []string // names of all tunnel sections, usable or not
	devices []string // names of all device sections
}

func (l *loader) whole(message string) {
	l.problems = append(l.problems, Problem{File: l.path, Message: message})
}

// fail reports a problem of a section; line 0 stands for the section's own.
func (l *loader) fail(s *Section, option string, line int, format string, args ...any) {
	l.problems = append(l.problems, l.problem(s, option, line, format, args...))
}

func (l *loader) warn(s *Section, option string, line int, format string, args ...any) string {
	w := l.problem(s, option, line, format, args...).String()
	l.cfg.Warnings = append(l.cfg.Warnings, w)
	return w
}

func (l *loader) problem(s *Section, option string, line int, format string, args ...any) Problem {
	if line == 0 {
		line = s.Line
	}
	return Problem{File: l.path, Line: line, Section: s.title(), Option: option, Message: fmt.Sprintf(format, args...)}
}

// sectionTypes are the types that a section may have.
func sectionTypes() []string { return []string{"lanseal", "tunnel", "device", "exception"} }

func (l *loader) load(f *File) {
	if f.pkg != "" && f.pkg != "lanseal" {
		l.problems = append(l.problems, Problem{File: l.path, Line: f.pkgLine,
			Message: fmt.Sprintf("package '%s': this file is read as the package 'lanseal'", f.pkg)})
	}
	if len(f.sections) == 0 {
		if len(f.problems) == 0 {
			l.whole("the file holds no section: it needs a section config lanseal 'main'")
		}
		return
	}
	var main []*Section
	var tunnels, devices, exceptions []*Section
	first := map[string]*Section{}
	for _, s := range f.sections {
		if s.Name != "" {
			if other := first[s.Name]; other != nil {
				l.fail(s, "", 0, "the name is taken by %s on line %d; UCI knows one section per name, whatever its type",
					other.title(), other.Line)
				if s.Type != "lanseal" || s.Type != other.Type {
					continue
				}
			} else {
				first[s.Name] = s
			}
		}
		if s.broken {
			continue
		}
		switch s.Type {
		case "lanseal":
			if s.Name != "main" {
				l.fail(s, "", 0, "the section of this type is config lanseal 'main'")
			}
			main = append(main, s)
		case "tunnel":
			tunnels = append(tunnels, s)
			l.exits = append(l.exits, s.Name)
			l.sectionName(s, "se")
		case "device":
			devices = append(devices, s)
			l.devices = append(l.devices, s.Name)
			l.sectionName(s, "tv")
		case "exception":
			exceptions = append(exceptions, s)
			l.sectionName(s, "iptv")
		default:
			l.fail(s, "", 0, "unknown section type%s; it is one of %s",
				didYouMean(s.Type, sectionTypes()), quotedList(sectionTypes()))
		}
	}
	if len(main) == 0 {
		l.whole("there is no section config lanseal 'main': it says whether lanseal is on and what it protects")
		main = []*Section{{Type: "lanseal", Name: "main"}}
	}
	// Tunnels come first: the defaults of main's "via" are the enabled ones.
	// After them main, whose "via" is the devices' default.
	l.tunnels(tunnels)
	l.main(merged(main))
	l.deviceSections(devices)
	l.exceptionSections(exceptions)
	l.crossCheck(tunnels, merged(main))
}

// merged makes one section of several, as libuci does with those of one name.
func merged(sections []*Section) *Section {
	if len(sections) == 1 {
		return sections[0]
	}
	m := *sections[0]
	m.stmts = nil
	for _, s := range sections {
		m.stmts = append(m.stmts, s.stmts...)
	}
	m.Options = effective(m.stmts)
	return &m
}

// sectionName checks the name of a section that other sections refer to.
func (l *loader) sectionName(s *Section, example string) {
	switch {
	case s.Name == "":
		l.fail(s, "", 0, "the section needs a name: config %s '%s'", s.Type, example)
	case s.Type == "tunnel" && (s.Name == rules.ViaDirect || s.Name == rules.ViaBlock):
		l.fail(s, "", 0, "an exit cannot be named '%s': the word has a meaning of its own in option 'via'", s.Name)
	case !ValidExitName(s.Name) && validName(s.Name):
		l.fail(s, "", 0, "a name is a small letter and then up to 11 small letters, digits or _%s", suggestName(s.Name))
	}
}

// ValidExitName says whether a name fits [a-z][a-z0-9_]{0,11}, so that "ls-" and
// the name fit a device name of the kernel.
func ValidExitName(s string) bool {
	if len(s) == 0 || len(s) > 12 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c >= 'A' && c <= 'Z' || !isAlnum(c) && c != '_' {
			return false
		}
	}
	return true
}

func suggestName(s string) string {
	if name := nameFromHint(s); name != s {
		return fmt.Sprintf(" (like %q)", name)
	}
	return ""
}

// crossCheck compares what belongs to different sections: a device of the
// machine has one part to play.
func (l *loader) crossCheck(tunnels []*Section, main *Section) {
	c, p := l.cfg, &l.cfg.Policy
	// What is both is protected: it is no uplink.
	p.WAN = slices.DeleteFunc(p.WAN, func(d string) bool {
		both := slices.Contains(p.LAN, d)
		if both {
			l.fail(main, "wan_device", lineOf(main, "wan_device", d), "%q is also a lan_device; a device is protected or an uplink, not both", d)
		}
		return both
	})
	c.WANNetworks = slices.DeleteFunc(c.WANNetworks, func(n string) bool {
		both := slices.Contains(c.LANNetworks, n)
		if both {
			l.fail(main, "wan_network", lineOf(main, "wan_network", n), "%q is also a network to protect; a network is protected or an uplink, not both", n)
		}
		return both
	})
	seen := map[string]string{}
	for i, t := range l.cfg.Tunnels {
		at := slices.IndexFunc(tunnels, func(s *Section) bool { return s.Name == t.Name })
		if at < 0 || t.Device == "" {
			continue
		}
		s := tunnels[at]
		before := len(l.problems)
		switch {
		case seen[t.Device] != "":
			l.fail(s, "device", lineOf(s, "device", t.Device), "%q is the device of tunnel '%s' already", t.Device, seen[t.Device])
		case slices.Contains(p.LAN, t.Device):
			l.fail(s, "device", lineOf(s, "device", t.Device), "%q is a lan_device; a tunnel cannot be the LAN it carries", t.Device)
		case slices.Contains(p.WAN, t.Device):
			l.fail(s, "device", lineOf(s, "device", t.Device), "%q is a wan_device; traffic would leave outside any tunnel", t.Device)
		}
		seen[t.Device] = t.Name
		if len(l.problems) > before {
			own := rules.DevicePrefix + t.Name // not there, so that the seal cannot name the LAN as an exit
			l.cfg.Tunnels[i].Device, l.cfg.Tunnels[i].Enabled = own, false
			p.Exits[i].Device, p.Exits[i].Enabled = own, false
		}
		for j, other := range l.cfg.Tunnels[:i] {
			if t.File != "" && t.File == other.File && t.Enabled && l.cfg.Tunnels[j].Enabled {
				w := l.warn(s, "file", lineOf(s, "file", ""), "is the file of tunnel '%s' too: the server talks to the one that called last", other.Name)
				l.cfg.Tunnels[i].Warnings = append(l.cfg.Tunnels[i].Warnings, w)
			}
		}
	}
}

// lineOf is the line of an option's value, or of the option, or 0.
func lineOf(s *Section, option, value string) int {
	o := s.Option(option)
	if o == nil {
		return 0
	}
	if i := slices.Index(o.Values, value); i >= 0 {
		return o.Lines[i]
	}
	return o.Line
}
