package webui

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// policy is the page's: nothing inline, nothing from elsewhere, in no frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; " +
	"manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func headers(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	if c.Request.TLS != nil { // browsers complain of it on plain http
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "geolocation=(), microphone=(), usb=(), serial=()")
	h.Set("Cache-Control", "no-store")
	c.Next()
}

// knownHost refuses a Host that is no name or address of this router: a page
// of a stranger's whose name was made to lead here (DNS rebinding) carries the
// stranger's.
func (s *Server) knownHost(c *gin.Context) {
	if !s.isOurs(c.Request.Host, c.Request) {
		answerError(c, fail(http.StatusMisdirectedRequest, "", "this router is not called that: use its address, or its own name"))
	}
}

func (s *Server) isOurs(hostport string, r *http.Request) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap().WithZone("")
		return addr.IsLoopback() || addr == localAddr(r)
	}
	return host == "localhost" || slices.Contains(s.names(), host)
}

// localAddr is the address that the connection came to.
func localAddr(r *http.Request) netip.Addr {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// asker is the address of who asks on the LAN; empty on the unix socket, where
// it is root: the command line, or LuCI.
func asker(c *gin.Context) string {
	if a, ok := c.Request.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && a.Network() == "unix" {
		return ""
	}
	return c.ClientIP()
}

// sameOrigin refuses what another page's script or form sends here. Browsers
// name the origin with every request that changes something.
func (s *Server) sameOrigin(c *gin.Context) {
	r := c.Request
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		answerError(c, fail(http.StatusForbidden, "", "only the router's own page may change something here"))
		return
	}
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return // no browser: it has no cookie either, unless it was given one on purpose
	}
	if u, err := url.Parse(origins[0]); len(origins) > 1 || err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
		answerError(c, fail(http.StatusForbidden, "", "only the router's own page may change something here"))
	}
}

// needsRevision makes a change say what it was made from.
func needsRevision(c *gin.Context) {
	if c.GetHeader("If-Match") == "" {
		answerError(c, fail(http.StatusPreconditionRequired, "", "If-Match is missing: it says which configuration the change was made from (the ETag of an answer)"))
	}
}

// revision is what If-Match asks for; "*" takes whatever is there.
func revision(c *gin.Context) string {
	r := strings.Trim(strings.TrimPrefix(c.GetHeader("If-Match"), "W/"), `"`)
	if r == "*" {
		return ""
	}
	return r
}

func setRevision(c *gin.Context, rev string) { c.Header("ETag", `"`+rev+`"`) }
