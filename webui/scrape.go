package webui

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// scrapeLife is for how long a password that was right is not checked again:
// checking is slow on purpose, and a scraper comes every few seconds.
const scrapeLife = 5 * time.Minute

// scraper remembers the last password that was right, as a digest.
type scraper struct {
	mu     sync.Mutex
	digest [32]byte
	until  time.Time
}

// mayScrape lets pass who has signed in, and a program with the password by
// HTTP's basic authentication: it cannot fill in a form.
func (s *Server) mayScrape(c *gin.Context) {
	if s.sessions.valid(cookie(c.Request), s.now()) {
		return
	}
	_, password, given := c.Request.BasicAuth()
	if !given || !s.agent.HavePassword() {
		c.Header("WWW-Authenticate", `Basic realm="lanseal"`)
		answerError(c, fail(http.StatusUnauthorized, "", "sign in first, or send the password by basic authentication"))
		return
	}
	now, digest := s.now(), sha256.Sum256([]byte(password))
	s.scraper.mu.Lock()
	known := s.scraper.digest == digest && now.Before(s.scraper.until)
	s.scraper.mu.Unlock()
	if known {
		return
	}
	if wait := s.brake.take(c.ClientIP(), now); wait > 0 {
		c.Header("Retry-After", retryAfter(wait))
		answerError(c, fail(http.StatusTooManyRequests, "", "too many attempts: try again in %s s", retryAfter(wait)))
		return
	}
	good := s.agent.Check(password)
	s.brake.give(c.ClientIP(), good, now)
	if !good {
		answerError(c, fail(http.StatusUnauthorized, "", "the password is not right"))
		return
	}
	s.scraper.mu.Lock()
	defer s.scraper.mu.Unlock()
	s.scraper.digest, s.scraper.until = digest, now.Add(scrapeLife)
}
