package webui

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// document is the OpenAPI document as a client reads it.
func (h *house) document() map[string]any {
	h.t.Helper()
	a := h.do("GET", "/api/v1/openapi.json", "")
	var d map[string]any
	if err := json.Unmarshal([]byte(a.body), &d); err != nil {
		h.t.Fatal(err)
	}
	return d
}

// conforms says where a value is not what a schema wants.
func conforms(doc map[string]any, schema map[string]any, v any, where string) []string {
	if ref, ok := schema["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/components/schemas/")
		found, ok := doc["components"].(map[string]any)["schemas"].(map[string]any)[name].(map[string]any)
		if !ok {
			return []string{where + ": no schema " + name}
		}
		return conforms(doc, found, v, where)
	}
	var types []string
	switch t := schema["type"].(type) {
	case string:
		types = []string{t}
	case []any:
		for _, x := range t {
			types = append(types, x.(string))
		}
	}
	kind := "null"
	switch v := v.(type) {
	case bool:
		kind = "boolean"
	case string:
		kind = "string"
	case float64:
		kind = "number"
		if slices.Contains(types, "integer") && v == float64(int64(v)) {
			kind = "integer"
		}
	case []any:
		kind = "array"
	case map[string]any:
		kind = "object"
	}
	if !slices.Contains(types, kind) {
		return []string{fmt.Sprintf("%s is %s, want %v", where, kind, types)}
	}
	var out []string
	switch v := v.(type) {
	case []any:
		for i, x := range v {
			out = append(out, conforms(doc, schema["items"].(map[string]any), x, fmt.Sprintf("%s[%d]", where, i))...)
		}
	case map[string]any:
		props, _ := schema["properties"].(map[string]any)
		for name, x := range v {
			p, known := props[name].(map[string]any)
			switch {
			case known:
				out = append(out, conforms(doc, p, x, where+"."+name)...)
			case schema["additionalProperties"] == false:
				out = append(out, where+"."+name+" is not in the document")
			}
		}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, there := v[name.(string)]; !there {
				out = append(out, where+"."+name.(string)+" is missing")
			}
		}
	}
	return out
}

// Every answer is what the document says, good ones and bad ones.
func TestOpenAPI(t *testing.T) {
	h := open(t).signIn()
	doc := h.document()
	paths := doc["paths"].(map[string]any)
	bodies := map[string]string{
		"POST /tunnels": `{"name":"us","content":"x"}`, "PATCH /tunnels/:name": `{"label":"x"}`, "PUT /devices/:mac": `{"via":["se"]}`,
		"POST /exceptions": `{"label":"x","dest":["192.0.2.0/24"]}`, "PUT /settings": `{"ipv6":"block"}`, "POST /login": `{"password":"right password"}`,
	}
	seen := 0
	routes := h.s.routes()
	slices.SortStableFunc(routes, func(a, b route) int { return strings.Compare(order(a), order(b)) })
	for _, r := range routes {
		open, _ := openPath(r.path)
		op, ok := paths[prefix+open].(map[string]any)[strings.ToLower(r.method)].(map[string]any)
		if !ok {
			t.Errorf("%s %s is not in the document", r.method, r.path)
			continue
		}
		if _, hasBody := op["requestBody"]; hasBody != (r.in != nil) {
			t.Errorf("%s %s: a body is documented: %v", r.method, r.path, hasBody)
		}
		if r.raw != nil {
			continue
		}
		path := prefix + strings.NewReplacer(":name", "se", ":mac", "02:00:00:00:00:01", ":id", "x_x").Replace(r.path)
		for _, headers := range [][]string{{"If-Match", "*"}, {"If-Match", "old"}, {"Cookie", "none"}} {
			a := h.do(r.method, path, bodies[r.method+" "+r.path], headers...)
			responses := op["responses"].(map[string]any)
			answer, good := responses[fmt.Sprint(a.status)].(map[string]any)
			if !good {
				answer = responses["default"].(map[string]any)
			}
			if headers[0] == "If-Match" && headers[1] == "*" && !good {
				t.Errorf("%s %s: %d %s", r.method, path, a.status, a.body)
			}
			var v any
			if err := json.Unmarshal([]byte(a.body), &v); err != nil {
				t.Errorf("%s %s: %v: %s", r.method, path, err, a.body)
				continue
			}
			s := answer["content"].(map[string]any)["application/json"].(map[string]any)["schema"].(map[string]any)
			for _, problem := range conforms(doc, s, v, r.method+" "+path) {
				t.Error(problem)
			}
			seen++
		}
		if r.path == "/login" {
			h.signIn()
		}
	}
	if seen < 50 {
		t.Errorf("only %d answers were looked at", seen)
	}
}

// order has things made before they are removed, and signing out last.
func order(r route) string {
	if r.path == "/logout" {
		return "9"
	}
	return map[string]string{"GET": "1", "POST": "2", "PUT": "3", "PATCH": "4", "DELETE": "5"}[r.method]
}

// Bodies of all kinds: an answer in JSON, never a 500, and of wrong fields the
// name.
func TestWrongBodies(t *testing.T) {
	h := open(t).signIn()
	for _, c := range []struct{ method, path, body, field string }{
		{"PUT", "/settings", `{"enabled":"yes"}`, "enabled"},
		{"PUT", "/settings", `{"via":"se"}`, "via"},
		{"PUT", "/settings", `{"via":[1]}`, "via"},
		{"PUT", "/settings", `{"nonsense":1}`, "nonsense"},
		{"PUT", "/settings", `{"dns":"a\u0000b"}`, "dns"},
		{"PUT", "/settings", `{"dns":"` + strings.Repeat("x", 2000) + `"}`, "dns"},
		{"PUT", "/settings", `[]`, ""},
		{"PUT", "/settings", `{"dns":"tunnel"} {}`, ""},
		{"PUT", "/settings", `nul`, ""},
		{"PUT", "/devices/02:00:00:00:00:01", `{"via":{"a":1}}`, "via"},
		{"PUT", "/devices/02:00:00:00:00:01", `{"label":7}`, "label"},
		{"PATCH", "/tunnels/se", `{"mtu":1e400}`, "mtu"},
		{"PATCH", "/tunnels/se", `{"mtu":99999999999999999999999}`, "mtu"},
		{"PATCH", "/tunnels/se", `{"enabled":1}`, "enabled"},
		{"POST", "/exceptions", `{"port":[80]}`, "port"},
		{"POST", "/exceptions", `{"label":"a\nb"}`, "label"},
		{"POST", "/tunnels", `{"content":"x","name":"a\u001bb"}`, "name"},
		{"POST", "/login", `{"password":["x"]}`, "password"},
		{"POST", "/login", `{"user":"root"}`, "user"},
	} {
		a := h.do(c.method, prefix+c.path, c.body, "If-Match", "*")
		var e errorBody
		if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.status != 400 || e.Error == "" || e.Field != c.field {
			t.Errorf("%s %s %.60s: %d %s", c.method, c.path, c.body, a.status, a.body)
		}
	}
}

func FuzzBodies(f *testing.F) {
	for _, seed := range []string{`{"enabled":true,"via":["se"],"dns":"x"}`, `{"via":["block"],"label":"TV"}`, `{"label":"x","dest":["10.0.0.0/8"],"port":["1-2"]}`,
		`{"mtu":1400,"content":"[Interface]"}`, `{"name":"a","content":"b"}`, `{"password":"x"}`, `{"enabled":null}`, `{`, `[[[[`, `"\ud800"`} {
		for i := range 6 {
			f.Add(byte(i), seed)
		}
	}
	targets := []struct{ method, path string }{{"PUT", "/settings"}, {"PUT", "/devices/02:00:00:00:00:01"}, {"POST", "/exceptions"}, {"PATCH", "/tunnels/se"}, {"POST", "/tunnels"}, {"POST", "/login"}}
	agent := newFake()
	s := New(Options{Agent: agent.agent(), Log: slog.New(slog.DiscardHandler), Now: time.Now}).engine(true)
	f.Fuzz(func(t *testing.T, which byte, body string) {
		fresh := newFake()
		agent.sections, agent.files, agent.rev = fresh.sections, fresh.files, 0
		to := targets[int(which)%len(targets)]
		r, w := httptest.NewRequest(to.method, prefix+to.path, strings.NewReader(body)), httptest.NewRecorder()
		r.Header.Set("Content-Type", "application/json")
		s.ServeHTTP(w, r)
		status, text := w.Code, w.Body.String()
		var e errorBody
		switch {
		case status >= 500:
			t.Errorf("%s %s %q: %d %s", to.method, to.path, body, status, text)
		case status >= 400 && (json.Unmarshal([]byte(text), &e) != nil || e.Error == ""):
			t.Errorf("%s %s %q: %d %s", to.method, to.path, body, status, text)
		case strings.Contains(text, secretText):
			t.Errorf("%s %s %q tells a secret", to.method, to.path, body)
		}
	})
}
