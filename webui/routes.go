package webui

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// route is one entry of the interface. The OpenAPI document is made of it.
type route struct {
	method, path string
	does         string
	in, out      any  // zero values of the bodies; nil: none
	status       int  // of success
	open         bool // answered without a session
	revised      bool // a change that needs If-Match
	do           func(*gin.Context) (any, error)
	raw          gin.HandlerFunc // instead of do: not JSON
}

// prefix is where the interface begins.
const prefix = "/api/v1"

func (s *Server) routes() []route {
	const ok = http.StatusOK
	return []route{
		{method: "GET", path: "/status", does: "The state of the whole and of every exit.", out: Status{}, status: ok, do: s.getStatus},
		{method: "POST", path: "/reload", does: "Reads the configuration again.", out: done{}, status: ok, do: s.postReload},

		{method: "POST", path: "/time-synced", does: "Says that an NTP client has set the clock.", out: done{}, status: ok, do: s.postTimeSynced},

		{method: "GET", path: "/tunnels", does: "The tunnels as they are wished for and as they are.", out: Tunnels{}, status: ok, do: s.getTunnels},
		{method: "POST", path: "/tunnels", does: "Adds a tunnel from a provider's file: JSON, or multipart/form-data with file, name and label.",
			in: newTunnel{}, out: Imported{}, status: http.StatusCreated, do: s.postTunnel},
		{method: "PATCH", path: "/tunnels/:name", does: "Changes a tunnel; content replaces the provider's file.", in: tunnelPatch{}, out: Tunnels{}, status: ok, revised: true, do: s.patchTunnel},
		{method: "DELETE", path: "/tunnels/:name", does: "Removes a tunnel and its file. Devices that had no other exit are blocked.", out: Tunnels{}, status: ok, revised: true, do: s.deleteTunnel},
		{method: "POST", path: "/tunnels/:name/test", does: "Asks the tunnel for a sign of life.", out: Tried{}, status: ok, do: s.tryTunnel},

		{method: "GET", path: "/devices", does: "Who is on the LAN, and where each goes.", out: Devices{}, status: ok, do: s.getDevices},
		{method: "PUT", path: "/devices/:mac", does: "Gives a device a name and a way: exits in order, or block, or direct.", in: deviceRule{}, out: Devices{}, status: ok, revised: true, do: s.putDevice},
		{method: "DELETE", path: "/devices/:mac", does: "Removes a device's own rule: it goes the default way.", out: Devices{}, status: ok, revised: true, do: s.deleteDevice},

		{method: "GET", path: "/exceptions", does: "Traffic that may leave by the WAN, on purpose.", out: []Exception{}, status: ok, do: s.getExceptions},
		{method: "POST", path: "/exceptions", does: "Adds an exception.", in: Exception{}, out: Exception{}, status: http.StatusCreated, do: s.postException},
		{method: "DELETE", path: "/exceptions/:id", does: "Removes an exception.", out: []Exception{}, status: ok, revised: true, do: s.deleteException},

		{method: "GET", path: "/settings", does: "Section main, by the names of its options.", out: Settings{}, status: ok, do: s.getSettings},
		{method: "PUT", path: "/settings", does: "Changes the options that are named; null puts one back to its default.", in: Settings{}, out: Settings{}, status: ok, revised: true, do: s.putSettings},

		{method: "GET", path: "/events", does: "What happened, oldest first; since is a time or the id of an event, before a time, limit keeps the newest.", out: []Event{}, status: ok, do: s.getEvents},
		{method: "GET", path: "/stream", does: "Server-sent events: status, event and traffic. Last-Event-ID resumes events.", out: "text/event-stream", status: ok, raw: s.stream},

		{method: "GET", path: "/leaktest", does: "The last leak test.", out: LeakTest{}, status: ok, do: s.getLeakTest},
		{method: "POST", path: "/leaktest", does: "Starts a leak test, unless one is running.", out: LeakTest{}, status: http.StatusAccepted, do: s.postLeakTest},
		{method: "POST", path: "/verify", does: "Compares the kernel with the plan and looks for a way past it.", out: Verification{}, status: ok, do: s.postVerify},

		{method: "GET", path: "/session", does: "Whether the asker is signed in, and whether a password is set at all.", out: session{}, status: ok, open: true, do: s.getSession},
		{method: "POST", path: "/login", does: "Signs in.", in: credentials{}, out: session{}, status: ok, open: true, do: s.postLogin},
		{method: "POST", path: "/logout", does: "Signs out.", out: session{}, status: ok, open: true, do: s.postLogout},
		{method: "GET", path: "/openapi.json", does: "This document.", out: map[string]any{}, status: ok, open: true, do: s.getOpenAPI},
	}
}

// done is the answer of what has nothing else to say.
type done struct{}

func (s *Server) getStatus(c *gin.Context) (any, error) {
	return s.agent.Status(c.Request.Context(), Look{Fresh: true, Person: asker(c) != ""})
}

func (s *Server) postReload(c *gin.Context) (any, error) {
	return done{}, s.agent.Reload(c.Request.Context())
}

func (s *Server) postTimeSynced(c *gin.Context) (any, error) {
	return done{}, s.agent.TimeSynced(c.Request.Context())
}

func (s *Server) getLeakTest(*gin.Context) (any, error) { return s.agent.LeakTest(false), nil }

func (s *Server) postLeakTest(*gin.Context) (any, error) { return s.agent.LeakTest(true), nil }

func (s *Server) postVerify(c *gin.Context) (any, error) { return s.agent.Verify(c.Request.Context()) }

func (s *Server) getOpenAPI(*gin.Context) (any, error) { return s.openAPI(), nil }
