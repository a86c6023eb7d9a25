package webui

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// Options are what the server needs beside the agent.
type Options struct {
	Agent Agent
	Log   *slog.Logger
	Now   func() time.Time
	Names func() []string // by which the router may be asked for, besides its addresses
	HowTo string          // how to set a password here, in a sentence
}

// Server answers. Its listeners come and go: see Serve.
type Server struct {
	agent    Agent
	log      *slog.Logger
	now      func() time.Time
	names    func() []string
	howTo    string
	sessions *sessions
	brake    *brake
	scraper  scraper
	hub      *hub
	assets   map[string]asset
}

// Times of a connection. A stream sets its own deadlines.
const (
	headerLimit  = 5 * time.Second
	requestLimit = 30 * time.Second // a check of the kernel runs a few programs, on slow machines
	idleLimit    = 60 * time.Second
	mostHeader   = 16 << 10 // bytes
)

// New makes a server; Run drives its streams.
func New(o Options) *Server {
	gin.SetMode(gin.ReleaseMode)
	s := &Server{
		agent: o.Agent, log: o.Log, now: o.Now, names: o.Names, howTo: o.HowTo,
		sessions: newSessions(), brake: newBrake(), assets: loadAssets(),
	}
	s.hub = newHub(s)
	return s
}

// Run feeds the streams until the context ends.
func (s *Server) Run(ctx context.Context) { s.hub.run(ctx) }

// Poke says that something happened: those who watch are told at once.
func (s *Server) Poke() { s.hub.poke() }

// Socket serves root on the agent's unix socket.
func (s *Server) Socket(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, s.engine(true))
}

// LAN serves people on one address of the LAN: by TLS if there are
// certificates, and then by nothing else. Who speaks plain HTTP to it is told so.
func (s *Server) LAN(ctx context.Context, l net.Listener, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) error {
	l = newLimitedListener(l)
	if certificate != nil {
		l = tls.NewListener(l, &tls.Config{GetCertificate: certificate, MinVersion: tls.VersionTLS12})
	}
	return s.serve(ctx, l, s.engine(false))
}

func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerLimit, ReadTimeout: requestLimit, WriteTimeout: requestLimit + headerLimit,
		IdleTimeout: idleLimit, MaxHeaderBytes: mostHeader,
		ErrorLog: slog.NewLogLogger(discard{}, slog.LevelDebug), // what strangers do wrong is not news
	}
	ended := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
		case <-ended:
		}
		srv.Close()
	}()
	err := srv.Serve(l)
	close(ended)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

type discard struct{}

func (discard) Enabled(context.Context, slog.Level) bool  { return false }
func (discard) Handle(context.Context, slog.Record) error { return nil }
func (d discard) WithAttrs([]slog.Attr) slog.Handler      { return d }
func (d discard) WithGroup(string) slog.Handler           { return d }

// engine makes the handlers, for root or for people.
func (s *Server) engine(root bool) http.Handler {
	e := gin.New()
	e.RedirectTrailingSlash, e.RedirectFixedPath = false, false
	e.HandleMethodNotAllowed = true
	e.ContextWithFallback = true
	_ = e.SetTrustedProxies(nil) // the peer's address is the connection's
	e.Use(s.recovered, headers)
	if !root {
		e.Use(s.knownHost, s.sameOrigin)
	}
	for _, r := range s.routes() {
		chain := []gin.HandlerFunc{}
		if !root && !r.open {
			chain = append(chain, s.signedIn)
		}
		if r.revised && !root {
			chain = append(chain, needsRevision)
		}
		e.Handle(r.method, prefix+r.path, append(chain, r.handler())...)
	}
	e.GET("/healthz", s.healthz)
	if root {
		e.GET("/metrics", s.metrics)
	} else {
		e.GET("/metrics", s.mayScrape, s.metrics)
	}
	e.NoRoute(func(c *gin.Context) { answerError(c, fail(http.StatusNotFound, "", "there is nothing here")) })
	e.NoMethod(func(c *gin.Context) {
		answerError(c, fail(http.StatusMethodNotAllowed, "", "this method means nothing here"))
	})
	s.page(e)
	return e
}

func (r route) handler() gin.HandlerFunc {
	if r.raw != nil {
		return r.raw
	}
	return func(c *gin.Context) {
		v, err := r.do(c)
		if err != nil {
			answerError(c, err)
			return
		}
		c.JSON(r.status, v)
	}
}

// recovered turns a panic into an answer: a bug in the page's server must not
// end the agent.
func (s *Server) recovered(c *gin.Context) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("answering failed", "path", c.FullPath(), "error", p)
			answerError(c, fail(http.StatusInternalServerError, "", "this failed: it is a bug of lanseal, and its log says more"))
		}
	}()
	c.Next()
}

// healthz is 200 when both locks hold.
func (s *Server) healthz(c *gin.Context) {
	st, err := s.agent.Status(c.Request.Context(), Look{})
	if err != nil {
		answerError(c, err)
		return
	}
	held, status := st.Locks.Routing && st.Locks.Firewall, http.StatusOK
	if !held {
		status = http.StatusServiceUnavailable
	}
	c.JSON(status, map[string]bool{"locks": held})
}
