package clock

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Built is about when this version was made; Latest is the latest time that is
// believed.
func Built() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }

// Latest is 20 years after Built.
func Latest() time.Time { return Built().AddDate(20, 0, 0) }

// Forward says to what time the clock is to be moved, if at all.
func Forward(now, good time.Time) (to time.Time, move bool) {
	if good.IsZero() || !now.Before(good) || good.After(Latest()) {
		return time.Time{}, false
	}
	return good.Add(time.Second), true // what was good may have been sent
}

// System is the kernel's clock.
type System struct{}

// Now is the time of day.
func (System) Now() time.Time { return time.Now() }

// Set moves the clock. It needs CAP_SYS_TIME.
func (System) Set(t time.Time) error {
	ts, err := unix.TimeToTimespec(t) // 32-bit machines end in 2038
	if err == nil {
		err = unix.ClockSettime(unix.CLOCK_REALTIME, &ts)
	}
	if err != nil {
		return fmt.Errorf("setting the clock: %w", err)
	}
	return nil
}

// Synchronised says whether some NTP client disciplines the clock: all of them
// tell the kernel so (adjtimex(2), STA_UNSYNC).
func (System) Synchronised() bool {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err == nil && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0
}

// Watch tells of every step of the clock, until the context ends. It waits in
// the kernel: a timer that is cancelled when the clock is set
// (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET) wakes nobody else.
func Watch(ctx context.Context, steps chan<- struct{}) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watching the clock: %w", err)
	}
	f := os.NewFile(uintptr(fd), "timerfd")
	defer f.Close()
	defer context.AfterFunc(ctx, func() { f.Close() })()
	var far unix.ItimerSpec
	far.Value.Sec = math.MaxInt32 // 2038, where time itself is not wider
	arm := func() error {
		return unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &far, nil)
	}
	if err := arm(); err != nil {
		return fmt.Errorf("watching the clock: %w", err)
	}
	var expirations [8]byte
	for {
		switch _, err := f.Read(expirations[:]); {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ECANCELED):
			select {
			case steps <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
		case err != nil:
			return fmt.Errorf("watching the clock: %w", err)
		default: // the end of a 32-bit clock
			far.Value.Sec = 0
		}
		if err := arm(); err != nil {
			return fmt.Errorf("watching the clock: %w", err)
		}
	}
}
