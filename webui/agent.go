package webui

import (
	"context"
	"errors"
	"time"
)

// Observer tells what is. The answers come fast, or not at all.
type Observer interface {
	// Status is the state of the whole.
	Status(ctx context.Context, look Look) (Status, error)
	Devices(ctx context.Context) (Devices, error)
	// Events have a larger ID and are newer than a time, oldest first; all, with
	// the zero values.
	Events(after uint64, since time.Time) []Event
}

// Look says who looks at the state, and how closely.
type Look struct {
	Fresh  bool // what costs a program to look up is not as it was some seconds ago
	Person bool // somebody has the page before them: then, and only then, the world is asked how it sees the exit
}

// Config is the UCI configuration.
type Config interface {
	// Read returns the sections in file order, and the revision of the file.
	Read() ([]Section, string, error)
	// Change makes all edits or none, and brings them in force. The revision
	// must still be the file's; an empty one takes the file as it is. What
	// would not be valid comes back as Invalid.
	Change(ctx context.Context, revision string, edits []Edit) (string, error)
}

// Tunnels are the providers' files.
type TunnelFiles interface {
	// Import adds a tunnel. A name that can be an exit's is taken as it is;
	// anything else is a hint. An empty label is made from the name.
	Import(ctx context.Context, name, label string, content []byte) (Imported, error)
	Replace(ctx context.Context, name string, content []byte) ([]string, error)
	// Remove forgets a file that no section names any more.
	Remove(path string) error
}

// Prover looks for ways past the locks.
type Prover interface {
	Verify(ctx context.Context) (Verification, error)
	// LeakTest is the last run; start begins another, unless one is running.
	LeakTest(start bool) LeakTest
	// Try asks a tunnel for a sign of life.
	Try(ctx context.Context, exit string) (Tried, error)
}

// Steward is told what changed outside.
type Steward interface {
	// Reload reads the configuration again.
	Reload(ctx context.Context) error
	// TimeSynced says that an NTP client has set the clock.
	TimeSynced(ctx context.Context) error
}

// Accounts knows who may sign in.
type Accounts interface {
	// HavePassword says whether anybody could.
	HavePassword() bool
	// Check takes its time: it is meant to be slow.
	Check(password string) bool
}

// Agent is everything that the server asks.
type Agent struct {
	Observer
	Config
	TunnelFiles
	Prover
	Steward
	Accounts
}

// Section is one section of the configuration.
type Section struct {
	Type, Name string
	Options    map[string][]string
}

// Edit is one change of one section.
type Edit struct {
	Type, Name string
	Add        bool                // make it first; it must not exist
	Delete     bool                // take it away
	Set        map[string][]string // options and lists; no values delete one
	Lists      []string            // which of Set are lists
}

// What the agent's answers may be errors of.
var (
	ErrStale  = errors.New("somebody else changed the configuration in the meantime: look at it again")
	ErrNoExit = errors.New("there is no such tunnel")
	ErrBusy   = errors.New("the agent is busy: try again")
)

// Problem is one thing that is wrong with what was asked.
type Problem struct {
	Error string `json:"error"`
	Field string `json:"field,omitempty"`
}

// Invalid is everything that is wrong.
type Invalid []Problem

func (e Invalid) Error() string {
	if len(e) == 0 {
		return "not valid"
	}
	return e[0].Error
}
