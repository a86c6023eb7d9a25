package torture

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

func TestMain(m *testing.M) {
	lab.Main()
	os.Exit(m.Run())
}

// usable ends a test that cannot be run here.
func usable(t *testing.T) {
	t.Helper()
	if err := lab.Usable(); err != nil {
		if os.Getenv("LANSEAL_LAB") == "require" {
			t.Fatalf("LANSEAL_LAB=require: %v", err)
		}
		t.Skipf("%v; LANSEAL_LAB=require makes this a failure", err)
	}
}

func product(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lanseal")
	if out, err := exec.Command("go", "build", "-o", path, "../..").CombinedOutput(); err != nil {
		t.Fatalf("building the product: %v: %s", err, out)
	}
	return path
}

// A short walk on two fixed seeds; "make torture" goes further.
func TestTorture(t *testing.T) {
	usable(t)
	var out strings.Builder
	err := Run(context.Background(), Options{Lanseal: product(t), Seed: 1, Seeds: 2, Steps: 60, Labs: 2}, &out)
	t.Logf("\n%s", out.String())
	if err != nil {
		t.Error(err)
	}
}

// However often the configuration is read again, with exits coming and going,
// nothing is left running or open. LANSEAL_RELOADS=1000 reads it more often.
func TestReloadsLeaveNothingRunning(t *testing.T) {
	reloads := 25
	if s := os.Getenv("LANSEAL_RELOADS"); s != "" {
		var err error
		if reloads, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	usable(t)
	l := lab.ForTest(t, lab.Options{Lanseal: product(t)})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second+time.Duration(reloads)*time.Second)
	defer cancel()
	a, err := l.StartAgent(lab.AgentConfig{})
	if err != nil {
		t.Fatal(err)
	}
	usual := l.UsualUCI(lab.AgentConfig{Tunnels: map[string]string{"se": "", "no": ""}, Via: []string{"se", "no"}})
	settled := func() {
		t.Helper()
		if err := a.WaitState(ctx, "protected", "degraded"); err != nil {
			t.Fatal(err)
		}
	}
	running := func() (goroutines, files int) { // the stacks are the end of the agent
		t.Helper()
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", a.Pid()))
		if err != nil {
			t.Fatal(err)
		}
		before := len(a.Log())
		if err := a.Process().Signal(syscall.SIGQUIT); err != nil {
			t.Fatal(err)
		}
		_ = a.Process().Wait(ctx)
		return strings.Count(a.Log()[before:], "\ngoroutine "), len(open)
	}
	settled()
	first, files := running()
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	settled()
	for i := range reloads {
		text := usual
		if i%2 == 0 {
			text = strings.Replace(usual, "config tunnel 'no'\n", "config tunnel 'no'\n\toption enabled '0'\n", 1)
		}
		if err := a.WriteConfig(text); err != nil {
			t.Fatal(err)
		}
		if err := a.Reload(); err != nil {
			t.Fatal(err)
		}
		settled()
	}
	last, lastFiles := running()
	t.Logf("%d goroutines and %d open files before, %d and %d after %d reloads", first, files, last, lastFiles, reloads)
	const flux = 5 // of a request, or of a program that is running
	if first < 5 || last > first+flux {
		t.Errorf("%d goroutines before, %d after %d reloads", first, last, reloads)
	}
	if files < 5 || lastFiles > files+flux {
		t.Errorf("%d open files before, %d after %d reloads", files, lastFiles, reloads)
	}
}
