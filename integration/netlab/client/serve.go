package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
)

// Serve is the process in a host's namespace: it does the jobs that come in until the input or ctx ends, cancels
// what still runs, waits for it, and returns. The end of the input is the usual way and no error. When ctx ends first,
// a read of the input may still be under way: the caller closes it, or leaves the process.
func Serve(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &server{out: json.NewEncoder(stdout), open: make(map[uint64]context.CancelFunc)}
	defer s.wg.Wait()
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.read(ctx, stdin) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

type server struct {
	runners map[Kind]runner // nil before setup; the reader's alone
	wg      sync.WaitGroup

	writing sync.Mutex
	out     *json.Encoder

	mu   sync.Mutex
	open map[uint64]context.CancelFunc
}

func (s *server) read(ctx context.Context, stdin io.Reader) error {
	lines := json.NewDecoder(stdin)
	for ctx.Err() == nil {
		var job Job
		if err := lines.Decode(&job); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read job: %w", err)
		}
		s.take(ctx, job)
	}
	return ctx.Err()
}

func (s *server) take(ctx context.Context, job Job) {
	switch job.Kind {
	case KindSetup:
		var env Env
		err := json.Unmarshal(job.Args, &env)
		if err != nil {
			err = badJob("setup: %v", err)
		} else {
			s.runners = New(env).runners()
		}
		s.done(job.ID, nil, err)
		return
	case KindCancel:
		s.mu.Lock()
		defer s.mu.Unlock()
		if end, ok := s.open[job.ID]; ok {
			end()
		}
		return
	}
	run, ok := s.runners[job.Kind]
	if !ok {
		s.done(job.ID, nil, badJob("no job of kind %q, or no setup before it", job.Kind))
		return
	}
	ctx, end := context.WithCancel(ctx)
	s.mu.Lock()
	_, twice := s.open[job.ID]
	if !twice {
		s.open[job.ID] = end
	}
	s.mu.Unlock()
	if twice {
		end()
		s.done(job.ID, nil, badJob("job %d is under way already", job.ID))
		return
	}
	s.wg.Go(func() {
		defer end()
		result, err := guarded(ctx, run, job.Args, func(p any) { s.say(Reply{ID: job.ID, Event: Progress}, p) })
		s.mu.Lock()
		delete(s.open, job.ID)
		s.mu.Unlock()
		s.done(job.ID, result, err)
	})
}

// guarded turns a panic in one job into its error: the other jobs of the host go on, and the test sees where it was.
func guarded(ctx context.Context, run runner, args json.RawMessage, progress func(any)) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return run(ctx, args, progress)
}

func (s *server) done(id uint64, result any, err error) {
	r := Reply{ID: id, Event: Done}
	if err != nil {
		r.Error, r.Cause = err.Error(), CauseOf(err)
	}
	s.say(r, result)
}

func (s *server) say(r Reply, data any) {
	if data != nil {
		b, err := encode(data)
		if err != nil {
			r.Error, r.Cause = err.Error(), Other
		}
		r.Data = b
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = s.out.Encode(r) // a reader that is gone closes the input as well
}
