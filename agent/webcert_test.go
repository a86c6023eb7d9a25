package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// newPair is a certificate of its own making for the router, and its key, DER.
func newPair(t *testing.T, serial int64) (crt, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "lanseal"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(lab.RouterLAN4)}}
	if crt, err = x509.CreateCertificate(rand.Reader, c, c, k.Public(), k); err == nil {
		key, err = x509.MarshalECPrivateKey(k)
	}
	if err != nil {
		t.Fatal(err)
	}
	return crt, key
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	c := newCertificate(dir, slog.New(slog.NewTextHandler(&log, nil)))
	crt1, key1 := newPair(t, 1)
	crt2, key2 := newPair(t, 2)
	crtFile, keyFile := filepath.Join(dir, "webui.crt"), filepath.Join(dir, "webui.key")
	step := func(what string, wanted bool, serial int64, lines int) {
		t.Helper()
		log.Reset()
		if c.wanted() != wanted {
			t.Errorf("%s: TLS is wanted: %v", what, !wanted)
		}
		var got *tls.Certificate
		for range 3 { // what is wrong is said once
			got, _ = c.get(nil)
		}
		switch {
		case serial == 0 && got != nil, serial != 0 && got == nil:
			t.Errorf("%s: certificate %v", what, got)
		case got != nil && got.Leaf.SerialNumber.Int64() != serial:
			t.Errorf("%s: certificate %v, want %d", what, got.Leaf.SerialNumber, serial)
		}
		if n := strings.Count(log.String(), "\n"); n != lines || strings.Contains(log.String(), "PRIVATE") {
			t.Errorf("%s: %d lines, want %d: %s", what, n, lines, log.String())
		}
	}
	if c.wanted() {
		t.Error("without files TLS is wanted")
	}
	write(t, keyFile, []byte("nonsense"))
	step("half a pair", true, 0, 1)
	write(t, crtFile, crt1)
	step("a broken key", true, 0, 1)
	write(t, keyFile, key1)
	step("a pair as OpenWrt makes them, DER", true, 1, 0)
	write(t, crtFile, crt2)
	step("half of a new pair", true, 1, 1)
	write(t, keyFile, key2)
	step("the whole new pair", true, 2, 0)
	write(t, crtFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: crt1}))
	write(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key1}))
	step("a pair in PEM", true, 1, 0)
	write(t, crtFile, bytes.Repeat([]byte{0}, 1000))
	step("a file of zeros", true, 1, 1)
}

// With a certificate the page is served by TLS alone, a new one counts at
// once, and one that cannot be read never means plain HTTP.
func TestTLS(t *testing.T) {
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	a, err := l.StartAgent(lab.AgentConfig{NoStart: true})
	if err != nil {
		t.Fatal(err)
	}
	crtFile, keyFile := filepath.Join(a.Persist, "webui.crt"), filepath.Join(a.Persist, "webui.key")
	crt, key := newPair(t, 1)
	write(t, crtFile, crt)
	write(t, keyFile, key)
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
	defer cancel()
	waitForPage(ctx, t, l.Laptop)
	setPassword(t, l, a)

	serial := int64(0)
	c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialTLSContext: func(ctx context.Context, _, at string) (net.Conn, error) {
		raw, err := l.Laptop.Dial(netip.MustParseAddrPort(at), 3*time.Second)
		if err != nil {
			return nil, err
		}
		s := tls.Client(labConn{raw}, &tls.Config{InsecureSkipVerify: true})
		if err := s.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		serial = s.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
		return s, nil
	}}}
	signIn := func(want int64) {
		t.Helper()
		req, _ := http.NewRequest("POST", "https://"+webAddress+"/api/v1/login", strings.NewReader(`{"password":"`+testPassword+`"}`))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Origin", "https://"+webAddress)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		cookies := resp.Cookies()
		if resp.StatusCode != 200 || len(cookies) != 1 || !cookies[0].Secure || !cookies[0].HttpOnly || serial != want {
			t.Errorf("signing in: %d %v, certificate %d, want %d", resp.StatusCode, cookies, serial, want)
		}
	}
	signIn(1)
	// Plain HTTP on the same port: told what to do, in one line, and nothing else.
	plain, err := browser(l.Laptop).Get("http://" + webAddress + "/")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(plain.Body)
	plain.Body.Close()
	if plain.StatusCode != 400 || !strings.Contains(string(text), "HTTPS") || strings.Count(string(text), "\n") > 1 {
		t.Errorf("plain HTTP: %d %q", plain.StatusCode, text)
	}

	crt, key = newPair(t, 2)
	write(t, crtFile, crt)
	write(t, keyFile, key)
	signIn(2)
	write(t, keyFile, []byte("broken"))
	signIn(2) // the one it had
	if n := strings.Count(a.Log(), "goes on with the certificate it had"); n != 1 {
		t.Errorf("said %d times: %s", n, a.Log())
	}

	// A start with a broken pair: the LAN is sealed as ever, and nobody listens.
	if err := a.Term(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := a.Reload(); err != nil {
			t.Fatal(err)
		}
		if conn, err := l.Laptop.Dial(netip.MustParseAddrPort(webAddress), time.Second); err == nil {
			conn.Close()
			t.Error("the page is served with a broken certificate")
		}
	}
	if n := strings.Count(a.Log(), "not without TLS either"); n != 1 {
		t.Errorf("said %d times: %s", n, a.Log())
	}
	// Mended, or taken away: it is there again, without a restart.
	write(t, keyFile, key)
	if err := a.Reload(); err != nil {
		t.Fatal(err)
	}
	waitForPage(ctx, t, l.Laptop)
	signIn(2)
	for _, f := range []string{crtFile, keyFile} {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Reload(); err != nil {
		t.Fatal(err)
	}
	for ctx.Err() == nil {
		if resp, err := browser(l.Laptop).Get("http://" + webAddress + "/api/v1/session"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == 200 {
				return
			}
		}
	}
	t.Errorf("without a certificate there is no plain HTTP: %s", a.Log())
}
