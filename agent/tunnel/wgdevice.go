package tunnel

import (
	"context"
	"fmt"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// answerWithin is how long a device may take to answer. Only a child that is
// stopped takes longer; wgctrl itself would wait for ever.
const answerWithin = 5 * time.Second

// within gives a call that cannot be cancelled an end. The call goes on by
// itself, and ends when the child does.
func within[T any](ctx context.Context, limit time.Duration, call func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan result, 1)
	go func() {
		v, err := call()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var zero T
		return zero, fmt.Errorf("waiting for the device to answer: %w", ctx.Err())
	}
}

// readDevice asks for one device by name: a stale socket of another would make
// a question for all of them fail.
func readDevice(ctx context.Context, name string, limit time.Duration) (*wgtypes.Device, error) {
	return within(ctx, limit, func() (*wgtypes.Device, error) {
		c, err := wgctrl.New()
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.Close() }()
		return c.Device(name)
	})
}

func configureDevice(ctx context.Context, name string, conf wgtypes.Config) error {
	_, err := within(ctx, answerWithin, func() (struct{}, error) {
		c, err := wgctrl.New()
		if err != nil {
			return struct{}{}, err
		}
		defer func() { _ = c.Close() }()
		return struct{}{}, c.ConfigureDevice(name, conf)
	})
	return err
}

// applyChanges removes in a call of its own: in one call with the adding of
// the same peer wgctrl may drop the second mention.
func applyChanges(ctx context.Context, name string, c changes) error {
	if len(c.remove) > 0 {
		if err := configureDevice(ctx, name, wgtypes.Config{Peers: c.remove}); err != nil {
			return fmt.Errorf("removing peers: %w", err)
		}
	}
	c.remove = nil
	if c.none() {
		return nil
	}
	if err := configureDevice(ctx, name, c.set); err != nil {
		return fmt.Errorf("configuring the device: %w", err)
	}
	return nil
}
