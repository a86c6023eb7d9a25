package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// A tunnel that left the configuration while no agent ran leaves nothing
// behind: the next agent removes its device, and what serves it. What somebody
// else made stays, whatever it is called.
func TestOrphanedDevicesGo(t *testing.T) {
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	a, err := l.StartAgent(lab.AgentConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	router := func(argv ...string) string {
		t.Helper()
		out, err := l.Router.Command(ctx, argv...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
		return string(out)
	}
	device := func(name string) string { // its index; empty: there is none
		for line := range strings.Lines(router("ip", "-o", "link")) {
			if index, rest, _ := strings.Cut(line, ": "); strings.HasPrefix(rest, name+":") {
				return index
			}
		}
		return ""
	}
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	for device("ls-no") == "" {
		if ctx.Err() != nil {
			t.Fatalf("ls-no was never there:\n%s", a.Log())
		}
	}
	router("ip", "tuntap", "add", "ls-mine", "mode", "tun")
	router("ip", "link", "add", "ls-other", "type", "bridge")
	router("ip", "link", "set", "ls-other", "alias", "lanseal")
	kept := map[string]string{}
	for _, name := range []string{"ls-se", "ls-mine", "ls-other"} {
		if kept[name] = device(name); kept[name] == "" {
			t.Fatalf("%s is not there", name)
		}
	}
	a.Kill9()
	if device("ls-no") == "" {
		t.Fatal("the device went with the agent, and the test proves nothing")
	}
	marks := l.MarkAll()
	if err := a.WriteConfig(l.UsualUCI(lab.AgentConfig{Tunnels: map[string]string{"se": ""}, Via: []string{"se"}})); err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	if err := a.WaitState(ctx, "protected"); err != nil {
		t.Fatal(err)
	}
	for device("ls-no") != "" {
		if ctx.Err() != nil {
			t.Fatalf("ls-no is still there:\n%s", a.Log())
		}
	}
	for name, index := range kept {
		if now := device(name); now != index {
			t.Errorf("%s was device %s, and is %q now", name, index, now)
		}
	}
	if out, _, _, err := a.Run(ctx, "events"); err != nil || !strings.Contains(out, "removed wireguard ls-no") {
		t.Errorf("the history says nothing of it: %v\n%s", err, out)
	}
	l.NoLeak(t, marks)
}
