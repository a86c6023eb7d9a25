package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/lanseal/lanseal/agent/store"
)

// followInterval is how often a follower asks for what is new.
const followInterval = time.Second

// cmdEvents prints the history; -f goes on with what happens.
func cmdEvents(ctx context.Context, g globals, args []string) (int, error) {
	var follow, asJSON bool
	err := none(flags(args, func(fs *flag.FlagSet) {
		fs.BoolVar(&follow, "f", false, "")
		fs.BoolVar(&asJSON, "json", false, "")
	}))
	if err != nil {
		return 2, err
	}
	var last uint64
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	for first := true; ; first = false {
		var events []store.Event
		err := call(ctx, g.socket, "GET", "/api/v1/events?since="+strconv.FormatUint(last, 10), nil, &events)
		if err != nil && (first || !errors.Is(err, errNoAgent)) { // who follows sees the agent start again
			return 1, exitError{1, err}
		}
		for _, e := range events {
			last = e.ID
			if err := printEvent(g.stdout, e, asJSON); err != nil {
				return 1, exitError{1, fmt.Errorf("printing: %w", err)}
			}
		}
		if !follow {
			return 0, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, nil
		}
	}
}

// printEvent writes one line: text for people, or one JSON object.
func printEvent(w io.Writer, e store.Event, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(e)
	}
	_, err := fmt.Fprintf(w, "%s  %-8s %s\n", e.Time.Local().Format("2006-01-02 15:04:05"), e.Kind, e.Text)
	return err
}

// tellAgent posts to a running agent; none running is no error.
func tellAgent(ctx context.Context, g globals, path string) (int, error) {
	err := call(ctx, g.socket, "POST", path, nil, nil)
	if err == nil || errors.Is(err, errNoAgent) {
		return 0, nil
	}
	return 1, exitError{1, err}
}
