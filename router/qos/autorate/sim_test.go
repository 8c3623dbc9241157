package autorate

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/trenza-router/trenza/router/qos"
)

// controller is what the simulation tries: the law, or the model of another.
type controller interface {
	step(now time.Time, r Reading) Rate
}

// world is a bottleneck of changing rate with a buffer, in steps of a millisecond of virtual time. Its sender always has more to send
// and is held back by the shaper alone: before the bottleneck on the way up; behind it, an RTT later, on the way down.
type world struct {
	direction qos.Direction
	capacity  func(at time.Duration) Rate
	buffer    float64                                                // bytes
	base      time.Duration                                          // RTT without a queue
	extra     func(at time.Duration) time.Duration                   // of probes, unrelated to the queue; may be nil
	answers   func(at time.Duration, reflector int) bool             // whether one does; may be nil
	demand    func(at time.Duration) Rate                            // what is sent at most; may be nil
	probe     time.Duration                                          // between probes, 50 ms
	watch     func(at time.Duration, rate Rate, delay time.Duration) // may be nil
}

// outcome is what a simulation measured, at the bottleneck.
type outcome struct {
	use           float64 // delivered, of what the link could have carried
	p50, p95, p99 time.Duration
	lost          float64 // of what was sent
	least         Rate    // rate that was asked for
}

const (
	step       = time.Millisecond
	warmUp     = 5 * time.Second
	reflectors = 6
)

func start() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }

type probe struct {
	sent      time.Duration
	position  float64 // of the byte before it in the queue
	reflector int
	extra     time.Duration
}

type arrival struct {
	at       time.Duration
	position float64
}

func (w world) run(c controller, rate Rate, length time.Duration) outcome {
	if w.probe == 0 {
		w.probe = 50 * time.Millisecond
	}
	var in, out, could, used, lost, sent float64 // bytes since the beginning, or since the warm-up
	var queue []arrival
	var inFlight []probe
	type due struct {
		at time.Duration
		a  Answer
	}
	var coming []due
	past := make([]Rate, w.base/step+1) // rates of the last RTT, for senders that learn late
	o := outcome{least: rate}
	var delays []time.Duration
	var counted, reflected float64
	n := 0
	for at := time.Duration(0); at < length; at += step {
		tick := int(at / step)
		// The sender.
		pace := rate
		past[tick%len(past)] = rate
		if w.direction == qos.Down {
			pace = past[(tick+1)%len(past)]
			if at < w.base {
				pace = rate
			}
		}
		if w.demand != nil {
			pace = min(pace, w.demand(at))
		}
		bytes := float64(pace) / 8 * step.Seconds()
		if at >= warmUp {
			sent += bytes
		}
		if over := in - out + bytes - w.buffer; over > 0 {
			bytes -= min(over, bytes)
			if at >= warmUp {
				lost += min(over, bytes+over)
			}
		}
		in += bytes
		queue = append(queue, arrival{at, in})
		if at%w.probe == 0 {
			p := probe{sent: at, position: in, reflector: n % reflectors}
			if w.extra != nil {
				p.extra = w.extra(at)
			}
			if w.answers == nil || w.answers(at, p.reflector) {
				inFlight = append(inFlight, p)
			} else {
				coming = append(coming, due{at + time.Second, Answer{Reflector: p.reflector, Sent: start().Add(at), Lost: true}})
			}
			n++
		}
		// The bottleneck.
		can := float64(w.capacity(at)) / 8 * step.Seconds()
		gone := min(can, in-out)
		out += gone
		for len(queue) > 1 && queue[0].position <= out {
			queue = queue[1:]
		}
		delay := at - queue[0].at
		if at >= warmUp {
			could, used = could+can, used+gone
			delays = append(delays, delay)
		}
		for len(inFlight) > 0 && can > 0 && inFlight[0].position <= out+1e-6 {
			p := inFlight[0]
			inFlight = inFlight[1:]
			coming = append(coming, due{at + w.base + p.extra, Answer{Reflector: p.reflector, Sent: start().Add(p.sent), RTT: at + w.base + p.extra - p.sent}})
		}
		// The router.
		if w.direction == qos.Up {
			counted += bytes
		} else {
			counted += gone
		}
		if at%Tick != 0 || at == 0 {
			continue
		}
		r := Reading{Bytes: uint64(counted - reflected)}
		reflected += float64(r.Bytes)
		coming = slices.DeleteFunc(coming, func(d due) bool {
			if d.at > at {
				return false
			}
			r.Answers = append(r.Answers, d.a)
			return true
		})
		rate = c.step(start().Add(at), r)
		o.least = min(o.least, rate)
		if w.watch != nil {
			w.watch(at, rate, delay)
		}
	}
	slices.Sort(delays)
	at := func(q float64) time.Duration { return delays[int(q*float64(len(delays)-1))] }
	o.use, o.p50, o.p95, o.p99 = used/could, at(0.5), at(0.95), at(0.99)
	o.lost = lost / max(sent, 1)
	return o
}

// lte is a trace of a cellular link: every 100 ms its rate is another one between 2 and 40 Mbit/s. It wanders (by 12 % a step: a
// factor of 1.5 within a second), and now and then it jumps to between half and twice of what it was.
func lte(seed uint64, length time.Duration) func(time.Duration) Rate {
	random := rand.New(rand.NewPCG(seed, 1))
	const low, high = 2e6, 40e6
	rates := make([]Rate, length/(100*time.Millisecond)+1)
	r := low + random.Float64()*(high-low)
	for i := range rates {
		r *= math.Exp(random.NormFloat64() * 0.12)
		if random.IntN(50) == 0 {
			r *= math.Exp2(2*random.Float64() - 1)
		}
		// What would leave the range comes back into it.
		if r > high {
			r = high * high / r
		}
		if r < low {
			r = low * low / r
		}
		rates[i] = Rate(r)
	}
	return func(at time.Duration) Rate { return rates[at/(100*time.Millisecond)] }
}

// spikes are delays of 60 to 260 ms for 50 to 400 ms, every two seconds or so, that have nothing to do with load.
func spikes(seed uint64, length time.Duration) func(time.Duration) time.Duration {
	random := rand.New(rand.NewPCG(seed, 2))
	type spike struct{ from, to, by time.Duration }
	var all []spike
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for at := time.Duration(0); at < length; at += ms(500 + random.IntN(3000)) {
		all = append(all, spike{at, at + ms(50+random.IntN(350)), ms(60 + random.IntN(200))})
	}
	return func(at time.Duration) time.Duration {
		for _, s := range all {
			if at >= s.from && at < s.to {
				return s.by
			}
		}
		return 0
	}
}
