package qos

import (
	"time"

	"github.com/trenza-router/trenza/hal"
)

// Tree is what one device shapes.
type Tree struct {
	dir      Direction
	queues   Queues
	branches []*branch
}

// Links are the links that have a branch.
func (t Tree) Links() []Link {
	var out []Link
	for _, b := range t.branches {
		out = append(out, b.link)
	}
	return out
}

// Leaf is where packets wait: an application class of a device, or (Device 0) a link's default.
type Leaf struct {
	Class
	Rate, Ceil Rate
	Priority   uint8
}

// Leaves lists all leaves in order of their ids.
func (t Tree) Leaves() []Leaf {
	var out []Leaf
	for _, b := range t.branches {
		out = append(out, b.fallback())
		for _, d := range b.devices {
			for _, l := range d.leaves {
				out = append(out, Leaf{l.class, l.rate, l.ceil, l.priority})
			}
		}
	}
	return out
}

// fallback is the branch's default leaf.
func (b *branch) fallback() Leaf {
	return Leaf{Class{Link: b.link.ID}, b.floor, b.capacity, classPriority(0)}
}

// Find is the id of the one class that serves a class of flows: its own leaf, else its link's default. False: the tree
// has no branch for its link.
func (t Tree) Find(c Class) (id uint16, ok bool) {
	for _, b := range t.branches {
		if b.link.ID != c.Link {
			continue
		}
		for _, d := range b.devices {
			if d.number != c.Device {
				continue
			}
			for _, l := range d.leaves {
				if l.class == c {
					return c.ID(), true
				}
			}
		}
		return DefaultID(c.Link), true
	}
	return 0, false
}

// Sizes of packets and of what waits, in bytes.
const (
	packet       = 1514 // the largest on Ethernet, without what the line adds
	leastBurst   = 1600 // so that one packet fits, with what the line adds
	largestTurn  = 60_000
	largestQueue = 4 << 20
	// manyLeaves is how many cakes a tree may hold: each takes about 1 MB.
	manyLeaves = 16
)

const (
	burstTime = time.Millisecond
	// queueTime is how long a packet may wait in a queue that cannot tell flows apart.
	queueTime = 50 * time.Millisecond
	// memoryTime bounds the memory of queues that drop by the time that packets wait.
	memoryTime = 250 * time.Millisecond
)

// bytesIn is how much a rate moves in a time.
func bytesIn(r Rate, d time.Duration) uint64 {
	return uint64(r) / 8 * uint64(d/time.Microsecond) / uint64(time.Second/time.Microsecond)
}

func burst(r Rate) uint32 { return uint32(max(bytesIn(r, burstTime), leastBurst)) }

// Shaping is the tree as the kernel has it, on a device. Header is as in Link: how many bytes of a packet's link header are
// counted there.
func (t Tree) Shaping(device string, header int) hal.Shaping {
	s := hal.Shaping{Device: device}
	if t.dir == Up && len(t.branches) == 1 {
		// What leaves by a WAN device without a mark of its own (the router's own probes) waits with the rest. On the way to the LAN,
		// what comes from no link is not shaped at all.
		s.Default = DefaultID(t.branches[0].link.ID)
	}
	crowded := false
	for _, b := range t.branches {
		crowded = crowded || b.leaves > manyLeaves
	}
	for _, b := range t.branches {
		s.Classes = append(s.Classes, b.classes(header, t.queues, crowded)...)
	}
	return s
}

func (b *branch) classes(header int, q Queues, crowded bool) []hal.Class {
	over := b.link.Framing.overhead(header)
	node := func(id, parent uint16, rate, ceil Rate) hal.Class {
		// The kernel counts bytes. Rounding down keeps sums within bounds.
		return hal.Class{ID: id, Parent: parent, Rate: uint64(rate) / 8 * 8, Ceil: uint64(ceil) / 8 * 8, Burst: burst(rate), CBurst: burst(ceil), Overhead: over}
	}
	turns := newTurns(b)
	top := linkNode(b.link.ID)
	fallback := b.fallback()
	first := node(fallback.ID(), top, fallback.Rate, fallback.Ceil)
	first.Quantum, first.Priority, first.Queue = turns.base(), fallback.Priority, b.queue(q, fallback.Ceil, true, false)
	out := []hal.Class{node(top, 0, b.capacity, b.capacity), first}
	for _, d := range b.devices {
		id := deviceNode(b.link.ID, d.number)
		out = append(out, node(id, top, d.rate, d.ceil))
		for _, l := range d.leaves {
			c := node(l.class.ID(), id, l.rate, l.ceil)
			c.Quantum, c.Priority, c.Queue = turns.of(d, l), l.priority, b.queue(q, l.ceil, false, crowded)
			out = append(out, c)
		}
	}
	return out
}

// queue chooses what waits how. Only a leaf that several hosts share needs a cake's fairness between hosts; a device's leaf has one host,
// for which fq_codel does the same in a hundredth of the memory.
func (b *branch) queue(q Queues, ceil Rate, shared, crowded bool) hal.Queue {
	memory := uint32(min(max(bytesIn(ceil, memoryTime), 64<<10), largestQueue))
	switch {
	case q.Cake && (shared || !q.FQCoDel && !crowded):
		return hal.Queue{Kind: hal.Cake, Bytes: memory, Sources: b.dir == Up}
	case q.FQCoDel:
		out := hal.Queue{Kind: hal.FQCoDel, Bytes: memory}
		// Rounded before it is compared: what is a little above the kernel's own target is the kernel's own.
		if one := (packet * 8 * 3 / 2 * time.Second / time.Duration(ceil)).Round(time.Millisecond); one > hal.CoDelTarget {
			out.Target = one
		}
		return out
	}
	return hal.Queue{Kind: hal.FIFO, Bytes: uint32(min(max(bytesIn(ceil, queueTime), 10*packet), largestQueue))}
}

// turns makes HTB's taking of turns fair between devices. HTB goes round the leaves of a device before it goes to the next device,
// so a device with three busy leaves of one priority would get three turns to another's one: its leaves' quantums are a third.
type turns struct {
	branch *branch
	part   uint32 // the least quantum of a leaf
	most   uint32 // busy leaves of one priority in one device
}

// mostParts bounds how far a quantum is divided: on a slow link, many parts of at least a packet are a long turn.
const mostParts = 4

func newTurns(b *branch) turns {
	t := turns{branch: b, most: 1}
	for _, d := range b.devices {
		for _, l := range d.leaves {
			t.most = max(t.most, t.busy(d, l))
		}
	}
	t.part = max(uint32(min(bytesIn(b.capacity, burstTime), largestTurn))/t.most, packet)
	return t
}

// base is the quantum of a leaf that is alone in its device.
func (t turns) base() uint32 { return t.part * t.most }

func (t turns) of(d *device, l *leaf) uint32 { return t.base() / t.busy(d, l) }

// busy counts the leaves of l's priority in its device that really send, l included.
func (t turns) busy(d *device, l *leaf) uint32 {
	n := uint32(1)
	for _, other := range d.leaves {
		if other != l && other.priority == l.priority && other.demand > 0 && other.demand >= l.demand/4 {
			n++
		}
	}
	return min(n, mostParts)
}
