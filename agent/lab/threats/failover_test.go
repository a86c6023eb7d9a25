package threats

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/lanseal/lanseal/agent/lab"
)

func TestScratchFailover(t *testing.T) {
	for i := range 6 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			l := lab.ForTest(t, lab.Options{Lanseal: product})
			a, err := l.StartAgent(lab.AgentConfig{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			if err := a.WaitState(ctx, "protected"); err != nil {
				t.Fatal(err)
			}
			tr := l.Traffic(l.TV, lab.UDP4)
			if err := tr.WaitFlow(ctx); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second)
			since := l.MarkAll()
			tr.Mark()
			if i < 4 {
				err = l.VPN1.Silence()
			} else if i < 5 {
				err = l.LinkDelete("ls-se")
			} else {
				err = l.LinkDown("ls-se")
			}
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second)
			if err := tr.WaitFlow(ctx); err != nil {
				t.Fatal(err)
			}
			t.Logf("gap %v", tr.Of(lab.UDP4).LongestGap)
			l.NoLeak(t, since, tr)
			t.Logf("%s", a.Log())
		})
	}
}
