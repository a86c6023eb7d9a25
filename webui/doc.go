// Package webui is what people and programs see of lanseal: the page, and the
// HTTP interface under it.
//
// One engine answers in two places. On the unix socket it answers root, who
// needs no session. On the LAN's addresses it answers whoever has signed in;
// there every request's Host must be a name or address of the router (a page
// that a foreign name leads here by DNS rebinding cannot name one), a changing
// request's Origin must be the page's own, and sign-in is slowed. A stranger
// can make neither the agent's loop nor the memory grow: connections, streams,
// sessions, bodies and attempts are all bounded.
//
// The package knows nothing of rules, tunnels or the kernel. It asks the agent
// through the small interfaces in agent.go, and every wish becomes an edit of
// the UCI configuration that the agent validates as a whole before it writes
// it: so the file, LuCI and the page never disagree.
//
// The table in routes.go is the interface: handlers, the OpenAPI document and
// the tests are all made from it. The page is in page/: plain ES modules
// without a build step.
package webui
