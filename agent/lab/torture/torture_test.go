package torture

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanseal/lanseal/agent/lab"
)

func TestMain(m *testing.M) {
	lab.Main()
	os.Exit(m.Run())
}

// A short walk on two fixed seeds; "make torture" goes further.
func TestTorture(t *testing.T) {
	if err := lab.Usable(); err != nil {
		if os.Getenv("LANSEAL_LAB") == "require" {
			t.Fatalf("LANSEAL_LAB=require: %v", err)
		}
		t.Skipf("%v; LANSEAL_LAB=require makes this a failure", err)
	}
	product := filepath.Join(t.TempDir(), "lanseal")
	if out, err := exec.Command("go", "build", "-o", product, "../..").CombinedOutput(); err != nil {
		t.Fatalf("building the product: %v: %s", err, out)
	}
	var out strings.Builder
	err := Run(context.Background(), Options{Lanseal: product, Seed: 1, Seeds: 2, Steps: 60, Labs: 2}, &out)
	t.Logf("\n%s", out.String())
	if err != nil {
		t.Error(err)
	}
}
