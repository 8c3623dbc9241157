package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trenza-router/trenza/router/observe"
)

// task is a part of the router that runs until its context ends.
type task struct {
	name string
	run  func(ctx context.Context) error
	// vital: the router ends when the task fails. Others are started again after a pause, since a router without
	// its page or its name server is better than none.
	vital bool
}

// Pauses between the attempts of a task that fails.
const (
	firstPause = time.Second
	lastPause  = time.Minute
	// A task that ran this long before it failed starts again with the first pause.
	goodRun = 5 * time.Minute
)

// runTasks runs all tasks until the context ends or a vital one fails, and waits for all of them.
func runTasks(ctx context.Context, log *slog.Logger, health *observe.Health, tasks []task) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range tasks {
		g.Go(func() error { return t.keep(ctx, log, health) })
	}
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (t task) keep(ctx context.Context, log *slog.Logger, health *observe.Health) error {
	pause := firstPause
	for {
		started := time.Now()
		err := t.run(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // whatever a task says while it is being stopped
		}
		switch {
		case err == nil && t.vital:
			return fmt.Errorf("%s ended by itself", t.name)
		case t.vital:
			return fmt.Errorf("%s: %w", t.name, err)
		case err == nil:
			return nil
		}
		if time.Since(started) > goodRun {
			pause = firstPause
		}
		log.Error("a part of the router failed and is started again", "part", t.name, "error", err, "pause", pause)
		health.Set(observe.Warning{Code: "task", Subject: t.name, Severity: observe.Serious, Text: fmt.Sprintf("%s does not work: %v.", t.name, err)})
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
		health.Clear("task", t.name)
	}
}
