package tunnel

import (
	"context"
	"fmt"
)

// DeviceDriver watches a device that somebody else brings up (l2tp,
// amneziawg, sing-box …).
type DeviceDriver struct{ device string }

// NewDevice makes the driver of a foreign device.
func NewDevice(device string) *DeviceDriver { return &DeviceDriver{device} }

// Up checks that the device is there; it changes nothing.
func (d *DeviceDriver) Up(context.Context) error {
	l, err := findLink(d.device)
	switch {
	case err != nil:
		return fmt.Errorf("device %s: %w", d.device, err)
	case l == nil:
		return fmt.Errorf("device %s: %w", d.device, ErrNoDevice)
	}
	return nil
}

// Status is made of the link's own counters.
func (d *DeviceDriver) Status() (Status, error) {
	l, err := findLink(d.device)
	if err != nil {
		return Status{}, fmt.Errorf("device %s: %w", d.device, err)
	}
	if l == nil {
		return Status{}, nil
	}
	return Status{Exists: true, Up: l.up, Kind: KindForeign, RxBytes: l.rx, TxBytes: l.tx, Configured: true}, nil
}

// Down does nothing: the device is not ours.
func (d *DeviceDriver) Down() error { return nil }
