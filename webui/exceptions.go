package webui

import (
	"slices"

	"github.com/gin-gonic/gin"
)

func exceptionsOf(sections []Section) []Exception {
	out := []Exception{}
	for _, sec := range sections {
		if sec.Type == "exception" {
			out = append(out, Exception{ID: sec.Name, Label: one(sec, "label", sec.Name), Device: list(sec.Options["device"]),
				Dest: list(sec.Options["dest"]), Proto: one(sec, "proto", "any"), Port: list(sec.Options["port"]), Until: one(sec, "until", "")})
		}
	}
	return out
}

func (s *Server) getExceptions(c *gin.Context) (any, error) {
	sections, rev, err := s.agent.Read()
	if err != nil {
		return nil, err
	}
	setRevision(c, rev)
	return exceptionsOf(sections), nil
}

func (s *Server) postException(c *gin.Context) (any, error) {
	var in Exception
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	sections, _, err := s.agent.Read()
	if err != nil {
		return nil, err
	}
	if in.ID == "" {
		in.ID = freeName("x_"+in.Label, sections)
	}
	e := Edit{Type: "exception", Name: in.ID, Add: true, Lists: []string{"device", "dest", "port"}, Set: map[string][]string{
		"label": textValue(in.Label), "device": in.Device, "dest": in.Dest, "proto": textValue(in.Proto), "port": in.Port, "until": textValue(in.Until),
	}}
	if err := s.change(c, e); err != nil {
		return nil, err
	}
	sections, _, err = s.agent.Read()
	if err != nil {
		return nil, err
	}
	made := exceptionsOf(sections)
	if i := slices.IndexFunc(made, func(x Exception) bool { return x.ID == in.ID }); i >= 0 {
		return made[i], nil
	}
	return nil, ErrStale
}

func (s *Server) deleteException(c *gin.Context) (any, error) {
	sections, _, err := s.agent.Read()
	if err != nil {
		return nil, err
	}
	if find(sections, c.Param("id")).Type != "exception" {
		return nil, badName(c, "exception")
	}
	if err := s.change(c, Edit{Type: "exception", Name: c.Param("id"), Delete: true}); err != nil {
		return nil, err
	}
	return s.getExceptions(c)
}
