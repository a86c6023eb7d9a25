package tunnel

import (
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestWhoami(t *testing.T) {
	needLab(t) // SO_BINDTODEVICE
	asked := atomic.Int32{}
	for name, c := range map[string]struct {
		device string
		answer func(question) [][]byte
		want   string // the address, or a part of the error
	}{
		"the answer":      {"lo", func(q question) [][]byte { return [][]byte{q.reply(nil, "192.0.2.10")} }, "192.0.2.10"},
		"a lost question": {"lo", func(q question) [][]byte { return lostOnce(&asked, q.reply(nil, "192.0.2.10")) }, "192.0.2.10"},
		"a forged answer before": {"lo", func(q question) [][]byte {
			return [][]byte{q.reply(foreignID, "192.0.2.66"), q.reply(nil, "192.0.2.10")}
		}, "192.0.2.10"},
		"an address of a LAN":   {"lo", func(q question) [][]byte { return [][]byte{q.reply(nil, "192.168.1.7")} }, "192.168.1.7: private"},
		"of the provider's NAT": {"lo", func(q question) [][]byte { return [][]byte{q.reply(nil, "100.64.0.1")} }, "100.64.0.1: reserved"},
		"loopback":              {"lo", func(q question) [][]byte { return [][]byte{q.reply(nil, "127.0.0.1")} }, "loopback"},
		"broadcast":             {"lo", func(q question) [][]byte { return [][]byte{q.reply(nil, "255.255.255.255")} }, "reserved"},
		"of the other family":   {"lo", func(q question) [][]byte { return [][]byte{q.reply(nil, "2001:db8::1")} }, "no address"},
		"no such name": {"lo", func(q question) [][]byte {
			return [][]byte{q.reply(func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeNameError })}
		}, "no such name"},
		"silence":   {"lo", func(question) [][]byte { return nil }, "nobody answered"},
		"no device": {"ls-gone", func(q question) [][]byte { return [][]byte{q.reply(nil, "192.0.2.10")} }, "binding to the device"},
	} {
		t.Run(name, func(t *testing.T) {
			var questions atomic.Int32
			server := dnsServer(t, func(q question) [][]byte {
				questions.Add(1)
				if q.q.Name.String() != whoamiName+"." || q.network != "udp" {
					t.Errorf("asked by %s for %s", q.network, q.q.Name)
				}
				return c.answer(q)
			})
			got, err := Prober{Device: c.device}.whoami(t.Context(), server, dnsmessage.TypeA)
			switch {
			case err == nil && got.String() != c.want:
				t.Errorf("got %s", got)
			case err != nil && (got.IsValid() || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %s, %v", got, err)
			}
			if n := questions.Load(); n > 3 || c.device != "lo" && n > 0 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	for family, qtype := range map[bool]dnsmessage.Type{true: dnsmessage.TypeA, false: dnsmessage.TypeAAAA} {
		if s := whoamiServer(qtype); s.Addr().Is4() != family || s.Port() == 53 {
			t.Errorf("%s is asked at %s", qtype, s)
		}
	}
}

func foreignID(m *dnsmessage.Message) { m.ID++ }

// lostOnce answers from the second question on.
func lostOnce(asked *atomic.Int32, answer []byte) [][]byte {
	if asked.Add(1) == 1 {
		return nil
	}
	return [][]byte{answer}
}

func FuzzWhoami(f *testing.F) {
	name := dnsmessage.MustNewName(whoamiName + ".")
	q := question{header: dnsmessage.Header{ID: 7}, q: dnsmessage.Question{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}
	for _, a := range []string{"192.0.2.10", "192.168.1.1", "0.0.0.0", "224.0.0.1"} {
		f.Add(q.reply(nil, a), false)
	}
	q.q.Type = dnsmessage.TypeAAAA
	for _, a := range []string{"2001:db8::1", "fd00::1", "ff02::1", "::ffff:192.0.2.1", "2002:c0a8:101::1"} {
		f.Add(q.reply(nil, a), true)
	}
	f.Fuzz(func(t *testing.T, msg []byte, six bool) {
		qtype := dnsmessage.TypeA
		if six {
			qtype = dnsmessage.TypeAAAA
		}
		a, err := parseWhoami(msg, 7, name, qtype)
		var lie *FalseAnswer
		switch {
		case err == nil && (!a.IsGlobalUnicast() || a.IsPrivate() || a.Is4() == six || a.Zone() != ""):
			t.Errorf("%s was believed", a)
		case err != nil && a != (netip.Addr{}):
			t.Errorf("%s, and %v", a, err)
		case errors.As(err, &lie) && lie.Why == "":
			t.Error("refused without a reason")
		}
	})
}
