package bond

import (
	"encoding/binary"
	"math"
	"time"
)

const (
	// A queue that stands for longer than this is too long: more only adds delay, less starves links that vary.
	standing = 60 * time.Millisecond
	// A hole in the order holds back acknowledgements and lets them go at once, and the burst that follows must fit: only a queue that
	// stands for so long loses a packet, and one at a time (the control law of CoDel, RFC 8289 §4, about our own goal).
	patient  = 100 * time.Millisecond
	overflow = 180 * time.Millisecond // of the summed rates: the end of patience

	entranceLeast = 8 << 10

	// A flow is sparse while it keeps below this.
	sparseRate  = 1e6 / 8 // bytes/s
	sparseBurst = 8 << 10
)

// entrance is where packets wait that no path takes yet. Sparse flows do not wait here.
type entrance struct {
	flows  [slots]entered
	wishes [slots]wish
	lanes  lanes
	drops  uint64
}

// entered is what is known of a flow at the entrance.
type entered struct {
	next    uint32 // order of its next packet
	waiting int    // packets in the queue
	level   float32
	at      time.Duration
	tag     uint32 // of the flow that top belongs to: others may share the slot
	top     uint32 // highest TCP sequence number
}

// order is the place of a flow's next packet that leaves for a path.
func (e *entrance) order(slot uint16) uint32 {
	f := &e.flows[slot]
	n := f.next
	f.next = (f.next + 1) & orderMask
	return n
}

// classified is what the entrance finds about a packet.
type classified struct {
	slot      uint16
	kind      parcelKind
	service   Service
	unordered bool
}

// classify tells what kind of packet it is; told is what this end was told for it.
func (e *entrance) classify(packet []byte, told Service, now time.Duration) (c classified) {
	l := look(packet)
	slot := uint16(l.hash) & (slots - 1)
	c = classified{slot: slot, service: e.serviceOf(l, told, now), unordered: l.bare}
	f := &e.flows[slot]
	if l.data {
		tag := uint32(l.hash >> 32)
		switch ahead := int32(l.sequence - f.top); {
		case f.tag != tag || ahead > 0:
			f.tag, f.top = tag, l.sequence
		case ahead < 0 && e.lanes.of[c.service.Class].sojourn(now) > 2*standing:
			// Sent again, and its receiver waits for nothing else. With a short queue it stays in its place: a sender that sees
			// it overtake would take what it overtook for lost (RACK, RFC 8985).
			c.kind, c.unordered = again, false
			return c
		}
	}
	rate, burst := sparseRate, float32(sparseBurst)
	if c.service.Mode == Latency || c.service.Class == Realtime {
		rate, burst = latencyRate, latencyBurst
	}
	c.unordered = c.unordered || c.service.Mode == Latency && l.datagram
	f.level = max(0, f.level-float32((now-f.at).Seconds()*rate))
	f.at = now
	if f.level < burst && f.waiting == 0 { // else it would overtake itself
		f.level += float32(len(packet))
		c.kind = sparse
		return c
	}
	c.kind = bulk
	return c
}

// offer queues a bulk packet unless too much waits already.
func (e *entrance) offer(x *parcel, summed float64) bool {
	limit := max(entranceLeast, int(summed*overflow.Seconds()))
	if e.lanes.of[x.service.Class].bytes+len(x.packet) > limit {
		e.drops++
		return false
	}
	e.lanes.push(x)
	e.flows[x.flow].waiting++
	return true
}

// take removes the oldest packet of a class; sent says that it leaves for a path and is not dropped.
func (e *entrance) take(c Class, sent bool) *parcel {
	x := e.lanes.take(c, sent)
	e.flows[x.flow].waiting--
	if !sent {
		e.drops++
	}
	return x
}

// tooLong tells whether the oldest packet of a lane is to be dropped because the queue stands.
func (l *lane) tooLong(now time.Duration) bool {
	if l.sojourn(now) < standing {
		l.above = 0
		l.count = max(0, l.count-1)
		return false
	}
	if l.above == 0 {
		l.above = now
		l.nextDrop = now + patient
	}
	if now < l.nextDrop {
		return false
	}
	l.count++
	l.nextDrop = now + time.Duration(float64(patient)/math.Sqrt(float64(l.count)))
	return true
}

// looked is what the headers of a packet say.
type looked struct {
	hash     uint64 // of what tells flows apart
	bare     bool   // a TCP acknowledgement without data
	data     bool   // a TCP segment with data
	datagram bool   // UDP
	sequence uint32 // of it
}

// look reads the headers of an IP packet as far as they are there.
func look(p []byte) looked { return read(p, false) }

// lookBack reads them as those of an answer: the hash is that of what goes the other way.
func lookBack(p []byte) looked { return read(p, true) }

func read(p []byte, back bool) (l looked) {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	l.hash = offset
	mix := func(b []byte) {
		for _, c := range b {
			l.hash = (l.hash ^ uint64(c)) * prime
		}
	}
	// ends mixes what stands for both ends, the sender's first.
	ends := func(b []byte) {
		if half := len(b) / 2; back {
			mix(b[half:])
			mix(b[:half])
		} else {
			mix(b)
		}
	}
	var proto byte
	var body []byte
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		header := int(p[0]&15) * 4
		proto = p[9]
		mix(p[9:10])
		ends(p[12:20])
		if fragment := binary.BigEndian.Uint16(p[6:])&0x3fff != 0; !fragment && header >= 20 && header <= len(p) {
			body = p[header:]
		}
	case len(p) >= 40 && p[0]>>4 == 6:
		proto = p[6]
		mix(p[6:7])
		ends(p[8:40])
		body = p[40:]
	}
	if (proto == 6 || proto == 17) && len(body) >= 4 {
		ends(body[:4])
		l.datagram = proto == 17
	}
	if proto == 6 && len(body) >= 20 {
		header := int(body[12]>>4) * 4
		l.bare = header == len(body) && body[13]&^8 == 0x10 // ACK alone, PSH or not
		l.data = header < len(body)
		l.sequence = binary.BigEndian.Uint32(body[4:])
	}
	l.hash ^= l.hash >> 29 // FNV's low bits are its worst
	return l
}
