package owrt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Interface is one network of the state file.
type Interface struct {
	Interface string    `json:"interface"`
	Up        bool      `json:"up"`
	L3        string    `json:"l3_device,omitempty"`
	Device    string    `json:"device,omitempty"`
	Proto     string    `json:"proto"`
	IPv4      []Address `json:"ipv4-address"`
	IPv6      []Address `json:"ipv6-address"`
	Assigned  []Address `json:"ipv6-prefix-assignment"`
	Route     []Route   `json:"route"`
}

// Address is an address and its prefix length.
type Address struct {
	Address string `json:"address"`
	Mask    int    `json:"mask"`
}

// Route is a route of an interface.
type Route struct {
	Target  string `json:"target"`
	Mask    int    `json:"mask"`
	Nexthop string `json:"nexthop"`
}

func (s system) ubus(args []string, stdout io.Writer) error {
	args = slices.DeleteFunc(args, func(a string) bool { return a == "-S" })
	if len(args) < 3 || args[0] != "call" {
		return fmt.Errorf("unknown command %v", args)
	}
	switch args[1] + " " + args[2] {
	case "network.interface dump":
		data, err := os.ReadFile(s.path("run/netifd.json"))
		if err != nil {
			return errors.New("Command failed: Not found")
		}
		_, err = fmt.Fprintf(stdout, "{\"interface\":%s}\n", data)
		return err
	case "network reload":
		if err := s.told("network reload"); err != nil {
			return err
		}
		return s.reloadNetwork()
	case "service list":
		return s.services(stdout)
	}
	return errors.New("Command failed: Method not found")
}

// reloadNetwork gives up the prefixes that a network no longer takes, and lays
// the configured ip rules, as netifd would.
func (s system) reloadNetwork() error {
	p, err := load(s.path("etc/config"), "network", s.path("tmp/.uci"))
	if err != nil {
		return err
	}
	data, err := os.ReadFile(s.path("run/netifd.json"))
	if err != nil {
		return err
	}
	var all []Interface
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	for i := range all {
		if c := p.find(all[i].Interface).get("ip6class"); len(c) > 0 && !slices.Contains(c, "wan6") {
			all[i].Assigned = slices.DeleteFunc(all[i].Assigned, func(a Address) bool { return !strings.HasPrefix(a.Address, "fd") })
		}
	}
	if data, err = json.Marshal(all); err != nil {
		return err
	}
	if err := os.WriteFile(s.path("run/netifd.json"), data, 0o644); err != nil {
		return err
	}
	if os.Getenv("LANSEAL_STANDIN_NET") != "1" {
		return nil
	}
	laid, _ := os.ReadFile(s.path("run/netifd.rules"))
	for line := range strings.Lines(string(laid)) {
		args := strings.Fields(line)
		args[slices.Index(args, "add")] = "del"
		_ = exec.Command("ip", args...).Run() // somebody else may have deleted it
	}
	var rules []string
	for _, r := range p.sections {
		family := map[string]string{"rule": "-4", "rule6": "-6"}[r.typ]
		i := slices.IndexFunc(all, func(n Interface) bool { return n.Interface == r.last("in") })
		if family == "" || i < 0 {
			continue
		}
		dev := all[i].L3
		if dev == "" {
			dev = all[i].Device
		}
		rules = append(rules, strings.Join([]string{family, "rule", "add", "iif", dev, "prio", r.last("priority"), r.last("action"), "protocol", "static"}, " "))
		if out, err := exec.Command("ip", strings.Fields(rules[len(rules)-1])...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip: %w: %s", err, out)
		}
	}
	return os.WriteFile(s.path("run/netifd.rules"), []byte(strings.Join(rules, "\n")), 0o644)
}

// services lists dnsmasq's instances: each enabled section, unless the file
// run/dnsmasq.stopped is there.
func (s system) services(stdout io.Writer) error {
	type running struct {
		Running bool     `json:"running"`
		Command []string `json:"command"`
	}
	instances := map[string]running{}
	p, err := load(s.path("etc/config"), "dhcp", s.path("tmp/.uci"))
	_, stopped := os.Stat(s.path("run/dnsmasq.stopped"))
	if err == nil && stopped != nil {
		for _, c := range p.sections {
			if c.typ == "dnsmasq" && c.last("disabled") != "1" {
				instances[c.name] = running{true, []string{"/usr/sbin/dnsmasq", "-C", "/var/etc/dnsmasq.conf." + c.name, "-k"}}
			}
		}
	}
	return json.NewEncoder(stdout).Encode(map[string]any{"dnsmasq": map[string]any{"instances": instances}})
}

// script is an init script. Only dnsmasq's does something beside being told:
// where run/dnsmasq.args lists the flags that no section gives, it ends the
// running dnsmasq and starts it anew from the first section.
func (s system) script(name string, args []string) error {
	if err := s.told(append([]string{name}, args...)...); err != nil {
		return err
	}
	flags, err := os.ReadFile(s.path("run/dnsmasq.args"))
	if name != "dnsmasq" || err != nil {
		return nil
	}
	p, err := load(s.path("etc/config"), "dhcp", s.path("tmp/.uci"))
	if err != nil {
		return err
	}
	i := slices.IndexFunc(p.sections, func(c *section) bool { return c.typ == "dnsmasq" })
	if i < 0 {
		return errors.New("no section")
	}
	c := p.sections[i]
	argv := append(strings.Fields(string(flags)), "--conf-dir="+c.last("confdir"), "--pid-file="+s.path("run/dnsmasq.pid"))
	if c.last("noresolv") == "1" {
		argv = append(argv, "--no-resolv")
	} else {
		argv = append(argv, "--resolv-file="+s.path("run/resolv.conf.auto"))
	}
	if c.last("rebind_protection") != "0" {
		argv = append(argv, "--stop-dns-rebind")
	}
	for _, server := range c.get("server") {
		argv = append(argv, "--server="+server)
	}
	if err := os.MkdirAll(filepath.Clean(c.last("confdir")), 0o755); err != nil {
		return err
	}
	if pid, err := os.ReadFile(s.path("run/dnsmasq.pid")); err == nil {
		var n int
		if _, err := fmt.Sscan(string(pid), &n); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL) // no child of ours: the port is free when it is gone
			for syscall.Kill(n, 0) == nil {
				if stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n)); strings.Contains(string(stat), ") Z ") {
					break // a zombie holds no socket
				}
			}
		}
	}
	if out, err := exec.Command("dnsmasq", argv...).CombinedOutput(); err != nil {
		return fmt.Errorf("dnsmasq: %w: %s", err, out)
	}
	return nil
}
