package linux

import (
	"slices"
	"sync"
)

// rememberedPorts is how many sockets' numbers are remembered: many more than change queues while an announcement is on its way.
const rememberedPorts = 256

// ports remembers the numbers of the sockets that changed queues last. The kernel writes the number of the socket that asked for a change
// into its announcement (nlmsg_pid, netlink(7)), which tells our own from others'.
type ports struct {
	mu   sync.Mutex
	last [rememberedPorts]uint32
	next int
}

// add remembers a socket, before it is used.
func (p *ports) add(s *kernelSocket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last[p.next] = s.conn.PID()
	p.next = (p.next + 1) % len(p.last)
}

func (p *ports) has(number uint32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return number != 0 && slices.Contains(p.last[:], number)
}
