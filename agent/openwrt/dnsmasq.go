package openwrt

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// canaries are names whose absence tells clients to leave DNS to the network:
// Firefox's for DNS over HTTPS, and Apple's for its relay.
var canaries = [...]string{"use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com"}

// upstreamFile is the name of lanseal's file in an instance's confdir.
const upstreamFile = "lanseal.conf"

// instance is one dnsmasq section and what became of it.
type instance struct {
	section Section
	running bool
	confdir string
	managed bool // lanseal keeps its upstream
}

// parseServices reads the answer of "ubus call service list" for dnsmasq: the
// configuration file of each running instance.
func parseServices(data []byte) (map[string]string, error) {
	var answer map[string]struct {
		Instances map[string]struct {
			Running bool     `json:"running"`
			Command []string `json:"command"`
		} `json:"instances"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("reading procd's answer: %w", err)
	}
	running := map[string]string{}
	for name, i := range answer["dnsmasq"].Instances {
		if !i.Running {
			continue
		}
		running[name] = ""
		if at := slices.Index(i.Command, "-C"); at >= 0 && at+1 < len(i.Command) {
			running[name] = i.Command[at+1]
		}
	}
	return running, nil
}

func (g *Guest) services(ctx context.Context) (map[string]string, error) {
	out, err := g.run(ctx, "", "ubus", "-S", "call", "service", "list", `{"name":"dnsmasq"}`)
	if err != nil {
		return nil, err
	}
	return parseServices(out)
}

// confdir is where an instance looks for more configuration: what it was
// started with, else what its section says, else the release's own.
func (g *Guest) confdir(s Section, started string) string {
	dir := ""
	if text, err := os.ReadFile(g.path(started)); started != "" && err == nil {
		for line := range strings.Lines(string(text)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "conf-dir="); ok {
				dir = v
			}
		}
	}
	if dir == "" {
		dir = s.get("confdir")
	}
	if dir == "" && g.release.before(24, 10) {
		dir = "/tmp/dnsmasq.d"
	}
	if dir == "" {
		dir = "/tmp/dnsmasq." + s.ID + ".d"
	}
	dir, _, _ = strings.Cut(dir, ",") // patterns of file names follow
	if !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Clean(dir)
}

// instances decides which of dnsmasq's instances lanseal keeps on the tunnel:
// those on port 53 that answer a protected LAN. An instance that shares its
// confdir with one that is not lanseal's business cannot be told its upstream
// without telling the other. Recorded ones stay while they are restarted.
func (g *Guest) instances(c Config, running map[string]string, lans []string, recorded func(section string) bool) []instance {
	var all []instance
	for _, s := range c.Sections {
		if s.Type != "dnsmasq" || s.yes("disabled", false) {
			continue
		}
		started, runs := running[s.ID]
		all = append(all, instance{section: s, running: runs, confdir: g.confdir(s, started)})
	}
	for i := range all {
		in := &all[i]
		port := in.section.get("port")
		in.managed = in.confdir != "" && (in.running || recorded(in.section.ID)) && (port == "" || port == "53") && serves(in.section, lans)
	}
	for i := range all {
		for j := range all {
			if !all[j].managed && all[i].confdir == all[j].confdir {
				all[i].managed = false
			}
		}
	}
	return all
}

// serves says whether an instance listens on any of the networks.
func serves(s Section, lans []string) bool {
	return slices.ContainsFunc(lans, func(n string) bool { return listens(s, n) })
}

func listens(s Section, network string) bool {
	only, not := s.words("interface"), s.words("notinterface")
	return (len(only) == 0 || contains(only, network)) && !contains(not, network)
}

// wantResolver is what lanseal wants of the dnsmasq sections: no upstream but
// the file's, and the router asks itself. Upstreams of single domains stay.
func wantResolver(out *Config, all []instance) {
	for _, in := range all {
		if !in.managed {
			continue
		}
		id := in.section.ID
		out.set(id, "noresolv", one("1"))
		out.set(id, "localuse", one("1"))
		var kept []string
		for _, server := range in.section.words("server") {
			if strings.HasPrefix(server, "/") {
				kept = append(kept, server)
			}
		}
		switch old := in.section.value("server"); {
		case old == nil:
		case len(kept) == 0:
			out.set(id, "server", nil)
		case len(kept) < len(in.section.words("server")):
			out.set(id, "server", list(kept...))
		}
	}
}

// upstreamText is an instance's file: without a device it has no upstream, and
// dnsmasq refuses at once.
func upstreamText(u Upstream) string {
	var b strings.Builder
	b.WriteString("# lanseal keeps this file: the tunnel's resolver, asked by the tunnel alone.\n")
	if u.Device != "" {
		for _, s := range u.Servers {
			fmt.Fprintf(&b, "server=%s@%s\n", s, u.Device)
		}
	}
	for _, name := range canaries {
		fmt.Fprintf(&b, "address=/%s/\n", name)
	}
	return b.String()
}
