package main

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// certificate is the page's own: webui.crt and webui.key under --persist, or
// links to the router's (/etc/uhttpd.crt and .key), which may be DER. The files
// are looked at for each connection, so a new certificate needs no restart.
type certificate struct {
	crt, key string
	log      *slog.Logger

	mu   sync.Mutex
	of   string // what the files were when they were last read
	last *tls.Certificate
	err  error // of the last reading
}

func newCertificate(persist string, log *slog.Logger) *certificate {
	return &certificate{crt: filepath.Join(persist, "webui.crt"), key: filepath.Join(persist, "webui.key"), log: log}
}

// wanted says whether the page is to be served by TLS: one file is enough to
// say so. It never is served without, because the files cannot be read.
func (c *certificate) wanted() bool {
	_, errC := os.Stat(c.crt)
	_, errK := os.Stat(c.key)
	return !os.IsNotExist(errC) || !os.IsNotExist(errK)
}

// get is the certificate of the files as they are now, or the last one that
// was good: a pair of which one half is not yet written must lock nobody out.
// What is wrong with the files is said once.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := stamp(c.crt) + stamp(c.key); now != c.of {
		c.of = now
		cert, err := readCertificate(c.crt, c.key)
		switch {
		case err == nil:
			c.last = cert
		case c.last == nil:
			c.log.Error("the web UI is not served, and not without TLS either: its certificate cannot be read", "error", err)
		default:
			c.log.Error("the web UI goes on with the certificate it had: the new one cannot be read", "error", err)
		}
		c.err = err
	}
	if c.last == nil {
		return nil, c.err
	}
	return c.last, nil
}

// stamp is another when a file's content may be.
func stamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return err.Error() + "\n"
	}
	return fmt.Sprintln(info.ModTime().UnixNano(), info.Size(), info.Mode())
}

func readCertificate(crtFile, keyFile string) (*tls.Certificate, error) {
	crt, err := os.ReadFile(crtFile)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(asPEM(crt, "CERTIFICATE"), asPEM(key, "PRIVATE KEY"))
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", crtFile, keyFile, err)
	}
	return &c, nil
}

// asPEM leaves PEM as it is and dresses DER.
func asPEM(b []byte, kind string) []byte {
	if strings.HasPrefix(strings.TrimSpace(string(b)), "-----BEGIN") {
		return b
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})
}
