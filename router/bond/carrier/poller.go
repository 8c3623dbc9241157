package carrier

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// grain is the least time between two looks of a busy poller, like the interrupt moderation of a network card: datagrams come and go in
// batches then. What comes to an idle one never waits for it.
const grain = 250 * time.Microsecond

// Poller waits for sockets and devices. A Go timer misses by up to a millisecond, which a bond's pacing would show: ppoll(2) on a thread
// with the least timer slack does not.
type Poller struct {
	clock  Clock
	wake   *Bell // the first of fds
	fds    []unix.PollFd
	looked time.Duration
	busy   bool
}

// NewPoller makes a poller.
func NewPoller(c Clock) (*Poller, error) {
	wake, err := NewBell()
	if err != nil {
		return nil, err
	}
	return &Poller{clock: c, wake: wake, fds: []unix.PollFd{{Fd: int32(wake.FD()), Events: unix.POLLIN}}}, nil
}

// Own ties the calling goroutine to a thread of its own with the least timer slack. The goroutine that calls Wait does so first.
func (p *Poller) Own() error {
	runtime.LockOSThread() // not given back: the thread ends with the goroutine
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("setting the timer slack: %w", err)
	}
	return nil
}

// Watch adds a socket or a device; its place is what Ready asks for.
func (p *Poller) Watch(fd int) (place int) {
	for i := range p.fds {
		if p.fds[i].Fd < 0 {
			p.fds[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
			return i
		}
	}
	p.fds = append(p.fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	return len(p.fds) - 1
}

// Unwatch forgets what stands at a place, which another one may get.
func (p *Poller) Unwatch(place int) { p.fds[place] = unix.PollFd{Fd: -1} }

// Wait returns when something can be read, when the clock reaches until, or after a Wake. The poller of a busy bond looks once in a
// grain at most.
func (p *Poller) Wait(until time.Duration) error {
	if p.busy {
		ts := unix.NsecToTimespec(int64(grain))
		_ = unix.Nanosleep(&ts, nil) // a signal that ends it early does no harm
	}
	timeout := unix.NsecToTimespec(int64(max(0, min(until-p.clock.Now(), time.Hour))))
	if _, err := unix.Ppoll(p.fds, &timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("waiting for datagrams: %w", err)
	}
	now := p.clock.Now()
	p.looked, p.busy = now, now-p.looked < 2*grain
	if p.fds[0].Revents != 0 {
		p.wake.Hush()
	}
	return nil
}

// Ready tells whether what stands at a place can be read; an error that waits there counts.
func (p *Poller) Ready(place int) bool { return p.fds[place].Revents != 0 }

// Wake makes Wait return soon. Any goroutine may call it.
func (p *Poller) Wake() { p.wake.Ring() }

// Close releases the poller.
func (p *Poller) Close() { p.wake.Close() }
