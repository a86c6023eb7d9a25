package main

import (
	"context"

	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// Nothing is known of the LAN, and somebody flushes the seal: it is laid again.
func TestStrictSealIsMended(t *testing.T) {
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	a, err := l.StartAgent(lab.AgentConfig{UCI: "config lanseal 'main'\n\toption enabled '1'\n\toption nonsense '1'\n"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.WaitState(ctx, "sealed"); err != nil {
		t.Fatal(err)
	}
	stands := func() bool {
		out, err := l.Router.Command(ctx, "nft", "list", "table", "inet", "lanseal_guard").CombinedOutput()
		return err == nil && strings.Contains(string(out), "nothing is forwarded")
	}
	for !stands() {
		if ctx.Err() != nil {
			t.Fatal("the strict seal was never laid")
		}
	}
	if err := l.Router.NFT("flush ruleset\n"); err != nil {
		t.Fatal(err)
	}
	for !stands() {
		if ctx.Err() != nil {
			t.Fatal("flushed, and not laid again")
		}
	}
}
