package threats

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

// product is the product, built from this tree; lanseal-labtest lies beside it.
var product string

func TestMain(m *testing.M) {
	lab.Main()
	flag.Parse()
	// Labs wait about as much as they compute. Twice as many take as long and
	// get in each other's way.
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.NumCPU()))
	}
	dir, err := os.MkdirTemp("", "lanseal-threats-")
	if err == nil {
		err = build(dir)
	}
	status := 1
	if err == nil {
		status = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

func build(dir string) error {
	product = filepath.Join(dir, "lanseal")
	for _, args := range [][]string{
		{"build", "-o", product, "../.."},
		{"build", "-tags", "lanseal_lab", "-o", product + "-labtest", "../.."},
	} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("building the product: %w: %s", err, out)
		}
	}
	return nil
}

// runLimit is the most that one scenario may take, with its lab.
const runLimit = 90 * time.Second

// play runs one scenario and tells of it in one line.
func play(t *testing.T, s Scenario, m Mode) Result {
	t.Helper()
	o := s.Options
	o.Lanseal = product
	l := lab.ForTest(t, o)
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	r := Run(ctx, l, s, m)
	t.Logf("%s on %s: %d sent, %d leaked, back after %v", s.Title, m, r.Sent, r.Leaked, r.RecoverTime.Round(time.Millisecond))
	return r
}

// threat runs every scenario of one line of the catalogue on every firewall.
func threat(t *testing.T, name string) {
	t.Helper()
	t.Parallel()
	each(t, name, Of(name), modes())
}

// modes are the three firewalls.
func modes() []Mode {
	return []Mode{{Firewall: NFT}, {Firewall: IptablesNFT}, {Firewall: IptablesLegacy}}
}

// each runs scenarios in several modes, side by side.
func each(t *testing.T, prefix string, all []Scenario, in []Mode) {
	t.Helper()
	if len(all) == 0 {
		t.Fatal("no scenario")
	}
	for _, s := range all {
		for _, m := range in {
			if m.fits(s) {
				t.Run(strings.TrimPrefix(s.Name, prefix)+"/"+m.String(), func(t *testing.T) {
					t.Parallel()
					if r := play(t, s, m); r.Err != nil {
						t.Errorf("%v", r.Err)
					}
				})
			}
		}
	}
}

// The lab would notice: with no lanseal everything leaks, is answered, and is
// seen as the ISP's customer.
func TestControl(t *testing.T) {
	for _, m := range modes() {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			l := lab.ForTest(t, lab.Options{Lanseal: product, Dnsmasq: true})
			c := One(l)
			if err := m.prepare(l, &c); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), startWithin)
			defer cancel()
			if err := l.ControlLeak(ctx, l.TV); err != nil {
				t.Fatal(err)
			}
		})
	}
}
