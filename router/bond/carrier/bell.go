package carrier

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// Bell makes something that is no file known to a Poller: it can be read from Ring until Hush. Any goroutine may call its methods.
type Bell struct {
	fd     int
	mu     sync.Mutex // around the use of fd, which another file may get after Close
	closed bool
}

// NewBell makes a bell that does not ring.
func NewBell() (*Bell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making an eventfd: %w", err)
	}
	return &Bell{fd: fd}, nil
}

// FD is the descriptor for a Poller.
func (b *Bell) FD() int { return b.fd }

// Ring makes the descriptor readable.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		// The counter of an eventfd that nobody reads only fails when it is full, and then it rings anyway.
		_, _ = unix.Write(b.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// Hush ends the ringing. What rings afterwards is heard.
func (b *Bell) Hush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		var drain [8]byte
		_, _ = unix.Read(b.fd, drain[:]) // fails when it does not ring
	}
}

// Close releases the descriptor. Ringing a closed bell does no harm.
func (b *Bell) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		_ = unix.Close(b.fd)
	}
}
