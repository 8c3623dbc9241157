package emulator

import (
	"math/bits"
	"math/rand/v2"
	"time"
)

// maxFrames bounds the frames that wait in one stage of a pipe, whatever the
// settings say: an unlimited rate into a delay of seconds must not eat the
// memory. It is above 100 Mbit/s of full frames for 7 s.
const maxFrames = 1 << 16

// Pipe is one direction of a link on a virtual clock. Times are durations since
// any fixed moment and must not go backwards between calls. It is not safe for
// concurrent use.
type Pipe struct {
	set   Settings
	blind bool // everything vanishes
	rng   *rand.Rand

	queue   fifo[[]byte]  // waiting; the front one is being sent
	backlog uint64        // bits in queue, the front frame's counted whole
	sent    time.Duration // when the front frame's last bit leaves; valid if queue is not empty

	line fifo[flight] // on their way, in order of due
	last time.Duration

	count Counters
}

// flight is a frame on its way and the time of its arrival.
type flight struct {
	frame []byte
	due   time.Duration
}

// NewPipe returns a pipe with these settings, whose losses and jitter follow
// from seed alone.
func NewPipe(s Settings, seed uint64) *Pipe {
	return &Pipe{set: s, rng: rand.New(rand.NewPCG(seed, 0x7472656e7a61))}
}

// Push hands a frame to the pipe at time now. If it returns true the pipe keeps
// the slice until Pop returns it; if false the frame is gone (full queue or
// blackhole) and the slice remains the caller's.
func (p *Pipe) Push(now time.Duration, frame []byte) bool {
	p.advance(now)
	if p.blind {
		p.enter(frame)
		p.count.Cut++
		return false
	}
	if p.wait(now) > p.set.Queue || p.queue.len() >= maxFrames || p.line.len() >= maxFrames {
		p.count.Overflowed++
		return false
	}
	p.enter(frame)
	p.queue.push(frame)
	p.backlog += bitsOf(frame)
	if p.queue.len() == 1 {
		p.sent = now + p.airtime(bitsOf(frame))
	}
	return true
}

// Pop returns the next frame that has arrived at time now, or false.
func (p *Pipe) Pop(now time.Duration) ([]byte, bool) {
	p.advance(now)
	if p.line.len() == 0 || p.line.front().due > now {
		return nil, false
	}
	f := p.line.pop().frame
	p.count.Delivered++
	p.count.DeliveredBytes += uint64(len(f))
	return f, true
}

// Next returns a time before which Pop has nothing to return, unless frames or
// settings change; false if the pipe is empty.
func (p *Pipe) Next() (time.Duration, bool) {
	switch {
	case p.line.len() > 0:
		return p.line.front().due, true
	case p.queue.len() > 0:
		return max(p.sent+p.set.Delay, p.last), true
	}
	return 0, false
}

// Set changes the settings at time now. Frames already on the line keep their
// time of arrival; the rest of the queue, and of the frame that is being sent,
// goes on at the new rate.
func (p *Pipe) Set(now time.Duration, s Settings) {
	p.advance(now)
	if p.queue.len() > 0 && s.Rate != p.set.Rate {
		rest := bitsIn(p.sent-now, p.set.Rate)
		p.set = s
		p.sent = now + p.airtime(rest)
	}
	p.set = s
}

// Blackhole makes the pipe swallow everything, the frames on their way
// included, or ends that.
func (p *Pipe) Blackhole(now time.Duration, on bool) {
	p.advance(now)
	if p.blind = on; !on {
		return
	}
	p.count.Cut += uint64(p.queue.len() + p.line.len())
	p.queue, p.line = fifo[[]byte]{}, fifo[flight]{}
	p.backlog, p.last = 0, 0
}

// Counters returns the counts so far.
func (p *Pipe) Counters() Counters { return p.count }

// enter counts a frame that came in.
func (p *Pipe) enter(frame []byte) {
	p.count.Sent++
	p.count.SentBytes += uint64(len(frame))
}

// advance moves the frames whose last bit has been sent by now to the line.
func (p *Pipe) advance(now time.Duration) {
	for p.queue.len() > 0 && p.sent <= now {
		f := p.queue.pop()
		p.backlog -= bitsOf(f)
		p.launch(f, p.sent)
		if p.queue.len() > 0 {
			p.sent += p.airtime(bitsOf(p.queue.front()))
		}
	}
}

// launch puts a frame that was sent at time at on the line, or loses it.
func (p *Pipe) launch(frame []byte, at time.Duration) {
	if p.set.Loss > 0 && p.rng.Float64() < p.set.Loss {
		p.count.Lost++
		return
	}
	due := at + p.set.Delay
	if p.set.Jitter > 0 {
		due += time.Duration(p.rng.Int64N(int64(p.set.Jitter)))
	}
	p.last = max(p.last, due)
	p.line.push(flight{frame, p.last})
}

// wait returns how long a frame that enters now waits until its first bit.
func (p *Pipe) wait(now time.Duration) time.Duration {
	if p.queue.len() == 0 {
		return 0
	}
	return p.sent - now + p.airtime(p.backlog-bitsOf(p.queue.front()))
}

// airtime returns the time that n bits take at the present rate.
func (p *Pipe) airtime(n uint64) time.Duration {
	if p.set.Rate == 0 {
		return 0
	}
	hi, lo := bits.Mul64(n, uint64(time.Second))
	d, _ := bits.Div64(hi, lo, uint64(p.set.Rate)) // cannot overflow: maxFrames bounds n below 2^31, so hi is 0
	return time.Duration(d)
}

// bitsIn returns how many bits a rate sends in d; 0 for an unlimited rate.
func bitsIn(d time.Duration, rate int64) uint64 {
	hi, lo := bits.Mul64(uint64(d), uint64(rate))
	n, _ := bits.Div64(hi, lo, uint64(time.Second)) // cannot overflow: d is at most one frame at MinRate
	return n
}

func bitsOf(frame []byte) uint64 { return 8 * uint64(len(frame)) }
