package store

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Get returns the addresses that an endpoint's name stood for, best first.
func (s *Store) Get(host string) []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.endpoints[strings.ToLower(host)])
}

// Put remembers what an endpoint's name stands for. A name that was not known
// is worth a checkpoint: with it the next boot needs no DNS.
func (s *Store) Put(host string, addrs []netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	host = strings.ToLower(host)
	old, known := s.endpoints[host]
	if len(host) > 253 || len(addrs) == 0 || slices.Equal(old, addrs) {
		return
	}
	if !known && len(s.endpoints) >= mostHosts {
		for h := range s.endpoints { // names from edited configurations: begin anew
			delete(s.endpoints, h)
			s.mark(ref{inEndpoints, h}, false)
		}
	}
	s.endpoints[host] = slices.Clone(addrs)
	s.wanted = s.wanted || !known
	s.mark(ref{inEndpoints, host}, true)
}

// encodeAddrs is nil for none, which deletes the record.
func encodeAddrs(addrs []netip.Addr) []byte {
	if len(addrs) == 0 {
		return nil
	}
	return encode(addrs)
}

func (s *Store) loadEndpoints(k, v []byte) error {
	var addrs []netip.Addr
	if err := json.Unmarshal(v, &addrs); err != nil {
		return err
	}
	if _, newer := s.endpoints[string(k)]; !newer {
		s.endpoints[string(k)] = addrs
	}
	return nil
}

// SetGood remembers that a time was good. A certain one, which the kernel or
// NTP vouch for, counts as it is; else the latest counts.
func (s *Store) SetGood(t time.Time, certain bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	step := t.Sub(s.good)
	if step >= time.Minute || certain && step < 0 {
		s.good = t.Round(0)
		s.mark(ref{inMeta, keyGood}, false)
	}
}

// Good is the last time that was good; zero: none is known.
func (s *Store) Good() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.good
}
