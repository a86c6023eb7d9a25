package store

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Device is something that was seen on the LAN.
type Device struct {
	MAC   string     `json:"mac"`
	IP    netip.Addr `json:"ip,omitzero"` // the last
	Name  string     `json:"name,omitempty"`
	First time.Time  `json:"first"`
	Last  time.Time  `json:"last"`
}

// longestName is that of a DNS label.
const longestName = 63

// Seen records a device; an invalid address or empty name leaves what is known.
func (s *Store) Seen(mac string, ip netip.Addr, name string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mac = strings.ToLower(mac)
	name = name[:min(len(name), longestName)]
	d := s.devices[mac]
	if d == nil {
		if len(mac) != len("aa:bb:cc:dd:ee:ff") {
			return
		}
		s.makeRoomForDevice()
		d = &Device{MAC: mac, First: now.UTC().Round(time.Second)}
		s.devices[mac] = d
	} else if now.Sub(d.Last) < time.Minute && !now.Before(d.Last) && (!ip.IsValid() || d.IP == ip) && (name == "" || d.Name == name) {
		return // nothing new
	}
	d.Last = now.UTC().Round(time.Second)
	if ip.IsValid() {
		d.IP = ip
	}
	if name != "" {
		d.Name = name
	}
	s.mark(ref{inDevices, mac}, false)
}

// makeRoomForDevice forgets the device not seen for longest, with its traffic.
func (s *Store) makeRoomForDevice() {
	if len(s.devices) < s.o.Limits.Devices {
		return
	}
	oldest := ""
	for mac, d := range s.devices {
		if oldest == "" || d.Last.Before(s.devices[oldest].Last) {
			oldest = mac
		}
	}
	delete(s.devices, oldest)
	s.mark(ref{inDevices, oldest}, false)
	s.forgetTraffic(trafficKey{OfDevice, oldest})
}

// Devices are all that are remembered, the last seen first.
func (s *Store) Devices() []Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Device{}
	for _, d := range s.devices {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b Device) int {
		if c := b.Last.Compare(a.Last); c != 0 {
			return c
		}
		return strings.Compare(a.MAC, b.MAC)
	})
	return out
}

func (s *Store) loadDevice(k, v []byte) error {
	d := &Device{}
	if err := json.Unmarshal(v, d); err != nil {
		return err
	}
	if _, newer := s.devices[string(k)]; !newer && len(s.devices) < s.o.Limits.Devices {
		s.devices[string(k)] = d
	}
	return nil
}
