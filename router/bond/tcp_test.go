package bond

import (
	"encoding/binary"
	"math"
	"time"
)

const (
	tunnelMTU  = 1430
	tcpHeaders = 20 + 32
	segment    = tunnelMTU - tcpHeaders
)

// ipTCP makes a packet with the headers that a Core looks at.
func ipTCP(port uint16, tag uint32, payload int) []byte {
	b := make([]byte, tcpHeaders+payload)
	b[0], b[9] = 0x45, 6
	copy(b[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(b[20:], port)
	binary.BigEndian.PutUint16(b[22:], 443)
	binary.BigEndian.PutUint32(b[24:], tag)
	b[32], b[33] = 0x80, 0x10
	return b
}

// tcp is a bulk flow with an endless source: CUBIC (RFC 9438) with HyStart's delay rule (RFC 9406), loss found by time as in RACK-TLP
// (RFC 8985), and selective acknowledgements that tell everything. It is a model: what it cannot show is shown on real kernels.
type tcp struct {
	w        *world
	port     uint16
	transmit func(packet []byte) // data
	reply    func(packet []byte) // acknowledgements

	// Sender.
	segments     map[uint32]*sent
	next         uint32
	lowest       uint32 // not acknowledged
	inflight     int
	again        []uint32
	cwnd         float64
	threshold    float64
	wmax         float64
	k, begun     float64
	epoch        time.Duration
	round        roundTrips
	recover      uint32
	inLoss       bool
	rtt          time.Duration
	minRTT       time.Duration
	latest       time.Duration // send time of the latest segment that was acknowledged
	timer        int
	losses, rtos int
	acks         map[uint32]ack

	// Receiver.
	got       map[uint32]bool
	expected  uint32
	goodput   int64
	delivered func(bytes int)
	ackTag    uint32
}

type sent struct {
	at   time.Duration
	lost bool
}

// roundTrips finds out that the least delay of a round trip grew (HyStart): the start is over.
type roundTrips struct {
	end   uint32
	least time.Duration
	n     int
}

func (r *roundTrips) slower(n, next uint32, rtt, minimum time.Duration) bool {
	if n >= r.end {
		*r = roundTrips{end: next, least: rtt}
	}
	r.least = min(r.least, rtt)
	r.n++
	return r.n == 8 && r.least > minimum+min(max(minimum/8, 4*time.Millisecond), 16*time.Millisecond)
}

type ack struct {
	expected uint32
	got      uint32
}

func newTCP(w *world, port uint16, transmit, reply func([]byte)) *tcp {
	return &tcp{w: w, port: port, transmit: transmit, reply: reply, segments: map[uint32]*sent{}, got: map[uint32]bool{}, acks: map[uint32]ack{},
		cwnd: 10, threshold: math.Inf(1)}
}

func (t *tcp) fill() {
	for float64(t.inflight) < t.cwnd {
		var n uint32
		if len(t.again) > 0 {
			n, t.again = t.again[0], t.again[1:]
			if s := t.segments[n]; s == nil || !s.lost {
				continue
			}
		} else {
			n = t.next
			t.next++
		}
		t.segments[n] = &sent{at: t.w.now}
		t.inflight++
		t.transmit(ipTCP(t.port, n, segment))
	}
	t.arm()
}

// arm starts the retransmission timer anew.
func (t *tcp) arm() {
	t.timer++
	mine := t.timer
	t.w.after(max(200*time.Millisecond, 2*t.rtt), func() {
		if mine != t.timer || t.inflight == 0 && len(t.again) == 0 {
			return
		}
		for n := t.lowest; n < t.next; n++ {
			if s := t.segments[n]; s != nil && !s.lost {
				s.lost = true
				t.again = append(t.again, n)
			}
		}
		t.inflight = 0
		t.rtos++
		t.threshold, t.wmax, t.cwnd, t.epoch = max(2, t.cwnd/2), t.cwnd, 1, 0
		t.recover, t.inLoss = t.next, true
		t.fill()
	})
}

// receive takes a data packet at the receiver.
func (t *tcp) receive(packet []byte) {
	n := binary.BigEndian.Uint32(packet[24:])
	if n >= t.expected && !t.got[n] {
		t.got[n] = true
		for t.got[t.expected] {
			delete(t.got, t.expected)
			t.expected++
			t.goodput += segment
			if t.delivered != nil {
				t.delivered(segment)
			}
		}
	}
	t.ackTag++
	t.acks[t.ackTag] = ack{t.expected, n}
	t.reply(ipTCP(t.port, t.ackTag, 0))
}

// acknowledged takes an acknowledgement at the sender.
func (t *tcp) acknowledged(packet []byte) {
	tag := binary.BigEndian.Uint32(packet[24:])
	a, ok := t.acks[tag]
	if !ok {
		return
	}
	delete(t.acks, tag)
	newly := 0
	take := func(n uint32) {
		s := t.segments[n]
		if s == nil {
			return
		}
		delete(t.segments, n)
		if !s.lost {
			t.inflight--
		}
		newly++
		t.latest = max(t.latest, s.at)
		if n == a.got {
			rtt := t.w.now - s.at
			if t.rtt == 0 {
				t.rtt, t.minRTT = rtt, rtt
			}
			t.rtt += (rtt - t.rtt) / 8
			t.minRTT = min(t.minRTT, rtt)
			if t.cwnd < t.threshold && t.round.slower(n, t.next, rtt, t.minRTT) {
				t.threshold = t.cwnd
			}
		}
	}
	take(a.got)
	for ; t.lowest < a.expected; t.lowest++ {
		take(t.lowest)
	}
	if t.lowest >= t.recover {
		t.inLoss = false
	}
	t.detect()
	if newly > 0 && !t.inLoss {
		t.grow(newly)
	}
	t.fill()
}

// detect marks what was sent before something that arrived, by more than a quarter of the least round trip.
func (t *tcp) detect() {
	window := max(t.minRTT/4, time.Millisecond)
	for n := t.lowest; n < t.next; n++ {
		s := t.segments[n]
		if s == nil || s.lost {
			continue
		}
		if s.at > t.latest-window {
			if n > t.lowest+64 && s.at > t.latest {
				break
			}
			continue
		}
		s.lost = true
		t.inflight--
		t.again = append(t.again, n)
		if !t.inLoss {
			t.inLoss, t.recover = true, t.next
			t.losses++
			t.wmax = t.cwnd
			t.cwnd = max(2, t.cwnd*0.7)
			t.threshold, t.epoch = t.cwnd, 0
		}
	}
}

func (t *tcp) grow(n int) {
	if t.cwnd < t.threshold {
		t.cwnd += float64(n)
		return
	}
	const c = 0.4
	if t.epoch == 0 {
		t.epoch, t.begun, t.k = t.w.now, t.cwnd, 0
		if t.wmax > t.cwnd {
			t.k = math.Cbrt((t.wmax - t.cwnd) / c)
		} else {
			t.wmax = t.cwnd
		}
	}
	at := (t.w.now - t.epoch + t.rtt).Seconds()
	target := c*(at-t.k)*(at-t.k)*(at-t.k) + t.wmax
	friendly := t.begun + 0.53*at/max(t.rtt.Seconds(), 0.001)
	target = min(max(target, friendly), 1.5*t.cwnd)
	step := float64(n) * 0.01 / t.cwnd
	if target > t.cwnd {
		step = float64(n) * (target - t.cwnd) / t.cwnd
	}
	if t.losses == 0 { // Linux grows by a twentieth a round trip before the first loss
		step = max(step, float64(n)/20)
	}
	t.cwnd += step
}

// download runs a flow from the far end to the near one, or an upload, and returns its goodput in Mbit/s after the first two seconds.
func (p *pair) transfer(up bool, ports []uint16, length time.Duration) (mbit float64) {
	from, to := p.far, p.near
	if up {
		from, to = p.near, p.far
	}
	flows := map[uint16]*tcp{}
	for _, port := range ports {
		flows[port] = newTCP(p.world, port, from.packet, to.packet)
	}
	of := func(b []byte) *tcp { return flows[binary.BigEndian.Uint16(b[20:])] }
	to.deliver = func(b []byte) { of(b).receive(b) }
	from.deliver = func(b []byte) { of(b).acknowledged(b) }
	p.at(300*time.Millisecond, func() {
		for _, f := range flows {
			f.fill()
		}
	})
	var before int64
	const settle = 2300 * time.Millisecond
	p.run(settle)
	for _, f := range flows {
		before -= f.goodput
	}
	p.run(settle + length)
	for _, f := range flows {
		before += f.goodput
	}
	return float64(before) * 8 / 1e6 / length.Seconds()
}
