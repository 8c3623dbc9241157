package hal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ShapingMajor is the major number of the shaper of every device: a packet's priority is a class id, and one map of marks serves
// all devices.
const ShapingMajor = 1

// Shapers sets and reads how network devices queue what they send.
type Shapers interface {
	// Shaping reads what stands on a device, as Shaping.Ordered has it; without classes when its root is not a shaper of ours. Bursts may come back smaller
	// by what passes in 64 ns, the kernel's unit of time here. ErrNotFound when there is no such device.
	Shaping(ctx context.Context, device string) (Shaping, error)
	// SetShaping makes the device's tree equal to s, changing only what differs; packets that wait in a class that stays are kept. s
	// without classes removes the tree. On error what stood before stands again; if that fails too, the error wraps ErrUnshaped and the
	// device sends without a shaper. ErrUnsupported: this kernel lacks HTB, or a queueing discipline that s names.
	SetShaping(ctx context.Context, s Shaping) error
	// ChangeClass changes rates and bursts of one class of a tree that stands, and nothing else, in one message: for rates that change many
	// times a second. ErrNotFound: no such device or class.
	ChangeClass(ctx context.Context, device string, c Class) error
	// ClassCounters reads what the classes of a device did, by id.
	ClassCounters(ctx context.Context, device string) (map[uint16]ClassCounter, error)
	// Traffic is how many bytes the device has received and sent since it exists. ErrNotFound when there is no such device.
	Traffic(device string) (received, sent uint64, err error)
	// Shaped lists the devices that have a tree of the router's, made by this or an earlier run, sorted by name.
	Shaped(ctx context.Context) ([]string, error)
	// Detour reads what is led through DownloadDevice.
	Detour(ctx context.Context) (Detour, error)
	// SetDetour makes the detour equal to d, changing only what differs; the zero value removes it, DownloadDevice and its tree. On error
	// what stood before stands again; if that fails too, or a broken one stood, the error wraps ErrUnshaped, and no packet is led anywhere.
	// ErrNotFound: no such device. ErrExists: DownloadDevice's name, or the place of the filter, is another program's.
	// ErrUnsupported: this kernel lacks IFB devices, or the filters that lead there.
	SetDetour(ctx context.Context, d Detour) error
}

// ErrUnshaped: a device has no shaper now, though it should have one.
var ErrUnshaped = errors.New("the device sends unshaped")

// ClassCounter is what a class did since it was made, and what waits in it now.
type ClassCounter struct {
	Packets, Bytes        uint64 // that left it
	Dropped               uint64 // packets
	Waiting, WaitingBytes uint64
}

// Shaping is the whole queueing state of a network device as the router wants it: one HTB tree at its root (tc-htb(8)).
type Shaping struct {
	Device string
	// Default is the class of packets whose priority names none. 0: they pass unshaped.
	Default uint16
	Classes []Class // parents before their children
}

// Class is an HTB class. ID and Parent are minor numbers; Parent 0 is the tree's root.
type Class struct {
	ID, Parent    uint16
	Rate, Ceil    uint64 // bit/s: what it has for sure, and what it may have when others leave it
	Burst, CBurst uint32 // bytes that may pass at once at Rate and at Ceil
	Quantum       uint32 // bytes that it sends in its turn when it borrows
	Priority      uint8  // 0 (first) to 7; of leaves only
	Overhead      Overhead
	Queue         Queue // of a leaf; the zero value is an inner class
}

// Overhead is what the line adds to a packet of which the kernel does not know. The zero value is nothing.
type Overhead struct {
	Bytes, Min uint16 // added to each packet; the least size with it
	Cells      bool   // ATM: 53 bytes on the wire for each 48 or part of them
}

// QueueKind is a queueing discipline for leaves.
type QueueKind uint8

const (
	NoQueue QueueKind = iota
	FIFO              // bfifo: first come, first served
	FQCoDel           // fair between flows, drops what waits too long
	Cake              // fair between hosts, then between flows; holds about 1 MB of kernel memory
)

// Queue is the queueing discipline of a leaf. Its handle's major number is its class's minor: see Handle.
type Queue struct {
	Kind QueueKind
	// Bytes is the most that may wait: FIFO and, as a limit of memory, FQCoDel and Cake.
	Bytes uint32
	// Sources tells which hosts a Cake is fair to: those that send (true: upload) or that receive.
	Sources bool
	// Target is how long a packet may wait in a standing FQCoDel queue; 0: the kernel's own, CoDelTarget. A slow link, on which a
	// single packet takes longer, needs more: whole milliseconds above that.
	Target time.Duration
}

// CoDelTarget is how long the kernel's fq_codel lets a packet wait unless told otherwise (RFC 8290, section 5.2.2).
const CoDelTarget = 5 * time.Millisecond

// Handle is the major number of the class's own queue: its minor, apart from the one that the kernel keeps for ingress.
func (c Class) Handle() uint16 {
	if c.ID == 0xffff {
		return 0x1fff
	}
	return c.ID
}

// Interval is the time in which an FQCoDel expects senders to react: its default 100 ms, and longer where a packet alone takes long.
func (q Queue) Interval() time.Duration { return 100*time.Millisecond + q.Target }

// Ordered is the same tree in the order in which it is read back: each class before its children, otherwise by id.
func (s Shaping) Ordered() Shaping {
	children := map[uint16][]Class{}
	for _, c := range s.Classes {
		children[c.Parent] = append(children[c.Parent], c)
	}
	s.Classes = nil
	var add func(parent uint16)
	add = func(parent uint16) {
		own := children[parent]
		slices.SortFunc(own, func(a, b Class) int { return int(a.ID) - int(b.ID) })
		for _, c := range own {
			s.Classes = append(s.Classes, c)
			add(c.ID)
		}
	}
	add(0)
	return s
}

// Leaf tells whether packets wait in the class.
func (c Class) Leaf() bool { return c.Queue.Kind != NoQueue }

// Validate tells whether the state can be written and read back as it is; the error says what would be right.
func (s Shaping) Validate() error {
	leaf := map[uint16]bool{} // of the classes so far: whether it is a leaf
	for _, c := range s.Classes {
		if err := c.validate(leaf); err != nil {
			return fmt.Errorf("shaping %s: class %x: %w", s.Device, c.ID, err)
		}
		leaf[c.ID] = c.Leaf()
	}
	if s.Default != 0 && !leaf[s.Default] {
		return fmt.Errorf("shaping %s: the default class %x is not a leaf of the tree", s.Device, s.Default)
	}
	for _, c := range s.Classes {
		if !c.Leaf() && !slices.ContainsFunc(s.Classes, func(d Class) bool { return d.Parent == c.ID }) {
			return fmt.Errorf("shaping %s: class %x has neither children nor a queue", s.Device, c.ID)
		}
	}
	return nil
}

func (c Class) validate(leaf map[uint16]bool) error {
	_, twice := leaf[c.ID]
	isLeaf, known := leaf[c.Parent]
	switch {
	case c.ID == 0 || twice:
		return errors.New("its id is 0, or another's")
	case c.Parent != 0 && (!known || isLeaf):
		return fmt.Errorf("its parent %x does not stand before it, or is a leaf", c.Parent)
	case c.Rate == 0 || c.Rate > c.Ceil || c.Rate%8 != 0 || c.Ceil%8 != 0 || c.Ceil/8 > 1<<32-1:
		return fmt.Errorf("a rate of %d and ceil of %d bit/s: use multiples of 8, the rate above 0 and at most the ceil", c.Rate, c.Ceil)
	case c.Burst == 0 || c.CBurst == 0 || c.Priority > 7:
		return fmt.Errorf("burst %d, cburst %d, priority %d: use bursts above 0 and a priority up to 7", c.Burst, c.CBurst, c.Priority)
	case c.Leaf() == (c.Quantum == 0) || !c.Leaf() && c.Priority != 0:
		return fmt.Errorf("quantum %d, priority %d: a leaf has a quantum, an inner class neither", c.Quantum, c.Priority)
	case c.Ticks() >= 1<<32:
		return fmt.Errorf("a burst of %d bytes at %d bit/s takes longer than the kernel can count", c.Burst, c.Rate)
	case c.Queue.Kind > Cake || c.Leaf() && c.Queue.Bytes == 0:
		return fmt.Errorf("queue %q is not possible", c.Queue)
	case c.Queue.Target%time.Millisecond != 0 || c.Queue.Target != 0 && (c.Queue.Kind != FQCoDel || c.Queue.Target <= CoDelTarget):
		return fmt.Errorf("a target of %s: use whole milliseconds above 5 in an fq_codel, 0 otherwise", c.Queue.Target)
	case c.Queue.Sources && c.Queue.Kind != Cake:
		return errors.New("only a cake is fair to hosts")
	}
	return nil
}

// Ticks is the time of the burst at the class's rate, in the kernel's unit of 64 ns.
func (c Class) Ticks() uint64 { return ticks(c.Burst, c.Rate) }

// CTicks is the time of the cburst at the ceil.
func (c Class) CTicks() uint64 { return ticks(c.CBurst, c.Ceil) }

func ticks(bytes uint32, rate uint64) uint64 { return uint64(bytes) * 1e9 / (rate / 8) / 64 }

// Same tells whether have, as it was read back, is what s wants.
func (s Shaping) Same(have Shaping) bool {
	return s.Device == have.Device && s.Default == have.Default &&
		slices.EqualFunc(s.Ordered().Classes, have.Ordered().Classes, func(a, b Class) bool { return a.Queue == b.Queue && a.Same(b) })
}

// Same tells whether have, as it was read back, is what c wants, whatever its queue is. The kernel keeps bursts as times, in whole ticks.
func (c Class) Same(have Class) bool {
	near := func(a, b uint64) bool { return max(a, b)-min(a, b) <= 1 }
	if have.Rate != c.Rate || have.Ceil != c.Ceil || !near(c.Ticks(), have.Ticks()) || !near(c.CTicks(), have.CTicks()) {
		return false
	}
	have.Burst, have.CBurst, have.Queue = c.Burst, c.CBurst, c.Queue
	return have == c
}

// String is the state as the commands of tc(8) that would make it.
func (s Shaping) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "qdisc replace dev %s root handle %x: htb default 0x%x\n", s.Device, ShapingMajor, s.Default)
	for _, c := range s.Classes {
		parent := fmt.Sprintf("%x:", ShapingMajor)
		if c.Parent != 0 {
			parent += fmt.Sprintf("%x", c.Parent)
		}
		fmt.Fprintf(&b, "class replace dev %s parent %s classid %x:%x htb %s\n", s.Device, parent, ShapingMajor, c.ID, c)
		if c.Leaf() {
			fmt.Fprintf(&b, "qdisc replace dev %s parent %x:%x handle %x: %s\n", s.Device, ShapingMajor, c.ID, c.Handle(), c.Queue)
		}
	}
	return b.String()
}

// String is the class's own part of a tc command.
func (c Class) String() string {
	var b strings.Builder
	if c.Leaf() {
		fmt.Fprintf(&b, "prio %d quantum %d ", c.Priority, c.Quantum)
	}
	fmt.Fprintf(&b, "rate %s ceil %s burst %db cburst %db", tcRate(c.Rate), tcRate(c.Ceil), c.Burst, c.CBurst)
	if c.Overhead.Bytes != 0 {
		fmt.Fprintf(&b, " overhead %d", c.Overhead.Bytes)
	}
	if c.Overhead.Min != 0 {
		fmt.Fprintf(&b, " mpu %d", c.Overhead.Min)
	}
	if c.Overhead.Cells {
		b.WriteString(" linklayer atm")
	}
	return b.String()
}

func (q Queue) String() string {
	switch q.Kind {
	case FIFO:
		return fmt.Sprintf("bfifo limit %d", q.Bytes)
	case FQCoDel:
		s := fmt.Sprintf("fq_codel memory_limit %d", q.Bytes)
		if q.Target != 0 {
			s += fmt.Sprintf(" target %s interval %s", q.Target, q.Interval())
		}
		return s
	case Cake:
		fair := "dual-dsthost"
		if q.Sources {
			fair = "dual-srchost nat"
		}
		return fmt.Sprintf("cake unlimited besteffort %s memlimit %d", fair, q.Bytes)
	}
	return "none"
}

// tcRate writes a rate as tc does: without loss, with the largest unit that divides it.
func tcRate(r uint64) string {
	switch {
	case r != 0 && r%1e6 == 0:
		return fmt.Sprintf("%dMbit", r/1e6)
	case r != 0 && r%1e3 == 0:
		return fmt.Sprintf("%dKbit", r/1e3)
	}
	return fmt.Sprintf("%dbit", r)
}
