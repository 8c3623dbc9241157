package carrier

import (
	"context"
	"errors"
	"time"
)

// Requests lets other goroutines do something in the loop of a Poller, to which everything of a bond is confined.
type Requests struct {
	poller *Poller
	queue  chan func(now time.Duration)
	ended  chan struct{}
}

// requestBacklog is how many may wait before those who ask do.
const requestBacklog = 16

// ErrEnded says that the loop has ended.
var ErrEnded = errors.New("the bond has ended")

// NewRequests takes requests for a poller's loop.
func NewRequests(p *Poller) *Requests {
	return &Requests{poller: p, queue: make(chan func(time.Duration), requestBacklog), ended: make(chan struct{})}
}

// Serve does what was asked for. The loop calls it in each round.
func (r *Requests) Serve(now time.Duration) {
	for {
		select {
		case f := <-r.queue:
			f(now)
		default:
			return
		}
	}
}

// End says that the loop has ended: who waits waits no longer.
func (r *Requests) End() { close(r.ended) }

// Do runs f in the loop and waits for it.
func (r *Requests) Do(ctx context.Context, f func(now time.Duration)) error {
	done := make(chan struct{})
	select {
	case r.queue <- func(now time.Duration) { f(now); close(done) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-r.ended:
		return ErrEnded
	}
	r.poller.Wake()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.ended:
		return ErrEnded
	}
}
