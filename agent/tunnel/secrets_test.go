package tunnel

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// leaks says in which form a key is in a text.
func leaks(text string, key wgtypes.Key) string {
	forms := map[string]string{
		"raw": string(key[:]), "hex": hex.EncodeToString(key[:]), "base64": base64.StdEncoding.EncodeToString(key[:]),
		"url": base64.RawURLEncoding.EncodeToString(key[:]), "decimal": strings.Trim(fmt.Sprint(key[:8]), "[]"),
		"JSON": strings.ReplaceAll(strings.Trim(fmt.Sprint(key[:8]), "[]"), " ", ","),
		"Go":   strings.Trim(strings.TrimPrefix(fmt.Sprintf("%#v", key[:8]), "[]byte"), "{}"),
	}
	for form, s := range forms {
		if strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
			return form
		}
	}
	return ""
}

// No private or preshared key is in anything that is printed, logged, returned
// or seen of the child from outside.
func TestSecretsStayIn(t *testing.T) {
	priv, psk := newKey(t), newKey(t)
	if leaks(fmt.Sprintf("%v", [32]byte(priv)), priv) == "" || leaks(priv.String(), priv) == "" || leaks(fmt.Sprintf("%#v", priv), priv) == "" {
		t.Fatal("the search finds nothing: the test proves nothing")
	}
	conf := WireGuard{
		Device: "ls-secret", PrivateKey: priv, ListenPort: ptr(1),
		Peers: []Peer{{PublicKey: newKey(t).PublicKey(), PresharedKey: (*[32]byte)(&psk), Endpoint: Endpoint{Host: "vpn.example.net", Port: 1}}},
	}
	d := NewWireGuard(conf, &names{err: errors.New("no way out")})
	var said bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	text := slog.New(slog.NewTextHandler(&said, nil))
	for _, v := range []any{conf, &conf, conf.Peers, conf.Peers[0], &conf.Peers[0], d, struct{ C WireGuard }{conf}, []WireGuard{conf}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
			fmt.Fprintf(&said, verb+"\n", v)
		}
		log.Info("value", "v", v)
		text.Info("value", "v", v)
		b, err := json.Marshal(v)
		must(t, err)
		said.Write(b)
	}
	say := func(err error) {
		if err == nil {
			t.Error("no error: the test proves less")
			return
		}
		fmt.Fprintln(&said, err)
		fmt.Fprintf(&said, "%+v %#v\n", err, err)
		log.Error("failed", "err", err)
	}
	if os.Getenv(roleEnv) == roleInside {
		say(d.Up(t.Context())) // its name cannot be resolved; all else is done
		s := lookSocket(t.Context(), conf.Device)
		for _, f := range []string{"cmdline", "environ", "status"} {
			b, err := os.ReadFile("/proc/" + strconv.Itoa(s.pid) + "/" + f)
			must(t, err)
			if len(b) == 0 {
				t.Errorf("%s of the child is empty", f)
			}
			said.Write(b)
		}
		must(t, unix.Kill(s.pid, unix.SIGSTOP))
		eventually(time.Second, func() bool { return state(s.pid) == 'T' })
		say(configureDevice(t.Context(), conf.Device, wgtypes.Config{PrivateKey: &priv}))
		must(t, unix.Kill(s.pid, unix.SIGKILL))
		eventually(time.Second, func() bool { return !alive(s.pid) })
		say(configureDevice(t.Context(), conf.Device, wgtypes.Config{PrivateKey: &priv}))
		say(d.Kick(t.Context()))
		say(d.Next(t.Context()))
		must(t, d.Down())
	} else if os.Getenv("LANSEAL_LAB") == "require" {
		t.Error("the half with a device needs a lab, and LANSEAL_LAB=require")
	}
	say(d.SetConfig(WireGuard{Device: "ls-other", PrivateKey: priv}))
	say(NewWireGuard(WireGuard{Device: "../ls", PrivateKey: priv}, nil).Up(t.Context()))
	for name, key := range map[string]wgtypes.Key{"private": priv, "clamped": clamp(priv), "preshared": psk} {
		if form := leaks(said.String(), key); form != "" {
			t.Errorf("the %s key is shown, as %s", name, form)
		}
	}
	if !strings.Contains(said.String(), redacted) {
		t.Error("nothing was printed")
	}
}
