package webui

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

// getEvents answers with what lies between since, which may be the ID of the
// last event that was seen, and before, of one kind or of all; limit keeps the
// newest of it.
func (s *Server) getEvents(c *gin.Context) (any, error) {
	var since time.Time
	after, err := strconv.ParseUint(c.Query("since"), 10, 64)
	if err != nil {
		if since, err = timeQuery(c, "since"); err != nil {
			return nil, err
		}
	}
	before, err := timeQuery(c, "before")
	if err != nil {
		return nil, err
	}
	all := s.agent.Events(after, since)
	if !before.IsZero() {
		for len(all) > 0 && !all[len(all)-1].Time.Before(before) {
			all = all[:len(all)-1]
		}
	}
	if kind := c.Query("kind"); kind != "" {
		all = slices.DeleteFunc(slices.Clone(all), func(e Event) bool { return e.Kind != kind })
	}
	if q := c.Query("limit"); q != "" {
		n, err := strconv.Atoi(q)
		if err != nil || n < 1 || n > 100_000 {
			return nil, fail(http.StatusBadRequest, "limit", "limit is not a number from 1 to 100000")
		}
		all = all[max(0, len(all)-n):]
	}
	return append([]Event{}, all...), nil
}

func timeQuery(c *gin.Context, name string) (time.Time, error) {
	q := c.Query(name)
	if q == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, q)
	if err != nil {
		return t, fail(http.StatusBadRequest, name, "%s is not a time like 2026-11-23T20:00:00Z", name)
	}
	return t, nil
}
