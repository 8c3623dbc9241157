package carrier

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
)

// Memory is one of two ends between which packets go without a kernel: what one end writes the other one reads, whole and in order. Each end
// belongs to one goroutine, and these may be different ones.
type Memory struct {
	shared  *sync.Mutex // of both ends: around inbox, closed, mtu and addrs
	other   *Memory
	bell    *Bell
	pending [][]byte // written and not flushed

	inbox  [][]byte
	closed bool
	mtu    int
	addrs  []netip.Prefix
}

// memoryHolds is how many packets wait for a reader; further ones are lost, as in a TUN device's queue.
const memoryHolds = 1000

// NewMemory makes two ends.
func NewMemory() (a, b *Memory, err error) {
	var ends [2]*Memory
	shared := new(sync.Mutex)
	for i := range ends {
		bell, err := NewBell()
		if err != nil {
			if i > 0 {
				ends[0].bell.Close()
			}
			return nil, nil, err
		}
		ends[i] = &Memory{shared: shared, bell: bell}
	}
	ends[0].other, ends[1].other = ends[1], ends[0]
	return ends[0], ends[1], nil
}

// Open is the Opener of this end; names mean nothing to it.
func (m *Memory) Open(string) (Interface, error) { return m, nil }

// FD implements Packets.
func (m *Memory) FD() int { return m.bell.FD() }

// Read implements Packets.
func (m *Memory) Read(f func(packet []byte)) error {
	m.bell.Hush() // before the look: what comes after it rings again
	m.shared.Lock()
	packets, closed := m.inbox, m.closed
	m.inbox = nil
	m.shared.Unlock()
	if closed {
		return fmt.Errorf("reading packets: %w", os.ErrClosed)
	}
	for _, p := range packets {
		f(p)
	}
	return nil
}

// Write implements Packets.
func (m *Memory) Write(packet []byte) error {
	m.pending = append(m.pending, slices.Clone(packet))
	return nil
}

// Flush implements Packets. What is written to an end whose other end is closed, or does not read, is lost.
func (m *Memory) Flush() error {
	if len(m.pending) == 0 {
		return nil
	}
	m.shared.Lock()
	closed := m.closed
	if room := memoryHolds - len(m.other.inbox); !closed && !m.other.closed && room > 0 {
		m.other.inbox = append(m.other.inbox, m.pending[:min(room, len(m.pending))]...)
		m.other.bell.Ring()
	}
	m.shared.Unlock()
	m.pending = m.pending[:0]
	if closed {
		return fmt.Errorf("writing packets: %w", os.ErrClosed)
	}
	return nil
}

// Configure implements Interface; the other end may ask what was configured.
func (m *Memory) Configure(mtu int, addrs []netip.Prefix) error {
	m.shared.Lock()
	defer m.shared.Unlock()
	m.mtu, m.addrs = mtu, slices.Clone(addrs)
	return nil
}

// SetMTU implements Interface.
func (m *Memory) SetMTU(mtu int) error {
	m.shared.Lock()
	defer m.shared.Unlock()
	m.mtu = mtu
	return nil
}

// Configured is the MTU and the addresses that the other end was given.
func (m *Memory) Configured() (mtu int, addrs []netip.Prefix) {
	m.shared.Lock()
	defer m.shared.Unlock()
	return m.other.mtu, slices.Clone(m.other.addrs)
}

// Close implements Packets.
func (m *Memory) Close() error {
	m.shared.Lock()
	defer m.shared.Unlock()
	m.closed, m.inbox = true, nil
	m.bell.Close()
	return nil
}
