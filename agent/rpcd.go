package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/lanseal/lanseal/agent/config"
	"github.com/lanseal/lanseal/agent/kernel"
	"github.com/lanseal/lanseal/rules"
)

// pluginName is what rpcd runs: a link to this binary in /usr/libexec/rpcd.
// rpcd's exec protocol: "list" prints the methods and the types of their
// arguments, "call METHOD" reads one JSON object and prints one.
const pluginName = "luci.lanseal"

// Limits of the way through uhttpd and rpcd, in bytes.
const (
	mostAsked    = 64 << 10  // uhttpd takes no larger request
	mostAnswered = 250 << 10 // rpcd cuts at 256 KiB, and half a JSON object is none
)

// pluginLimit ends a call before rpcd gives up on it after 30 s and says
// nothing but "timeout".
const pluginLimit = 25 * time.Second

// pluginRequest are the arguments of all methods; rpcd passes on what else the
// caller sent.
type pluginRequest struct {
	Name    string `json:"name"`
	Content string `json:"content"`
	Since   string `json:"since"`
}

// pluginMethod is one method of the ubus object luci.lanseal. What a user who
// may only look is allowed to call is said in the app's acl.d.
type pluginMethod struct {
	name string
	args []string // all are texts
	call func(ctx context.Context, g globals, q pluginRequest) (any, error)
}

func pluginMethods() []pluginMethod {
	return []pluginMethod{
		{"status", nil, forward("GET", "status")},
		{"devices", nil, forward("GET", "devices")},
		{"tunnels", nil, forward("GET", "tunnels")},
		{"verify", nil, verifyHere},
		{"leaktest", nil, forward("POST", "leaktest")},
		{"leakreport", nil, forward("GET", "leaktest")},
		{"events", []string{"since"}, func(ctx context.Context, g globals, q pluginRequest) (any, error) {
			return ask(ctx, g, "GET", "events?since="+url.QueryEscape(q.Since))
		}},
		{"test", []string{"name"}, func(ctx context.Context, g globals, q pluginRequest) (any, error) {
			if !config.ValidExitName(q.Name) {
				return nil, fmt.Errorf("there is no exit named %q", q.Name)
			}
			return ask(ctx, g, "POST", "tunnels/"+q.Name+"/test")
		}},
		{"inspect", []string{"name", "content"}, func(_ context.Context, _ globals, q pluginRequest) (any, error) {
			found, err := config.Inspect(q.Name, []byte(q.Content))
			return describeTunnel(found), err
		}},
		{"import", []string{"name", "content"}, importHere},
	}
}

// forward makes a method of one request to the agent.
func forward(method, path string) func(context.Context, globals, pluginRequest) (any, error) {
	return func(ctx context.Context, g globals, _ pluginRequest) (any, error) { return ask(ctx, g, method, path) }
}

func ask(ctx context.Context, g globals, method, path string) (any, error) {
	var answer json.RawMessage
	err := call(ctx, g.socket, method, "/api/v1/"+path, nil, &answer)
	if errors.Is(err, io.EOF) { // an answer without a body
		return struct{}{}, nil
	}
	return answer, err
}

// importedDoc is what is told of a tunnel file: never its keys.
type importedDoc struct {
	Name     string   `json:"name,omitempty"`
	Label    string   `json:"label"`
	Type     string   `json:"type"`
	Server   string   `json:"server"`
	File     string   `json:"file,omitempty"`
	Warnings []string `json:"warnings"`
}

func describeTunnel(im config.Imported) importedDoc {
	return importedDoc{im.Name, im.Label, im.Type, im.Server, im.File, append([]string{}, im.Warnings...)}
}

// importHere adds a tunnel as the command line does, so it needs no agent.
func importHere(ctx context.Context, g globals, q pluginRequest) (any, error) {
	made, err := config.Import(g.config, filepath.Join(g.persist, "tunnels"), q.Name, []byte(q.Content))
	if err != nil {
		return nil, err
	}
	d := describeTunnel(made)
	if err := reloadAgent(ctx, g); err != nil {
		d.Warnings = append(d.Warnings, "the tunnel was added, but the agent did not read it: "+err.Error())
	}
	return d, nil
}

// verifyHere looks at the kernel itself, as the command line does: a question
// to the agent would go unanswered when it matters most.
func verifyHere(ctx context.Context, g globals, _ pluginRequest) (any, error) {
	var out bytes.Buffer
	g.stdout = &out
	if _, err := cmdVerify(ctx, g, []string{"--json"}); err != nil {
		return nil, err
	}
	return json.RawMessage(out.Bytes()), nil
}

// pluginMain speaks the protocol. rpcd does not look at the exit status of a
// call, so whatever goes wrong is said in the answer.
func pluginMain(ctx context.Context, g globals, args []string) int {
	methods := pluginMethods()
	switch {
	case len(args) == 1 && args[0] == "list":
		signatures := map[string]map[string]string{}
		for _, m := range methods {
			signatures[m.name] = map[string]string{}
			for _, a := range m.args {
				signatures[m.name][a] = "text"
			}
		}
		return printJSON(g.stdout, signatures)
	case len(args) == 2 && args[0] == "call":
		i := slices.IndexFunc(methods, func(m pluginMethod) bool { return m.name == args[1] })
		if i < 0 {
			return printJSON(g.stdout, failure{Error: fmt.Sprintf("luci.lanseal has no method %q", args[1])})
		}
		ctx, cancel := context.WithTimeout(ctx, pluginLimit)
		defer cancel()
		return printJSON(g.stdout, answerCall(ctx, g, methods[i]))
	}
	fmt.Fprintln(g.stderr, "luci.lanseal is a plugin of rpcd: it takes list, or call METHOD with JSON on standard input")
	return 2
}

func printJSON(w io.Writer, v any) int {
	if json.NewEncoder(w).Encode(v) != nil {
		return 1
	}
	return 0
}

// failure is the answer when there is no other.
type failure struct {
	Error string `json:"error"`
	Field string `json:"field,omitempty"`
	State string `json:"state,omitempty"` // without an agent: sealed, open or unknown
}

func answerCall(ctx context.Context, g globals, m pluginMethod) any {
	var q pluginRequest
	if len(m.args) > 0 {
		var err error
		if q, err = readRequest(g.stdin); err != nil {
			return failure{Error: err.Error()}
		}
	}
	answer, err := m.call(ctx, g, q)
	var no refusal
	switch {
	case errors.Is(err, errNoAgent):
		return failure{Error: "no agent is running: nobody watches the exits or repairs the locks", State: withoutAgent(g)}
	case errors.Is(err, context.DeadlineExceeded):
		return failure{Error: fmt.Sprintf("the agent did not answer within %s; look again later", pluginLimit)}
	case errors.As(err, &no) && no.Status == http.StatusNotFound && no.Text == "":
		return failure{Error: fmt.Sprintf("the agent that runs does not know %q: is it of another version?", m.name)}
	case errors.As(err, &no) && no.Text != "":
		return failure{Error: no.Text, Field: no.Field}
	case err != nil:
		return failure{Error: err.Error()}
	}
	return fit(m.name, answer)
}

// readRequest stops behind the object: rpcd need not close its end.
func readRequest(r io.Reader) (q pluginRequest, err error) {
	limited := &io.LimitedReader{R: r, N: mostAsked + 1}
	err = json.NewDecoder(limited).Decode(&q)
	switch {
	case limited.N == 0:
		return q, fmt.Errorf("the request is larger than %d KiB", mostAsked>>10)
	case err != nil && !errors.Is(err, io.EOF):
		return q, errors.New("the request is no JSON object whose values are texts")
	}
	return q, nil
}

// fit makes one object of the answer that rpcd can carry: a list goes under
// the method's name, and loses its oldest, first entries if it is too long.
func fit(name string, answer any) any {
	text, err := json.Marshal(answer)
	if err != nil {
		return failure{Error: "the agent's answer is no JSON"}
	}
	var list []json.RawMessage
	if json.Unmarshal(text, &list) == nil {
		size, first := len(name)+len(`{"":[],"cut":true}`), len(list)
		for first > 0 && size+len(list[first-1])+1 <= mostAnswered {
			first--
			size += len(list[first]) + 1
		}
		return map[string]any{name: append([]json.RawMessage{}, list[first:]...), "cut": first > 0}
	}
	if len(text) > mostAnswered {
		return failure{Error: fmt.Sprintf("the answer is too large for LuCI: %d KiB", len(text)>>10)}
	}
	return json.RawMessage(text)
}

// withoutAgent is the state while nobody keeps it: sealed, if the routing lock
// stands in the kernel for every protected device. A promise is not taken for
// the fact.
func withoutAgent(g globals) string {
	cfg, err := config.Load(g.config, config.Options{})
	p := cfg.Policy
	if !p.Enabled || !p.KillSwitch {
		return "open"
	}
	if err != nil && len(p.LAN) == 0 {
		p, _ = readGuard(guardPath(g))
	}
	k, err := kernel.Open(kernel.Options{Firewall: cfg.Firewall, StateDir: g.state})
	if err != nil {
		return "unknown"
	}
	defer k.Close()
	s, err := k.Observe()
	if err != nil || len(p.LAN) == 0 {
		return "unknown"
	}
	stands := map[rules.Rule]bool{}
	for _, r := range s.Have.Rules {
		stands[r.Key()] = true
	}
	for _, r := range rules.Sealed(p).Rules {
		if r.Unreachable && slices.Contains(p.LAN, r.In) && !stands[r.Key()] {
			return "open"
		}
	}
	return "sealed"
}
