package emulator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// State says whether a link carries frames and whether its ends know.
type State string

// The states of a link.
const (
	Whole     State = "up"         // frames pass
	Silent    State = "blackhole"  // nothing passes one or both ways; both ends still have carrier
	Unplugged State = "no-carrier" // nothing passes and both ends see it
)

// Link is an emulated cable between two TAP devices. All methods may be called
// at any time from any goroutine, before and while Run runs.
type Link struct {
	near, far *TAP
	pumps     [2]*pump // by Direction

	mu     sync.Mutex
	params Params
	blind  [2]bool // by Direction
	unplug bool
}

// New returns a link between near (the customer's end) and far (the
// provider's). The random part of its behaviour follows from seed. The link
// owns the devices from now on; Close removes them.
func New(near, far *TAP, p Params, seed uint64) (*Link, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("link %s to %s: %w", near.name, far.name, err)
	}
	start := time.Now()
	clock := func() time.Duration { return time.Since(start) }
	up, err := newPump(near, far, p.Up, seed, clock)
	if err != nil {
		return nil, err
	}
	down, err := newPump(far, near, p.Down, seed+1, clock)
	if err != nil {
		up.close()
		return nil, err
	}
	return &Link{near: near, far: far, pumps: [2]*pump{up, down}, params: p}, nil
}

// Run carries frames until ctx is done (it then returns nil) or a device fails.
func (l *Link) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for d, p := range l.pumps {
		g.Go(func() error {
			if err := p.run(ctx); err != nil {
				return fmt.Errorf("link %s to %s, %v: %w", l.near.name, l.far.name, Direction(d), err)
			}
			return nil
		})
	}
	return g.Wait()
}

// Close removes both devices. Run must have returned.
func (l *Link) Close() error {
	for _, p := range l.pumps {
		p.close()
	}
	err := l.near.Close()
	if e := l.far.Close(); err == nil {
		err = e
	}
	return err
}

// Params returns the settings in force.
func (l *Link) Params() Params {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.params
}

// Set replaces the settings of both directions. Frames on their way are not
// dropped. An impossible value changes nothing.
func (l *Link) Set(p Params) error {
	if err := p.Check(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.params = p
	for d, pump := range l.pumps {
		pump.change(func(now time.Duration, pipe *Pipe) { pipe.Set(now, p.of(Direction(d))) })
	}
	return nil
}

// Blackhole makes one direction swallow every frame, those on their way too, or
// ends that. The ends notice nothing but the silence. The error is always nil: it
// is for links that ask the kernel to do it.
func (l *Link) Blackhole(d Direction, on bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setBlind(d, on)
	return nil
}

// Cut breaks the link both ways: silently, or with loss of carrier at both
// ends.
func (l *Link) Cut(silent bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setBlind(Up, true)
	l.setBlind(Down, true)
	return l.setCarrier(silent)
}

// Heal undoes Cut and Blackhole. The settings are as they were.
func (l *Link) Heal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setBlind(Up, false)
	l.setBlind(Down, false)
	return l.setCarrier(true)
}

// State returns what Cut, Blackhole and Heal left.
func (l *Link) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.unplug:
		return Unplugged
	case l.blind[Up] || l.blind[Down]:
		return Silent
	}
	return Whole
}

// Counters returns what one direction has seen so far.
func (l *Link) Counters(d Direction) Counters { return l.pumps[d].counters() }

// setBlind needs l.mu.
func (l *Link) setBlind(d Direction, on bool) {
	l.blind[d] = on
	l.pumps[d].change(func(now time.Duration, pipe *Pipe) { pipe.Blackhole(now, on) })
}

// setCarrier needs l.mu.
func (l *Link) setCarrier(on bool) error {
	l.unplug = !on
	if err := l.near.SetCarrier(on); err != nil {
		return err
	}
	return l.far.SetCarrier(on)
}
