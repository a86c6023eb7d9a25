package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lanseal/lanseal/agent/atomicfile"
	"github.com/lanseal/lanseal/agent/config"
	"github.com/lanseal/lanseal/agent/kernel"
	"github.com/lanseal/lanseal/rules"
)

// writeGuard keeps the boot seal's file equal to the newest valid policy: made
// only if it differs, checked by nft before it takes the old one's place,
// removed when there is nothing to seal.
func writeGuard(ctx context.Context, k *kernel.Kernel, path string, p rules.Policy) error {
	if !p.Enabled || !p.KillSwitch {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	text := rules.GuardFile(p)
	if old, err := os.ReadFile(path); err == nil && string(old) == text {
		return nil
	}
	if err := k.CheckGuard(ctx, text); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(path, []byte(text), 0o644)
}

// readGuard reads back what the boot seal's file was made from.
func readGuard(path string) (rules.Policy, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return rules.Policy{}, false
	}
	return rules.ParseGuard(string(b))
}

// cmdGuard lays the boot seal: from the configuration if it is valid, else
// from the file that the last valid one left, else the strict one.
func cmdGuard(ctx context.Context, g globals, args []string) (int, error) {
	if err := none(flags(args, noFlags)); err != nil {
		return 2, err
	}
	cfg, err := loadConfig(ctx, g, false)
	k, openErr := openKernel(g, cfg.Firewall)
	if openErr != nil {
		return 1, exitError{1, openErr}
	}
	defer k.Close()
	if err == nil || !cfg.Policy.Enabled { // switched off is switched off, whatever else is wrong
		return guardValid(ctx, g, k, cfg)
	}
	fmt.Fprintf(g.stderr, "lanseal guard: the configuration is not valid, sealing all the same: %v\n", err)
	policy := cfg.Policy
	if len(policy.LAN) == 0 {
		policy, _ = readGuard(guardPath(g))
	}
	if len(policy.LAN) > 0 {
		err = k.Seal(ctx, rules.Sealed(policy))
	} else {
		err = k.SealStrictly(ctx)
	}
	if err != nil {
		return 1, exitError{1, err}
	}
	fmt.Fprintln(g.stdout, "sealed")
	return 0, nil
}

func guardValid(ctx context.Context, g globals, k *kernel.Kernel, cfg *config.Config) (int, error) {
	p := cfg.Policy
	switch {
	case !p.Enabled:
		fmt.Fprintln(g.stdout, "lanseal is disabled: nothing is sealed")
		return 0, nil
	case !p.KillSwitch:
		fmt.Fprintln(g.stdout, "the kill switch is off: nothing is sealed at boot")
		return 0, nil
	}
	if err := k.Seal(ctx, rules.Sealed(p)); err != nil {
		return 1, exitError{1, err}
	}
	// The file follows the seal, so that a full disk does not delay it.
	if err := writeGuard(ctx, k, guardPath(g), p); err != nil {
		fmt.Fprintf(g.stderr, "lanseal guard: sealed, but its file could not be written: %v\n", err)
	}
	fmt.Fprintln(g.stdout, "sealed")
	return 0, nil
}

// openKernel opens the door with the state directory in place.
func openKernel(g globals, firewall string) (*kernel.Kernel, error) {
	if err := os.MkdirAll(g.state, 0o755); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	return kernel.Open(kernel.Options{Firewall: firewall, StateDir: g.state})
}
