package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

const aclFile = "../luci/root/usr/share/rpcd/acl.d/luci-app-lanseal.json"

// pluginCalls runs the plugin in this process, on a socket where a handler
// answers, or nobody.
type pluginCalls struct {
	t *testing.T
	g globals
}

func newPluginCalls(t *testing.T, agent http.Handler) pluginCalls {
	dir := t.TempDir()
	p := pluginCalls{t, globals{config: filepath.Join(dir, "lanseal"), socket: filepath.Join(dir, "sock"),
		state: filepath.Join(dir, "state"), persist: filepath.Join(dir, "persist"), plugin: true}}
	if agent != nil {
		l, err := net.Listen("unix", p.g.socket)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: agent}
		t.Cleanup(func() { srv.Close() })
		go func() { _ = srv.Serve(l) }()
	}
	return p
}

// call returns the one object that was printed.
func (p pluginCalls) call(method, request string) map[string]any {
	p.t.Helper()
	var out bytes.Buffer
	g := p.g
	g.stdin, g.stdout, g.stderr = strings.NewReader(request), &out, &out
	pluginMain(p.t.Context(), g, []string{"call", method})
	if out.Len() > 256<<10 {
		p.t.Errorf("%s: %d bytes: rpcd cuts at 256 KiB", method, out.Len())
	}
	var v map[string]any
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		p.t.Fatalf("%s: %v: %.200s", method, err, out.String())
	}
	return v
}

func TestP2PluginMethodsAreThoseOfTheACL(t *testing.T) {
	var out bytes.Buffer
	if status := pluginMain(t.Context(), globals{stdout: &out}, []string{"list"}); status != 0 {
		t.Fatalf("list: exit status %d", status)
	}
	var signatures map[string]map[string]string
	if err := json.Unmarshal(out.Bytes(), &signatures); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(aclFile)
	if err != nil {
		t.Fatal(err)
	}
	var acl map[string]struct {
		Read, Write struct {
			UBus map[string][]string `json:"ubus"`
		}
	}
	if err := json.Unmarshal(text, &acl); err != nil {
		t.Fatal(err)
	}
	group := acl["luci-app-lanseal"]
	read, write := group.Read.UBus[pluginName], group.Write.UBus[pluginName]
	granted := slices.Sorted(slices.Values(slices.Concat(read, write)))
	if has := slices.Sorted(maps.Keys(signatures)); !slices.Equal(has, granted) {
		t.Errorf("list has %v, the ACL grants %v", has, granted)
	}
	// What changes something, or sends traffic, is not for those who look.
	if want := []string{"import", "inspect", "leaktest", "test"}; !slices.Equal(slices.Sorted(slices.Values(write)), want) {
		t.Errorf("write grants %v, want %v", write, want)
	}
}

// reply answers as the agent does.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func TestPluginAnswers(t *testing.T) {
	big := make([]string, 0, 4000)
	for i := range cap(big) {
		big = append(big, fmt.Sprintf(`{"text":"event %d %s"}`, i, strings.Repeat("x", 100)))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, map[string]string{"state": "protected"}) })
	mux.HandleFunc("GET /api/v1/events", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("since") == "yesterday & today" {
			reply(w, 400, map[string]string{"error": "since is not a time", "field": "since"})
			return
		}
		_, _ = fmt.Fprintf(w, "[%s]", strings.Join(big, ","))
	})
	mux.HandleFunc("POST /api/v1/tunnels/se/test", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, map[string]bool{"answered": true}) })
	mux.HandleFunc("POST /api/v1/leaktest", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	mux.HandleFunc("GET /api/v1/leaktest", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, map[string]string{"note": strings.Repeat("y", 300<<10)})
	})
	p := newPluginCalls(t, mux)

	if got := p.call("status", ""); got["state"] != "protected" {
		t.Errorf("status: %v", got)
	}
	events := p.call("events", `{"since":"","ubus_rpc_session":"00112233"}`)
	list, _ := events["events"].([]any)
	if len(list) < 1000 || len(list) >= len(big) || events["cut"] != true {
		t.Fatalf("%d of %d events, cut %v", len(list), len(big), events["cut"])
	}
	if last := fmt.Sprint(list[len(list)-1]); !strings.Contains(last, "event 3999") {
		t.Errorf("the newest event was cut: the last is %.60s", last)
	}
	if got := p.call("leaktest", "{}"); len(got) != 0 {
		t.Errorf("leaktest: %v", got)
	}
	if got := p.call("test", `{"name":"se"}`); got["answered"] != true {
		t.Errorf("test: %v", got)
	}
	for _, c := range []struct{ method, request, says string }{
		{"test", `{"name":"../reload"}`, `no exit named "../reload"`},
		{"events", `{"since":"yesterday & today"}`, "since is not a time"},
		{"leakreport", `{}`, "too large for LuCI: 300 KiB"},
		{"devices", `{}`, `does not know "devices"`},
		{"unseal", `{}`, `no method "unseal"`},
		{"import", `{"name":"se","content":"` + strings.Repeat("z", mostAsked) + `"}`, "larger than 64 KiB"},
		{"import", `["se"]`, "no JSON object"},
		{"inspect", `{"name":"a.conf","content":"hello"}`, "neither a wg-quick file"},
	} {
		if got := fmt.Sprint(p.call(c.method, c.request)["error"]); !strings.Contains(got, c.says) {
			t.Errorf("%s: %q does not say %q", c.method, got, c.says)
		}
	}
}

func TestPluginWithoutAgent(t *testing.T) {
	p := newPluginCalls(t, nil)
	for uci, state := range map[string]string{
		"config lanseal 'main'\n\toption enabled '0'\n":                              "open",
		"config lanseal 'main'\n\toption killswitch '0'\n\tlist lan_device 'lan0'\n": "open",
		// Nothing was ever sealed for this device: a promise is not the fact.
		"config lanseal 'main'\n\tlist lan_device 'lan0'\n": "open",
		"config lanseal 'main'\n\toption nonsense '1'\n":    "unknown",
	} {
		if err := os.WriteFile(p.g.config, []byte(uci), 0o600); err != nil {
			t.Fatal(err)
		}
		got := p.call("status", "{}")
		if got["state"] != state || !strings.Contains(fmt.Sprint(got["error"]), "no agent is running") {
			t.Errorf("%q: %v", uci, got)
		}
	}
}

// rpcd's side of the protocol, with the real binary, by its link, and the agent.
func TestP2PluginInTheLab(t *testing.T) {
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	a, err := l.StartAgent(lab.AgentConfig{Tunnels: map[string]string{"se": l.VPN1.ClientFile(lab.ClientOptions{})}})
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(l.Dir, pluginName)
	if err := os.Symlink(product(t), link); err != nil {
		t.Fatal(err)
	}
	run := func(stdin string, args ...string) string {
		t.Helper()
		c := l.Router.Command(ctx, append([]string{link, "-c", a.Config, "--socket", a.Socket, "--state", a.State, "--persist", a.Persist}, args...)...)
		c.Stdin = strings.NewReader(stdin)
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return string(out)
	}
	ask := func(stdin, method string) map[string]any {
		t.Helper()
		var v map[string]any
		out := run(stdin, "call", method)
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Fatalf("%s: %v: %.200s", method, err, out)
		}
		return v
	}

	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	if got := ask("{}", "status"); got["state"] != "protected" || got["killswitch"] != true {
		t.Errorf("status: %v", got)
	}
	// What the pages ask for is what the agent answers.
	if got := ask("{}", "tunnels"); !strings.Contains(fmt.Sprint(got["tunnels"]), "name:se") {
		t.Errorf("tunnels: %v", got)
	}
	if got := ask(`{"name":"se"}`, "test"); got["answered"] != true {
		t.Errorf("test: %v", got)
	}
	if _, err := l.TV.WhoAmI(lab.Echo4); err != nil {
		t.Fatal(err)
	}
	if got := ask("{}", "devices"); !strings.Contains(fmt.Sprint(got["devices"]), lab.MACTV) {
		t.Errorf("devices: %v", got)
	}
	if got := ask("{}", "events"); !strings.Contains(fmt.Sprint(got["events"]), "protected") {
		t.Errorf("events: %v", got)
	}
	if got := ask(`{"since":""}`, "events")["events"].([]any); len(got) == 0 {
		t.Error("no events")
	}

	file := l.VPN2.ClientFile(lab.ClientOptions{})
	request, _ := json.Marshal(map[string]string{"name": "Provider-NO.conf", "content": file, "ubus_rpc_session": "0"})
	before, _ := os.ReadFile(a.Config)
	looked := ask(string(request), "inspect")
	if after, _ := os.ReadFile(a.Config); looked["type"] != "wireguard" || looked["server"] == "" || !bytes.Equal(before, after) {
		t.Errorf("inspect: %v", looked)
	}
	made := ask(string(request), "import")
	if made["name"] != "provider_no" || made["error"] != nil {
		t.Fatalf("import: %v", made)
	}
	for s, err := a.Status(ctx); s.Exit("provider_no").State != "up"; s, err = a.Status(ctx) {
		if err != nil || ctx.Err() != nil {
			t.Fatalf("the tunnel that was added is not up: %v %+v", err, s.Exits)
		}
	}
	again, _ := json.Marshal(map[string]string{"name": "se", "content": file})
	if got := fmt.Sprint(ask(string(again), "import")["error"]); !strings.Contains(got, "the name 'se' is taken") {
		t.Errorf("a second tunnel of the name: %s", got)
	}

	// No key of any tunnel file comes out, whatever is asked, nor lies in UCI.
	everything, _ := os.ReadFile(a.Config)
	for _, m := range pluginMethods() {
		everything = append(everything, run("{}", "call", m.name)...)
	}
	everything = append(everything, fmt.Sprint(looked, made)...)
	keys := 0
	for _, text := range []string{file, l.VPN1.ClientFile(lab.ClientOptions{})} {
		for line := range strings.Lines(text) {
			name, key, _ := strings.Cut(line, "=")
			if key = strings.TrimSpace(key); strings.Contains(strings.ToLower(name), "key") && !strings.Contains(name, "Public") {
				keys++
				if bytes.Contains(everything, []byte(key)) {
					t.Errorf("the %s of a tunnel file can be read", strings.TrimSpace(name))
				}
			}
		}
	}
	if keys < 2 {
		t.Fatalf("%d keys looked for: the test is blind", keys)
	}

	if got := ask("{}", "verify"); got["ok"] != true {
		t.Errorf("verify: %v", got)
	}

	// Dead, the agent has sealed the LAN; without its rules nobody has.
	a.Kill9()
	if err := a.Process().Wait(ctx); err == nil {
		t.Error("killed, and ended well")
	}
	if got := ask("{}", "status"); got["state"] != "sealed" || got["error"] == nil {
		t.Errorf("without an agent: %v", got)
	}
	for _, family := range []string{"-4", "-6"} {
		if out, err := l.Router.Command(ctx, "ip", family, "rule", "del", "prio", "520", "iif", "br-lan").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := ask("{}", "status"); got["state"] != "open" {
			t.Errorf("without the lock's %s rule: %v", family, got)
		}
	}
	if got := ask("{}", "verify"); got["ok"] != false {
		t.Errorf("verify, without an agent and half of its rules: %v", got)
	}
}

// LuCI takes back what it applied when the browser loses the router: no change
// of lanseal's switches may cut the way from the LAN to the router.
func TestP2SwitchesKeepTheRouterReachable(t *testing.T) {
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	at := netip.MustParseAddrPort("192.168.1.1:8080")
	if err := l.Router.ListenTCP(at, func(c net.Conn) { _, _ = io.Copy(c, c) }); err != nil {
		t.Fatal(err)
	}
	a, err := l.StartAgent(lab.AgentConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	old, err := l.TV.Dial(at, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	before, err := os.ReadFile(a.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []struct{ option, state string }{
		{"option killswitch '0'", "protected"}, {"option killswitch '1'", "protected"},
		{"option router_traffic 'wan'", "protected"}, {"list via 'block'\n\toption enabled '1'", "sealed"},
		{"option killswitch '0'\n\toption enabled '0'", "open"}, {"option enabled '1'", "protected"},
		{"option nonsense '1'", "protected"}, {"option enabled '1'", "protected"},
	} {
		uci := strings.Replace(string(before), "option enabled '1'", change.option, 1)
		if strings.HasPrefix(change.option, "list via") {
			uci = strings.ReplaceAll(strings.ReplaceAll(uci, "\tlist via 'se'\n", ""), "\tlist via 'no'\n", "")
		}
		if err := a.WriteConfig(uci); err != nil {
			t.Fatal(err)
		}
		if err := call(ctx, a.Socket, "POST", "/api/v1/reload", nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := a.WaitState(ctx, change.state); err != nil {
			t.Fatalf("%s: %v", change.option, err)
		}
		fresh, err := l.TV.Dial(at, time.Second)
		if err != nil {
			t.Fatalf("%s: the router cannot be reached: %v", change.option, err)
		}
		for name, c := range map[string]lab.Conn{"a new": fresh, "the old": old} {
			buf := make([]byte, 4)
			_ = c.SetDeadline(time.Now().Add(2 * time.Second))
			if _, err := c.Write([]byte("ping")); err != nil {
				t.Fatalf("%s: %s connection to the router is cut: %v", change.option, name, err)
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				t.Fatalf("%s: %s connection to the router is cut: %v", change.option, name, err)
			}
		}
		fresh.Close()
	}
	// A way that is cut would have been seen.
	if err := l.Router.NFT("table inet cut { chain input { type filter hook input priority 0; iifname br-lan tcp dport 8080 drop; }; }\n"); err != nil {
		t.Fatal(err)
	}
	if c, err := l.TV.Dial(at, 300*time.Millisecond); err == nil {
		c.Close()
		t.Error("the control is blind: the router is reached through a firewall that drops")
	}
}
