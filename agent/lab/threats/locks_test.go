package threats

import (
	"slices"
	"testing"
)

// Each lock alone is enough: what is said of both holds of either, as long as
// the fault does not take that one away. Without the firewall lock nothing is
// marked for an exit, so nothing flows; nothing may leak either.
func TestEachLockAlone(t *testing.T) {
	t.Parallel()
	var all []Scenario
	for _, s := range All() {
		if slices.Contains([]string{"T1", "T2", "T3", "T4", "T5", "T6", "T8", "T9", "T10", "T11"}, s.Threat) {
			all = append(all, s)
		}
	}
	each(t, "", all, []Mode{{Firewall: NFT, Without: "firewall"}, {Firewall: NFT, Without: "routing"}})
}

// T7 alone measures a time, so nothing runs beside it.
func TestT7(t *testing.T) {
	for _, s := range Of("T7") {
		for _, m := range modes() {
			t.Run(s.Name[2:]+"/"+m.String(), func(t *testing.T) {
				r := play(t, s, m)
				t.Logf("%d frames leaked, the last after %v", r.Leaked, r.SealTime)
				if r.Err != nil {
					t.Errorf("%v", r.Err)
				}
			})
		}
	}
}
