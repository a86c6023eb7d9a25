package webui

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"

	"github.com/gin-gonic/gin"
)

// Settings is section main. Every option may be left out of a change; null, an
// empty text or an empty list puts one back to its default.
type Settings struct {
	Enabled       Opt[bool]     `json:"enabled" uci:"1"`
	KillSwitch    Opt[bool]     `json:"killswitch" uci:"1"`
	LANNetwork    Opt[[]string] `json:"lan_network"`
	LANDevice     Opt[[]string] `json:"lan_device"`
	WANNetwork    Opt[[]string] `json:"wan_network"`
	WANDevice     Opt[[]string] `json:"wan_device"`
	Via           Opt[[]string] `json:"via"`
	IPv6          Opt[string]   `json:"ipv6" uci:"auto"`
	DNS           Opt[string]   `json:"dns" uci:"tunnel"`
	Resolver      Opt[[]string] `json:"resolver"`
	BlockDoT      Opt[bool]     `json:"block_dot" uci:"1"`
	BlockDoH      Opt[bool]     `json:"block_doh" uci:"0"`
	RouterTraffic Opt[string]   `json:"router_traffic" uci:"tunnel"`
	Bootstrap     Opt[[]string] `json:"bootstrap"`
	Firewall      Opt[string]   `json:"firewall" uci:"auto"`
	WebUI         Opt[bool]     `json:"webui" uci:"1"`
	WebUIListen   Opt[string]   `json:"webui_listen"`
	LogLevel      Opt[string]   `json:"log_level" uci:"info"`
}

// Opt is an option that may be absent from a change (not Given), or null.
type Opt[T any] struct {
	Given bool
	Value T
}

// MarshalJSON writes the value alone.
func (o Opt[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.Value) }

// UnmarshalJSON is called only for what is there.
func (o *Opt[T]) UnmarshalJSON(b []byte) error {
	o.Given = true
	if string(b) == "null" {
		var zero T
		o.Value = zero
		return nil
	}
	return json.Unmarshal(b, &o.Value)
}

// option is what UCI holds of an Opt: its values, and whether it is a list.
// null is told from false by Given alone, so a boolean is always written.
type option interface {
	values() (vs []string, list, given bool)
	set(vs []string)
}

func (o *Opt[T]) values() ([]string, bool, bool) {
	switch v := any(o.Value).(type) {
	case bool:
		return []string{map[bool]string{true: "1", false: "0"}[v]}, false, o.Given
	case string:
		if v == "" {
			return nil, false, o.Given
		}
		return []string{v}, false, o.Given
	case []string:
		return v, true, o.Given
	}
	return nil, false, false
}

func (o *Opt[T]) set(vs []string) {
	switch p := any(&o.Value).(type) {
	case *bool:
		*p = len(vs) > 0 && isOn(vs[len(vs)-1])
	case *string:
		*p = ""
		if len(vs) > 0 {
			*p = vs[len(vs)-1]
		}
	case *[]string:
		*p = append([]string{}, vs...)
	}
}

// isOn reads a boolean as UCI's users write it.
func isOn(v string) bool { return v == "1" || v == "on" || v == "true" || v == "yes" || v == "enabled" }

// eachOption calls f with the UCI name, the default and the value of each.
func (s *Settings) eachOption(f func(name, fallback string, o option)) {
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		t := v.Type().Field(i)
		f(t.Tag.Get("json"), t.Tag.Get("uci"), v.Field(i).Addr().Interface().(option))
	}
}

// settingsOf reads section main, with the defaults of what it leaves out.
func settingsOf(sections []Section) Settings {
	var s Settings
	main := find(sections, "main")
	s.eachOption(func(name, fallback string, o option) {
		vs := main.Options[name]
		if len(vs) == 0 && fallback != "" {
			vs = []string{fallback}
		}
		o.set(vs)
	})
	return s
}

func find(sections []Section, name string) Section {
	for _, s := range sections {
		if s.Name == name {
			return s
		}
	}
	return Section{}
}

func (s *Server) getSettings(c *gin.Context) (any, error) {
	sections, rev, err := s.agent.Read()
	if err != nil {
		return nil, err
	}
	setRevision(c, rev)
	return settingsOf(sections), nil
}

func (s *Server) putSettings(c *gin.Context) (any, error) {
	var in Settings
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	e := Edit{Type: "lanseal", Name: "main", Set: map[string][]string{}}
	in.eachOption(func(name, _ string, o option) {
		if vs, list, given := o.values(); given {
			e.Set[name] = vs
			if list {
				e.Lists = append(e.Lists, name)
			}
		}
	})
	sections, _, err := s.agent.Read()
	if err != nil {
		return nil, err
	}
	e.Add = find(sections, "main").Type == ""
	if err := s.change(c, e); err != nil {
		return nil, err
	}
	return s.getSettings(c)
}

// change makes edits of the configuration and answers with its new revision.
func (s *Server) change(c *gin.Context, edits ...Edit) error {
	for _, e := range edits {
		for name, vs := range e.Set {
			for _, v := range vs {
				if problem := unfit(v); problem != "" {
					return Invalid{{Error: problem, Field: name}}
				}
			}
		}
	}
	rev, err := s.agent.Change(c.Request.Context(), revision(c), edits)
	if err != nil {
		return err
	}
	setRevision(c, rev)
	return nil
}

// unfit says why a text cannot be a value of the configuration.
func unfit(v string) string {
	if len(v) > 1000 {
		return "is longer than 1000 characters"
	}
	if strings.ContainsFunc(v, func(r rune) bool { return r < 32 || r == 127 }) {
		return "holds a control character"
	}
	return ""
}

func badName(c *gin.Context, what string) error {
	return fail(http.StatusNotFound, "", "there is no such %s", what)
}
