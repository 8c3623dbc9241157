package emulator

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// frameSize holds the largest frame of an interface with an MTU of 1500.
	frameSize = 2048
	// batch is how many frames are read before those due are sent, so that a
	// flood into one end cannot delay what the other end is owed.
	batch = 32
	// grain is the least time between two looks of a busy pump, like the interrupt
	// moderation of a network card: it more than halves the processor time at
	// 100 Mbit/s. A frame on an idle link never waits for it.
	grain = 200 * time.Microsecond
)

// pump drives one Pipe: from one TAP, through the pipe, to another.
type pump struct {
	from, to *TAP
	clock    func() time.Duration
	wake     int // eventfd: the settings changed, or it is time to stop

	mu   sync.Mutex
	pipe *Pipe

	refused atomic.Uint64
	free    [][]byte // frame buffers not in use; the pump's thread alone
}

func newPump(from, to *TAP, s Settings, seed uint64, clock func() time.Duration) (*pump, error) {
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	return &pump{from: from, to: to, clock: clock, wake: wake, pipe: NewPipe(s, seed)}, nil
}

// change calls f on the pipe at the present time and lets the pump look again
// at what is due.
func (p *pump) change(f func(now time.Duration, pipe *Pipe)) {
	p.mu.Lock()
	f(p.clock(), p.pipe)
	p.mu.Unlock()
	p.poke()
}

func (p *pump) poke() {
	// The counter of an eventfd that nobody reads only fails when it is full,
	// and then the pump is awake anyway.
	_, _ = unix.Write(p.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

func (p *pump) counters() Counters {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.pipe.Counters()
	c.Refused = p.refused.Load()
	return c
}

// run moves frames until ctx is done or a TAP fails.
func (p *pump) run(ctx context.Context) error {
	// The thread is given its own timer slack and is not handed back: Go ends
	// it with the goroutine.
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set the timer slack: %w", err)
	}
	defer context.AfterFunc(ctx, p.poke)()

	fds := []unix.PollFd{{Fd: int32(p.from.fd), Events: unix.POLLIN}, {Fd: int32(p.wake), Events: unix.POLLIN}}
	var drain [8]byte
	var looked time.Duration
	nap, busy := unix.NsecToTimespec(int64(grain)), false
	for ctx.Err() == nil {
		if err := p.deliver(); err != nil {
			return err
		}
		if busy {
			_ = unix.Nanosleep(&nap, nil) // a signal that ends it early does no harm
		}
		if _, err := unix.Ppoll(fds, p.timeout(), nil); err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for frames of %s: %w", p.from.name, err)
		}
		now := p.clock()
		looked, busy = now, now-looked < 2*grain
		if fds[1].Revents != 0 {
			_, _ = unix.Read(p.wake, drain[:])
		}
		switch {
		case fds[0].Revents&unix.POLLIN != 0:
			if err := p.collect(); err != nil {
				return err
			}
		case fds[0].Revents != 0:
			return fmt.Errorf("TAP device %s is gone (poll events %#x)", p.from.name, fds[0].Revents)
		}
	}
	return nil
}

// timeout returns how long to wait for the next due frame; nil is for ever.
func (p *pump) timeout() *unix.Timespec {
	p.mu.Lock()
	next, ok := p.pipe.Next()
	p.mu.Unlock()
	if !ok {
		return nil
	}
	ts := unix.NsecToTimespec(max(0, next-p.clock()).Nanoseconds())
	return &ts
}

// collect reads the frames that wait in the TAP, at most batch.
func (p *pump) collect() error {
	for range batch {
		buf := p.buffer()
		n, err := unix.Read(p.from.fd, buf)
		if err != nil {
			p.free = append(p.free, buf)
			if err == unix.EAGAIN || err == unix.EINTR {
				return nil
			}
			return fmt.Errorf("read a frame from %s: %w", p.from.name, err)
		}
		p.mu.Lock()
		kept := p.pipe.Push(p.clock(), buf[:n])
		p.mu.Unlock()
		if !kept {
			p.free = append(p.free, buf)
		}
	}
	return nil
}

// deliver writes all frames that are due.
func (p *pump) deliver() error {
	for {
		p.mu.Lock()
		frame, ok := p.pipe.Pop(p.clock())
		p.mu.Unlock()
		if !ok {
			return nil
		}
		_, err := unix.Write(p.to.fd, frame)
		p.free = append(p.free, frame[:frameSize])
		switch err {
		case nil:
		case unix.EIO, unix.ENOBUFS, unix.ENOMEM, unix.EAGAIN, unix.EINVAL:
			p.refused.Add(1) // the device is down, or the system is out of memory: as a real card would
		default:
			return fmt.Errorf("write a frame to %s: %w", p.to.name, err)
		}
	}
}

func (p *pump) buffer() []byte {
	if n := len(p.free); n > 0 {
		buf := p.free[n-1]
		p.free = p.free[:n-1]
		return buf
	}
	return make([]byte, frameSize)
}

func (p *pump) close() { _ = unix.Close(p.wake) }
