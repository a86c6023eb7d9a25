package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sys/unix"
)

// Listens says whether this very agent, and not one before it, holds the socket.
func (a *Agent) Listens() bool {
	c, err := net.Dial("unix", a.Socket)
	if err != nil {
		return false
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return false
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid == a.Pid()
}

// Event is one entry of the agent's history.
type Event struct {
	Time time.Time `json:"time"`
	Kind string    `json:"kind"`
	Exit string    `json:"exit"`
	Text string    `json:"text"`
}

// Events asks the agent for its history since a moment.
func (a *Agent) Events(ctx context.Context, since time.Time) ([]Event, error) {
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", a.Socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/api/v1/events?since="+url.QueryEscape(since.UTC().Format(time.RFC3339Nano)), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking for events: %w", err)
	}
	defer resp.Body.Close()
	var all []Event
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		return nil, fmt.Errorf("reading events: %s, %w", resp.Status, err)
	}
	return all, nil
}
