package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/trenza-router/trenza/hal/linux"
)

// supervise tells the service manager, if there is one, that the router works, and then that it still does: only while alive returns. A
// router whose locks never open again is ended by the watchdog and started anew; the kernel goes on by the last plan meanwhile.
func supervise(ctx context.Context, log *slog.Logger, alive func()) error {
	manager, err := linux.NewSupervisor(os.Getenv, os.Getpid())
	if err != nil {
		return fmt.Errorf("the service manager's environment: %w", err)
	}
	tell := func(f func() error) {
		if err := f(); err != nil {
			log.Warn("the service manager does not hear", "error", err)
		}
	}
	alive()
	if ctx.Err() != nil {
		return nil
	}
	tell(manager.Ready)
	var tick <-chan time.Time
	if manager.Interval > 0 {
		t := time.NewTicker(manager.Interval / 3)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-ctx.Done():
			tell(manager.Stopping)
			return nil
		case <-tick:
			alive()
			tell(manager.Alive)
		}
	}
}
