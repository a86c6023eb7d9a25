package webui

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// Life of a session.
const (
	idleLife     = time.Hour
	absoluteLife = 24 * time.Hour
	mostSessions = 64
	cookieName   = "lanseal"
)

// sessions are those who are signed in. What is kept is a digest, so that a
// look into the memory shows no cookie.
type sessions struct {
	mu  sync.Mutex
	all map[[32]byte]*visit
}

type visit struct{ began, seen time.Time }

func newSessions() *sessions { return &sessions{all: map[[32]byte]*visit{}} }

// begin makes a session; the one that was quiet for longest gives way.
func (s *sessions) begin(now time.Time) string {
	token := make([]byte, 32)
	_, _ = rand.Read(token) // never fails: crypto/rand
	text := base64.RawURLEncoding.EncodeToString(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if len(s.all) >= mostSessions {
		var oldest [32]byte
		at := now
		for k, v := range s.all {
			if !v.seen.After(at) {
				oldest, at = k, v.seen
			}
		}
		delete(s.all, oldest)
	}
	s.all[sha256.Sum256([]byte(text))] = &visit{now, now}
	return text
}

func (s *sessions) expire(now time.Time) {
	for k, v := range s.all {
		if now.Sub(v.seen) > idleLife || now.Sub(v.began) > absoluteLife {
			delete(s.all, k)
		}
	}
}

// valid says whether the session lives, and keeps it alive.
func (s *sessions) valid(token string, now time.Time) bool {
	if token == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	v := s.all[sha256.Sum256([]byte(token))]
	if v != nil {
		v.seen = now
	}
	return v != nil
}

func (s *sessions) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(token)))
}

// session is the answer to GET session.
type session struct {
	SignedIn    bool   `json:"signed_in"`
	PasswordSet bool   `json:"password_set"`
	HowTo       string `json:"how_to"` // set a password, where there is none
}

type credentials struct {
	Password string `json:"password"`
}

func cookie(r *http.Request) string {
	if c, err := r.Cookie(cookieName); err == nil {
		return c.Value
	}
	return ""
}

func (s *Server) setCookie(c *gin.Context, value string, life time.Duration) {
	http.SetCookie(c.Writer, &http.Cookie{Name: cookieName, Value: value, Path: "/", MaxAge: int(life.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: c.Request.TLS != nil})
}

// signedIn lets only those pass who are.
func (s *Server) signedIn(c *gin.Context) {
	if !s.sessions.valid(cookie(c.Request), s.now()) {
		answerError(c, fail(http.StatusUnauthorized, "", "sign in first"))
	}
}

func (s *Server) getSession(c *gin.Context) (any, error) {
	d := session{SignedIn: s.sessions.valid(cookie(c.Request), s.now()), PasswordSet: s.agent.HavePassword()}
	if !d.PasswordSet {
		d.HowTo = s.howTo
	}
	return d, nil
}

func (s *Server) postLogin(c *gin.Context) (any, error) {
	var in credentials
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if !s.agent.HavePassword() {
		return nil, fail(http.StatusForbidden, "password", "no password is set: %s", s.howTo)
	}
	if wait := s.brake.take(c.ClientIP(), s.now()); wait > 0 {
		c.Header("Retry-After", retryAfter(wait))
		return nil, fail(http.StatusTooManyRequests, "password", "too many attempts: try again in %s s", retryAfter(wait))
	}
	good := s.agent.Check(in.Password)
	s.brake.give(c.ClientIP(), good, s.now())
	if !good {
		return nil, fail(http.StatusUnauthorized, "password", "the password is not right")
	}
	s.sessions.end(cookie(c.Request))
	s.setCookie(c, s.sessions.begin(s.now()), absoluteLife)
	return session{SignedIn: true, PasswordSet: true}, nil
}

func (s *Server) postLogout(c *gin.Context) (any, error) {
	s.sessions.end(cookie(c.Request))
	s.setCookie(c, "", -time.Second)
	return session{PasswordSet: s.agent.HavePassword()}, nil
}
