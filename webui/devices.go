package webui

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
)

// deviceRule is the body of PUT devices/MAC.
type deviceRule struct {
	Label *string  `json:"label"`
	Via   []string `json:"via"` // absent: as it is; empty: the default way
}

func (s *Server) getDevices(c *gin.Context) (any, error) {
	_, rev, err := s.agent.Read()
	if err != nil {
		return nil, err
	}
	d, err := s.agent.Devices(c.Request.Context())
	if err != nil {
		return nil, err
	}
	setRevision(c, rev)
	return d, nil
}

// device finds the section that knows a hardware address.
func (s *Server) device(c *gin.Context) (mac string, sec Section, all []Section, err error) {
	hw, err := net.ParseMAC(c.Param("mac"))
	if err != nil || len(hw) != 6 {
		return "", sec, nil, fail(http.StatusBadRequest, "mac", "is no hardware address, like aa:bb:cc:dd:ee:ff")
	}
	all, _, err = s.agent.Read()
	if err != nil {
		return "", sec, nil, err
	}
	for _, sec := range all {
		if sec.Type == "device" && slices.ContainsFunc(sec.Options["mac"], func(m string) bool { return sameMAC(m, hw) }) {
			return hw.String(), sec, all, nil
		}
	}
	return hw.String(), Section{}, all, nil
}

func sameMAC(text string, hw net.HardwareAddr) bool {
	other, err := net.ParseMAC(text)
	return err == nil && other.String() == hw.String()
}

func (s *Server) putDevice(c *gin.Context) (any, error) {
	mac, sec, all, err := s.device(c)
	if err != nil {
		return nil, err
	}
	var in deviceRule
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	e := Edit{Type: "device", Name: sec.Name, Set: map[string][]string{}, Lists: []string{"via", "mac"}}
	if sec.Type == "" {
		hint := "d" + strings.ReplaceAll(mac, ":", "")[4:]
		if in.Label != nil && *in.Label != "" {
			hint = *in.Label
		}
		e.Name, e.Add = freeName(hint, all), true
		e.Set["mac"] = []string{mac}
	}
	if in.Label != nil {
		e.Set["label"] = textValue(*in.Label)
	}
	if in.Via != nil {
		e.Set["via"] = in.Via
	}
	if err := s.change(c, e); err != nil {
		return nil, err
	}
	return s.getDevices(c)
}

// deleteDevice forgets the address, and the section with its last one.
func (s *Server) deleteDevice(c *gin.Context) (any, error) {
	mac, sec, _, err := s.device(c)
	switch {
	case err != nil:
		return nil, err
	case sec.Type == "":
		return nil, badName(c, "rule")
	}
	hw, _ := net.ParseMAC(mac)
	rest := slices.DeleteFunc(slices.Clone(sec.Options["mac"]), func(m string) bool { return sameMAC(m, hw) })
	e := Edit{Type: "device", Name: sec.Name, Delete: true}
	if len(rest) > 0 || len(sec.Options["ip"]) > 0 {
		e = Edit{Type: "device", Name: sec.Name, Set: map[string][]string{"mac": rest}, Lists: []string{"mac"}}
	}
	if err := s.change(c, e); err != nil {
		return nil, err
	}
	return s.getDevices(c)
}

// freeName makes a section's name of a label: [a-z][a-z0-9_]{0,11}.
func freeName(label string, all []Section) string {
	var b strings.Builder
	for _, r := range strings.ToLower(label) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9' && b.Len() > 0:
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	base := strings.TrimRight(b.String(), "_")
	base = strings.TrimRight(base[:min(len(base), 12)], "_")
	if base == "" {
		base = "device"
	}
	name := base
	for n := 2; slices.ContainsFunc(all, func(s Section) bool { return s.Name == name }) || name == "main"; n++ {
		suffix := "_" + strconv.Itoa(n)
		name = base[:min(len(base), 12-len(suffix))] + suffix
	}
	return name
}
