package kernel

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseCarried(t *testing.T) {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  940740     720    0    0    0     0          0         0   940740     720    0    0    0     0       0          0
 ls-se:18446744073709551615 7 0 0 0 0 0 0 12 1 0 0 0 0 0 0
eth0:1:  5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0
 short: 1 2 3
`
	want := map[string]Carried{"lo": {940740, 940740}, "ls-se": {1<<64 - 1, 12}, "eth0:1": {5, 6}}
	if diff := cmp.Diff(want, parseCarried(text)); diff != "" {
		t.Error(diff)
	}
}

// The file that the kernel makes here is understood.
func TestCarriedOfThisMachine(t *testing.T) {
	all, err := new(Kernel).Carried()
	if _, ok := all["lo"]; err != nil || !ok {
		t.Errorf("%v, %v", all, err)
	}
}

func FuzzParseCarried(f *testing.F) {
	f.Add("a: 1 2 3 4 5 6 7 8 9\n")
	f.Fuzz(func(_ *testing.T, text string) { parseCarried(text) })
}
