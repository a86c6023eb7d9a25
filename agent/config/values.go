package config

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// item is one value of a list and its line.
type item struct {
	text string
	line int
}

// known reports options that the section does not have.
func (l *loader) known(s *Section, names ...string) {
	for _, o := range s.Options {
		if slices.Contains(names, o.Name) {
			continue
		}
		hint := didYouMean(o.Name, names)
		if hint == "" {
			hint = "; '" + s.Type + "' sections have " + strings.Join(names, ", ")
		}
		l.fail(s, o.Name, o.Line, "unknown option%s", hint)
	}
}

// scalar is the one value of an option; ok is false if it is not set or wrong.
// A wrong one is reported.
func (l *loader) scalar(s *Section, name string) (it item, ok, wrong bool) {
	o := s.Option(name)
	switch {
	case o == nil || len(o.Values) == 0:
		return it, false, false
	case o.List:
		l.fail(s, name, o.Line, "takes one value: write option %s 'VALUE', not list", name)
		return it, false, true
	}
	it = item{text: strings.TrimSpace(o.Values[0]), line: o.Lines[0]}
	if strings.ContainsAny(it.text, "\r\n") {
		l.fail(s, name, it.line, "the value goes on over the end of the line: is the closing quote missing?")
		return item{}, false, true
	}
	return it, it.text != "", false
}

// list is the values of a list, empty ones left out. As everywhere on OpenWrt,
// "option via 'se no'" is the same as two "list" lines.
func (l *loader) list(s *Section, name string) []item {
	o := s.Option(name)
	if o == nil {
		return nil
	}
	var items []item
	for i, v := range o.Values {
		switch v = strings.TrimSpace(v); {
		case v == "":
		case strings.ContainsAny(v, "\r\n"):
			l.fail(s, name, o.Lines[i], "the value goes on over the end of the line: is the closing quote missing?")
		case o.List:
			items = append(items, item{v, o.Lines[i]})
		default:
			for _, w := range strings.Fields(v) {
				items = append(items, item{w, o.Lines[i]})
			}
		}
	}
	return items
}

// boolean reads a switch, in the spellings that OpenWrt's scripts know. A value
// that is none is reported and gives onError.
func (l *loader) boolean(s *Section, name string, def, onError bool) bool {
	it, ok, wrong := l.scalar(s, name)
	switch {
	case wrong:
		return onError
	case !ok:
		return def
	}
	switch it.text {
	case "1", "on", "yes", "true", "enabled":
		return true
	case "0", "off", "no", "false", "disabled":
		return false
	}
	l.fail(s, name, it.line, "%s is neither '1' nor '0'", shown(it.text))
	return onError
}

// enum reads one of some words; the first is the default, also for a wrong one,
// of which ok tells.
func (l *loader) enum(s *Section, name string, values ...string) (value string, ok bool) {
	it, set, wrong := l.scalar(s, name)
	switch {
	case wrong:
		return values[0], false
	case !set:
		return values[0], true
	case slices.Contains(values, it.text):
		return it.text, true
	}
	hint := didYouMean(it.text, values)
	for _, v := range values {
		if len(v) > 2 && strings.HasPrefix(strings.ToLower(it.text), v) {
			hint = " (did you mean \"" + v + "\"?)" // nftables
		}
	}
	l.fail(s, name, it.line, "%s is not one of %s%s", shown(it.text), quotedList(values), hint)
	return values[0], false
}

// label is any text a person reads, on one line.
func (l *loader) label(s *Section) string {
	it, ok, _ := l.scalar(s, "label")
	if !ok {
		return s.Name
	}
	if problem := labelProblem(it.text); problem != "" {
		l.fail(s, "label", it.line, "%s", problem)
		return s.Name
	}
	return it.text
}

const maxLabel = 128

func labelProblem(v string) string {
	if len(v) > maxLabel {
		return "the text is longer than " + strconv.Itoa(maxLabel) + " bytes"
	}
	for i := range len(v) {
		if v[i] < 32 || v[i] == 127 {
			return "the text holds a control character"
		}
	}
	return ""
}

// kernelDevices reads a list of device names.
func (l *loader) kernelDevices(s *Section, name string) []string {
	var devices []string
	for _, it := range l.list(s, name) {
		problem := deviceProblem(it.text)
		if problem == "" && slices.Contains(devices, it.text) {
			problem = "is named twice"
		}
		if problem != "" {
			l.fail(s, name, it.line, "%s", about(it.text, problem))
			continue
		}
		devices = append(devices, it.text)
	}
	return devices
}

// deviceProblem says why a text is no name of somebody else's network device.
// The kernel allows more characters; those have a meaning in nft, iptables or
// the shell, and no system uses them.
func deviceProblem(name string) string {
	switch {
	case len(name) > 15:
		return "a device name has at most 15 characters"
	case name == "." || name == ".." || strings.HasPrefix(name, "-"):
		return "is no device name"
	case name == "lo":
		return "is the loopback device"
	case strings.HasPrefix(name, "ls-"):
		return "devices that begin with 'ls-' are lanseal's own"
	}
	for i := range len(name) {
		if c := name[i]; !isAlnum(c) && c != '.' && c != '_' && c != '-' {
			return "a device name has only letters, digits, '.', '_' and '-'"
		}
	}
	return ""
}

// networks reads a list of logical OpenWrt networks.
func (l *loader) networks(s *Section, name string) []string {
	var networks []string
	for _, it := range l.list(s, name) {
		switch {
		case !validName(strings.NewReplacer("-", "_", ".", "_").Replace(it.text)) || len(it.text) > 64:
			l.fail(s, name, it.line, "%s is no name of a network in /etc/config/network", shown(it.text))
		case slices.Contains(networks, it.text):
			l.fail(s, name, it.line, "%q is named twice", it.text)
		default:
			networks = append(networks, it.text)
		}
	}
	return networks
}

// resolvers reads a list of addresses that answer DNS.
func (l *loader) resolvers(s *Section, name string) []netip.Addr {
	var addrs []netip.Addr
	for _, it := range l.list(s, name) {
		a, err := netip.ParseAddr(it.text)
		problem := "is no address, like 9.9.9.9 or 2620:fe::fe"
		if err == nil {
			problem = resolverProblem(a)
		}
		if problem == "" && slices.Contains(addrs, a) {
			problem = "is named twice"
		}
		if problem != "" {
			l.fail(s, name, it.line, "%s", about(it.text, problem))
			continue
		}
		addrs = append(addrs, a)
	}
	return addrs
}
