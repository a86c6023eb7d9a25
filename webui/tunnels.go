package webui

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"
)

// newTunnel is the body of POST tunnels.
type newTunnel struct {
	Name    string `json:"name"` // the exit's, or the file's as a hint
	Label   string `json:"label"`
	Content string `json:"content"`
}

// tunnelPatch is the body of PATCH tunnels/NAME.
type tunnelPatch struct {
	Label   *string `json:"label"`
	Enabled *bool   `json:"enabled"`
	MTU     *int    `json:"mtu"` // 0: from the file, or computed
	Content *string `json:"content"`
}

func (s *Server) getTunnels(c *gin.Context) (any, error) {
	sections, rev, err := s.agent.Read()
	if err != nil {
		return nil, err
	}
	st, err := s.agent.Status(c.Request.Context(), Look{})
	if err != nil {
		return nil, err
	}
	setRevision(c, rev)
	out := Tunnels{Tunnels: []Tunnel{}, Via: list(find(sections, "main").Options["via"])}
	for _, sec := range sections {
		if sec.Type != "tunnel" {
			continue
		}
		t := Tunnel{Exit: Exit{Name: sec.Name, State: "disabled", Type: one(sec, "type", "wireguard"), Resolvers: []string{}},
			Label: one(sec, "label", sec.Name), Enabled: isOn(one(sec, "enabled", "1")), Warnings: []string{}}
		t.MTU, _ = strconv.Atoi(one(sec, "mtu", "0"))
		if i := slices.IndexFunc(st.Exits, func(e Exit) bool { return e.Name == sec.Name }); i >= 0 {
			t.Exit = st.Exits[i]
		}
		out.Tunnels = append(out.Tunnels, t)
	}
	return out, nil
}

// one is an option's value.
func one(s Section, name, fallback string) string {
	if vs := s.Options[name]; len(vs) > 0 {
		return vs[len(vs)-1]
	}
	return fallback
}

func list(vs []string) []string { return append([]string{}, vs...) }

func (s *Server) postTunnel(c *gin.Context) (any, error) {
	var in newTunnel
	if c.ContentType() == "multipart/form-data" {
		if err := readForm(c, &in); err != nil {
			return nil, err
		}
	} else {
		// The provider's file is longer than any other body.
		c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, mostTunnel)
		if err := decodeLarge(c, &in); err != nil {
			return nil, err
		}
	}
	switch {
	case len(in.Content) == 0:
		return nil, Invalid{{Error: "the provider's file is missing", Field: "content"}}
	case unfit(in.Name) != "":
		return nil, Invalid{{Error: unfit(in.Name), Field: "name"}}
	case unfit(in.Label) != "":
		return nil, Invalid{{Error: unfit(in.Label), Field: "label"}}
	}
	if in.Name == "" {
		in.Name = "tunnel.conf"
	}
	return s.agent.Import(c.Request.Context(), in.Name, in.Label, []byte(in.Content))
}

// readForm reads a form with a file, in memory and no more than a file's size.
func readForm(c *gin.Context, in *newTunnel) error {
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, mostTunnel)
	parts, err := c.Request.MultipartReader()
	if err != nil {
		return fail(http.StatusBadRequest, "", "reading the form: %s", err)
	}
	for range 8 {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return formError(err)
		}
		text, err := io.ReadAll(p)
		if err != nil {
			return formError(err)
		}
		switch p.FormName() {
		case "file", "content":
			in.Content = string(text)
			if in.Name == "" {
				in.Name = p.FileName()
			}
		case "name":
			if len(text) > 0 {
				in.Name = string(text)
			}
		case "label":
			in.Label = string(text)
		default:
			return Invalid{{Error: "there is no such field", Field: p.FormName()}}
		}
	}
	return fail(http.StatusBadRequest, "", "the form has too many parts")
}

func formError(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return badJSON(err)
	}
	return fail(http.StatusBadRequest, "", "reading the form: %s", err)
}

func (s *Server) tunnel(c *gin.Context) (Section, []Section, error) {
	sections, _, err := s.agent.Read()
	if err != nil {
		return Section{}, nil, err
	}
	sec := find(sections, c.Param("name"))
	if sec.Type != "tunnel" {
		return sec, nil, badName(c, "tunnel")
	}
	return sec, sections, nil
}

func (s *Server) patchTunnel(c *gin.Context) (any, error) {
	sec, _, err := s.tunnel(c)
	if err != nil {
		return nil, err
	}
	var in tunnelPatch
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, mostTunnel)
	if err := decodeLarge(c, &in); err != nil {
		return nil, err
	}
	e := Edit{Type: sec.Type, Name: sec.Name, Set: map[string][]string{}}
	if in.Label != nil {
		e.Set["label"] = textValue(*in.Label)
	}
	if in.Enabled != nil {
		e.Set["enabled"] = []string{map[bool]string{true: "1", false: "0"}[*in.Enabled]}
	}
	if in.MTU != nil {
		e.Set["mtu"] = nil
		if *in.MTU != 0 {
			e.Set["mtu"] = []string{strconv.Itoa(*in.MTU)}
		}
	}
	if err := s.change(c, e); err != nil {
		return nil, err
	}
	if in.Content != nil {
		if _, err := s.agent.Replace(c.Request.Context(), sec.Name, []byte(*in.Content)); err != nil {
			return nil, err
		}
	}
	return s.getTunnels(c)
}

func textValue(v string) []string {
	if v == "" {
		return nil
	}
	return []string{v}
}

// deleteTunnel takes the tunnel out of every list that names it, too. A device
// that has no other exit is blocked: what its default is could be the WAN.
func (s *Server) deleteTunnel(c *gin.Context) (any, error) {
	sec, sections, err := s.tunnel(c)
	if err != nil {
		return nil, err
	}
	var edits []Edit
	for _, other := range sections {
		via := other.Options["via"]
		if !slices.Contains(via, sec.Name) || other.Type != "device" && other.Type != "lanseal" {
			continue
		}
		via = slices.DeleteFunc(slices.Clone(via), func(v string) bool { return v == sec.Name })
		if len(via) == 0 && other.Type == "device" {
			via = []string{"block"}
		}
		edits = append(edits, Edit{Type: other.Type, Name: other.Name, Set: map[string][]string{"via": via}, Lists: []string{"via"}})
	}
	if err := s.change(c, append(edits, Edit{Type: sec.Type, Name: sec.Name, Delete: true})...); err != nil {
		return nil, err
	}
	if err := s.agent.Remove(one(sec, "file", "")); err != nil {
		s.log.Warn("the tunnel is gone, its file stays", "error", err)
	}
	return s.getTunnels(c)
}

func (s *Server) tryTunnel(c *gin.Context) (any, error) {
	if _, _, err := s.tunnel(c); err != nil {
		return nil, err
	}
	return s.agent.Try(c.Request.Context(), c.Param("name"))
}
