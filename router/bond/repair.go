package bond

import (
	"encoding/binary"
	"slices"
	"time"
)

// A repair is the exclusive or of a few data frames that went over one path: whoever has all of them but one makes that one from it. That is the
// Reed-Solomon code with one parity shard. More shards would serve bursts; what is urgent has second copies against those, and what is not is sent
// again. Repairs are sent only for what re-sending comes too late for, over a path that loses more than repairLoss.

const (
	repairLoss    = 0.01
	repairLate    = 40 * time.Millisecond // round trip from which re-sending comes too late for a call
	repairMost    = 5                     // frames of a repair
	repairAge     = 25 * time.Millisecond // that the first of them waits for others
	repairLargest = 1200                  // bytes of a packet: the repair must fit where the packet does
	repairHeader  = feedbackHeader + 1    // as feedback has it, and the count of numbers
	blobHeader    = 8                     // length 2, flags 1, flow 2, order 3
	lossSpan      = 200                   // datagrams that a path's loss is taken from
)

// lossMeter is a path's loss of late.
type lossMeter struct {
	from  uint64
	lost  uint32
	share float64
}

func (m *lossMeter) record(r *record) {
	sent := r.highest - m.from
	if r.highest < m.from+lossSpan {
		return
	}
	m.share += (float64(r.lost-m.lost)/float64(sent) - m.share) / 2
	m.from, m.lost = r.highest, r.lost
}

// guard gathers the frames of a path for the next repair.
type guard struct {
	numbers [repairMost]uint32
	n       int
	parity  []byte
	begun   time.Duration
}

// guards tells whether a parcel that leaves over a path for the first time is worth a repair.
func (c *Core) guards(p *path, x *parcel) bool {
	return p.loss.share > repairLoss && !x.sent && !x.twice && x.kind == sparse && len(x.packet) <= repairLargest &&
		(x.service.Mode == Latency || x.service.Class == Realtime) && (x.unordered || p.rate.rtt > repairLate)
}

func (g *guard) add(f *dataFrame, now time.Duration) {
	if g.n == 0 {
		g.parity, g.begun = g.parity[:0], now
	}
	g.parity = mix(g.parity, f)
	g.numbers[g.n] = f.number
	g.n++
}

// mix adds a frame to a parity, which grows to the longest.
func mix(parity []byte, f *dataFrame) []byte {
	if more := blobHeader + len(f.packet) - len(parity); more > 0 {
		parity = append(parity, make([]byte, more)...)
	}
	head := append24(binary.BigEndian.AppendUint16(append(binary.BigEndian.AppendUint16(make([]byte, 0, blobHeader), uint16(len(f.packet))), f.flags), f.flow), f.order)
	for i, b := range head {
		parity[i] ^= b
	}
	for i, b := range f.packet {
		parity[blobHeader+i] ^= b
	}
	return parity
}

// repair sends what a path's guard has gathered, over another path if one lives where bytes cost nothing.
func (c *Core) repair(p *path, now time.Duration) {
	g := &p.guard
	over := c.shortest(p, now)
	if over == nil || !over.up || over.metered && !p.metered {
		over = p
	}
	c.frame = append(appendFloor(c.frame[:0], repairKind, clockOf(now), c.floor()), byte(g.n))
	for _, n := range g.numbers[:g.n] {
		c.frame = binary.BigEndian.AppendUint32(c.frame, n)
	}
	c.frame = append(c.frame, g.parity...)
	g.n = 0
	c.transmit(over, nil, false, now)
}

// repairs sends those that have waited for long enough, and tells when to look again.
func (c *Core) repairs(now time.Duration) (again time.Duration) {
	again = never
	for _, p := range c.paths {
		if p.guard.n == 0 {
			continue
		}
		if now-p.guard.begun >= repairAge {
			c.repair(p, now)
		} else {
			again = min(again, p.guard.begun+repairAge)
		}
	}
	return again
}

const (
	mostKept    = 256 // guarded frames that are remembered
	mostRepairs = 8   // that wait for frames
)

// mender makes frames that were lost from repairs.
type mender struct {
	kept    []dataFrame // a circle; made when first used
	next    int
	waiting [mostRepairs]waitingRepair
	oldest  int
	mended  uint64
}

// waitingRepair is a repair of which more than one frame is missing yet.
type waitingRepair struct {
	numbers []uint32
	parity  []byte
}

func (m *mender) find(number uint32) *dataFrame {
	for i := range m.kept {
		if f := &m.kept[i]; f.number == number && len(f.packet) > 0 {
			return f
		}
	}
	return nil
}

// keep remembers a guarded frame; false: it is known already.
func (m *mender) keep(f *dataFrame) bool {
	if m.find(f.number) != nil {
		return false
	}
	if m.kept == nil {
		m.kept = make([]dataFrame, mostKept)
	}
	k := &m.kept[m.next]
	m.next = (m.next + 1) % mostKept
	packet := append(k.packet[:0], f.packet...)
	*k = *f
	k.packet = packet
	return true
}

// complete returns the frame that a repair makes good, if it is one now. What it refers to is valid until the next call.
func (m *mender) complete(w *waitingRepair) (f dataFrame, ok bool) {
	missing, n := uint32(0), 0
	for _, number := range w.numbers {
		if m.find(number) == nil {
			missing = number
			n++
		}
	}
	if n > 1 {
		return f, false
	}
	numbers := w.numbers
	w.numbers = w.numbers[:0] // it has served
	if n == 0 {
		return f, false
	}
	for _, number := range numbers {
		if k := m.find(number); k != nil {
			if blobHeader+len(k.packet) > len(w.parity) {
				return f, false // it is not of these frames
			}
			mix(w.parity, k)
		}
	}
	b := w.parity
	size := int(binary.BigEndian.Uint16(b))
	if size == 0 || size > len(b)-blobHeader {
		return f, false
	}
	return dataFrame{flags: b[2], flow: binary.BigEndian.Uint16(b[3:]), order: uint24(b[5:]), number: missing, packet: b[blobHeader:][:size]}, true
}

// wait remembers a repair in place of the oldest one.
func (m *mender) wait(b []byte) (*waitingRepair, error) {
	if len(b) < 1 {
		return nil, errFrame
	}
	n := int(b[0])
	if n == 0 || n > repairMost || len(b) < 1+4*n+blobHeader {
		return nil, errFrame
	}
	w := &m.waiting[m.oldest]
	m.oldest = (m.oldest + 1) % mostRepairs
	w.numbers = w.numbers[:0]
	for i := range n {
		w.numbers = append(w.numbers, binary.BigEndian.Uint32(b[1+4*i:]))
	}
	w.parity = append(w.parity[:0], b[1+4*n:]...)
	return w, nil
}

// guarded takes a frame that repairs are sent for; false: it came before, or was made good.
func (c *Core) guarded(f *dataFrame, now time.Duration) bool {
	if !c.mender.keep(f) {
		return false
	}
	for i := range c.mender.waiting {
		if w := &c.mender.waiting[i]; slices.Contains(w.numbers, f.number) {
			c.mend(w, now)
		}
	}
	return true
}

// repaired takes a repair.
func (c *Core) repaired(b []byte, now time.Duration) error {
	w, err := c.mender.wait(b)
	if err == nil {
		c.mend(w, now)
	}
	return err
}

func (c *Core) mend(w *waitingRepair, now time.Duration) {
	f, ok := c.mender.complete(w)
	if !ok || !c.mender.keep(&f) {
		return
	}
	c.mender.mended++
	c.order.arrival(f, now)
}
