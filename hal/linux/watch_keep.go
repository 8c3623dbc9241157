package linux

import (
	"context"
	"errors"
	"time"

	"github.com/trenza-router/trenza/hal"
)

const (
	// reopenAfter is the pause before a failed socket is opened again, doubled up to reopenAtMost.
	reopenAfter  = 100 * time.Millisecond
	reopenAtMost = 10 * time.Second
)

// keepListening calls listen until the context ends, whose error it returns. listen opens its sockets, says so by calling
// opened, and returns when they fail. A first failure to open is returned, for the machine lacks something, and so is a lack of rights.
// Other failures are logged, and it is tried again.
func (m *Machine) keepListening(ctx context.Context, what string, listen func(opened func()) error) error {
	pause := reopenAfter
	for first := true; ; {
		err := listen(func() { pause, first = reopenAfter, false })
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case first, errors.Is(err, hal.ErrPermission):
			return err
		}
		m.log.Warn("the kernel's announcements of "+what+" broke off; listening again", "error", err, "after", pause)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, reopenAtMost)
	}
}

// sleep waits and returns the context's error if it ends before.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
