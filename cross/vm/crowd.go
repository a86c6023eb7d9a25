package main

import (
	"context"
	"fmt"
	"time"
)

const crowdSize = 250

// crowd is a household of 250 devices with rules of their own, and what the
// agent then takes.
func (s *scenario) crowd(ctx context.Context) error {
	return s.during(ctx, "250 devices with rules of their own", func(ctx context.Context) (string, error) {
		if err := s.configure(ctx, household{devices: crowdSize}); err != nil {
			return "", err
		}
		if _, err := s.m.Must(ctx, "/etc/init.d/lanseal reload"); err != nil {
			return "", err
		}
		if err := s.holds(ctx, crowdSize-1); err != nil {
			return "", err
		}
		if err := s.protected(ctx); err != nil {
			return "", err
		}
		kb, err := s.rssOf(ctx, "lanseal")
		note := fmt.Sprintf("RSS %.1f MB", float64(kb)/1024)
		if err == nil && kb > rssBound {
			err = fmt.Errorf("the agent takes %d kB, above %d", kb, rssBound)
		}
		return note, err
	})
}

// holds waits until the kernel holds what the configuration of now asks for.
// Where there is no nft, and no ipset, lanseal verify runs two dozen programs
// over thousands of rules, which takes minutes in an emulator: there the rule
// of the last device is looked for.
func (s *scenario) holds(ctx context.Context, device int) error {
	look := "lanseal verify"
	if !s.arch.nft {
		look = "iptables-save | grep -i " + deviceMAC(device)
	}
	for {
		_, err := s.m.Must(ctx, look)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}
