package traffic

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// Host is a member of the household.
type Host struct {
	Role  Role
	Agent *client.Agent
}

// Config says how the household lives.
type Config struct {
	// Seed gives the whole course: the same seed makes the same actions in the same order for each habit.
	Seed  uint64
	Hosts []Host
	// Pace shortens pauses, durations and sizes: 1 (and 0) is real life, 10 is ten times as busy with a tenth to do.
	// Rates stay, so that the sum fits the links at any pace.
	Pace float64
	// Report, if set, is told of each action that has ended. It is called from many goroutines.
	Report func(Report)
	// Log takes failed actions at debug level and lost agents at warn level; nil discards them.
	Log *slog.Logger
}

// Report says how an action went.
type Report struct {
	Role  Role
	Habit string
	// Bytes are the payload moved both ways.
	Bytes int64
	Took  time.Duration
	// Err joins the errors of its jobs; a link that is down makes some.
	Err error
}

// Run lives until ctx ends, and then returns nil. A failed action is followed by the next one after its pause. A host whose
// agent has ended is left alone; when all have, Run returns.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Pace == 0 {
		cfg.Pace = 1
	}
	if cfg.Pace < 0 {
		return fmt.Errorf("traffic: pace %v: want more than 0", cfg.Pace)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var lost []error
	for n, h := range cfg.Hosts {
		habits := Habits(h.Role)
		if len(habits) == 0 {
			return fmt.Errorf("traffic: no habits for a host of role %q", h.Role)
		}
		if h.Agent == nil {
			return fmt.Errorf("traffic: host %d, %s, has no agent", n, h.Role)
		}
	}
	for n, h := range cfg.Hosts {
		for _, habit := range Habits(h.Role) {
			wg.Go(func() {
				err := live(ctx, cfg, h, habit, source(cfg.Seed, n, habit.Name))
				if err != nil {
					cfg.Log.Warn("a host of the lab lives no more", "host", h.Role, "habit", habit.Name, "error", err)
					mu.Lock()
					defer mu.Unlock()
					lost = append(lost, fmt.Errorf("traffic: %s: %s: %w", h.Role, habit.Name, err))
				}
			})
		}
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(lost...)
}

// source is the random source of one habit of one host: habits do not disturb each other's course.
func source(seed uint64, host int, habit string) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s", host, habit)
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// live repeats a habit until ctx or the agent ends; the latter is its error.
func live(ctx context.Context, cfg Config, h Host, habit Habit, rng *rand.Rand) error {
	// The household does not start all at once.
	pause := time.Duration(rng.Int64N(int64(habit.MinPause) + 1))
	for {
		if wire.Sleep(ctx, time.Duration(float64(pause)/cfg.Pace)) != nil {
			return nil
		}
		start := time.Now()
		bytes, err := act(ctx, h.Agent, paced(habit.Next(rng), cfg.Pace))
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, client.ErrEnded) {
			return err
		}
		r := Report{Role: h.Role, Habit: habit.Name, Bytes: bytes, Took: time.Since(start), Err: err}
		if err != nil {
			cfg.Log.Debug("an action failed", "host", h.Role, "habit", habit.Name, "error", err)
		}
		if cfg.Report != nil {
			cfg.Report(r)
		}
		pause = habit.MinPause + time.Duration(rng.Int64N(int64(habit.MaxPause-habit.MinPause)+1))
	}
}

// paced shortens an action.
func paced(a Action, pace float64) Action {
	for i := range a.HTTP {
		if s := a.HTTP[i].Stream; s != nil {
			short := *s
			short.Bytes = max(int64(float64(s.Bytes)/pace), 1)
			a.HTTP[i].Stream = &short
		}
	}
	for i := range a.Ticks {
		a.Ticks[i].Duration = time.Duration(float64(a.Ticks[i].Duration) / pace)
	}
	return a
}

// act does all jobs of an action at the same time.
func act(ctx context.Context, agent *client.Agent, a Action) (int64, error) {
	var mu sync.Mutex
	var total int64
	var errs []error
	var wg sync.WaitGroup
	did := func(bytes int64, err error) {
		mu.Lock()
		defer mu.Unlock()
		total += bytes
		if err != nil {
			errs = append(errs, err)
		}
	}
	for _, job := range a.HTTP {
		wg.Go(func() {
			got, err := agent.HTTP(ctx, job, nil)
			bytes := int64(len(got.Body))
			if got.Outcome != nil {
				bytes += got.Outcome.Bytes
			}
			did(bytes, err)
		})
	}
	for _, job := range a.Ticks {
		wg.Go(func() {
			got, err := agent.Ticks(ctx, job, nil)
			if err == nil && got.Sent > 0 && got.Received == 0 {
				err = fmt.Errorf("none of %d datagrams to %s answered", got.Sent, job.Host)
			}
			did(int64(got.Sent+got.Received)*int64(job.Size), err)
		})
	}
	for _, job := range a.Connect {
		wg.Go(func() {
			got, err := agent.Connect(ctx, job)
			did(int64(len(job.Send)+len(got.Received)), err)
		})
	}
	wg.Wait()
	return total, errors.Join(errs...)
}
