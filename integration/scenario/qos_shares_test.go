package scenario

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/emulator"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// overFiber lets everything take the fiber, with more rules.
func overFiber(rules string) string {
	return people + "\nhouse:\n  - {id: all-fiber, force: must, steer: {mode: fixed, use: [fiber]}}\n" + rules
}

// share is what the classes of a device carried on the fiber in a direction, in Mbit/s, what they were promised for sure and had at most, and
// in how many of the seconds something waited in them: only then is the router what holds the device back.
type share struct {
	rate, promised, most float64
	waited               int
}

// short tells whether the router gave a device less than a rate. What its senders do not send, because a flood fills the link before it
// reaches the router or because the machine is busy, the router does not take from it; but less than half would be no promise at all.
func (s share) short(of float64, seconds int) bool {
	return s.waited >= seconds && s.rate < 0.85*of || s.rate < 0.4*of
}

// shares averages what each device's classes carried on the fiber over some seconds, as the router tells, and compares the sum with what the
// link saw.
func (h *house) shares(t *testing.T, way wire.Direction, seconds int) map[string]share {
	t.Helper()
	direction := emulator.Down
	if way == wire.Up {
		direction = emulator.Up
	}
	out := map[string]share{}
	began, before := time.Now(), h.Lab.Link("fiber").Counters(direction)
	for range seconds {
		time.Sleep(time.Second)
		r, err := h.api.GetQoSWithResponse(t.Context())
		if err != nil || r.JSON200 == nil {
			t.Fatalf("asking for the classes: %v", err)
		}
		for _, l := range r.JSON200.Links {
			for _, c := range l.Classes {
				if l.Name != "fiber" {
					continue
				}
				w := c.Down
				if way == wire.Up {
					w = c.Up
				}
				s := out[c.Device]
				out[c.Device] = share{s.rate + float64(w.Rate)/1e6/float64(seconds), s.promised + float64(w.Promised)/1e6/float64(seconds), max(s.most, float64(w.Most)/1e6), s.waited}
				if w.Waiting > 0 {
					s = out[c.Device]
					s.waited++
					out[c.Device] = s
				}
			}
		}
	}
	after := h.Lab.Link("fiber").Counters(direction)
	saw := float64(after.DeliveredBytes-before.DeliveredBytes) * 8 / 1e6 / time.Since(began).Seconds()
	sum := 0.0
	for _, s := range out {
		sum += s.rate
	}
	t.Logf("%s: classes carried %.2f Mbit/s together, the link saw %.2f and dropped %d frames of its full queue: %v", way, sum, saw, after.Overflowed-before.Overflowed, out)
	// What a full class drops of a download has passed the link before.
	if sum > 1.05*saw || sum < 0.8*saw {
		t.Errorf("%s: the router tells of %.2f Mbit/s and the link saw %.2f", way, sum, saw)
	}
	return out
}

// bulk lets hosts move as much as they can, each over a number of flows, while f runs. It returns what each received, in Mbit/s of payload;
// nothing for uploads.
func (h *house) bulk(t *testing.T, way wire.Direction, flows map[string]int, f func()) map[string]float64 {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var wg sync.WaitGroup
	moved := map[string]int64{}
	for host, n := range flows {
		for range n {
			wg.Go(func() {
				var last int64
				_, err := h.Agent(host).Transfer(ctx, client.Transfer{Target: client.Target{Host: plainServer.String()},
					Order: wire.Order{Direction: way, Duration: 5 * time.Minute}, Timeout: 2 * time.Minute}, func(m client.Moved) {
					mu.Lock()
					defer mu.Unlock()
					moved[host] += m.Bytes - last
					last = m.Bytes
				})
				if err != nil && ctx.Err() == nil {
					t.Errorf("a transfer of %s: %v", host, err)
				}
			})
		}
	}
	time.Sleep(paced(6 * time.Second)) // queues fill, and classes come to stand
	mu.Lock()
	clear(moved)
	mu.Unlock()
	began := time.Now()
	f()
	mu.Lock()
	out := map[string]float64{}
	for host, bytes := range moved {
		if way == wire.Down {
			out[host] = float64(bytes) * 8 / 1e6 / time.Since(began).Seconds()
		}
	}
	mu.Unlock()
	stop()
	wg.Wait()
	time.Sleep(paced(time.Second)) // what is in the queues drains
	return out
}

// apply puts a policy in force.
func (h *house) apply(t *testing.T, policy string) {
	t.Helper()
	if r, err := h.put(policy); err != nil || r.JSON200 == nil {
		t.Fatalf("the policy is refused: %v %s", err, body(r))
	}
}

// jain is Jain's index of fairness: 1 when all have the same, 1/n when one has all.
func jain(rates []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, r := range rates {
		sum, squares = sum+r, squares+r*r
	}
	return sum * sum / float64(len(rates)) / squares
}

// TestGuaranteesAndCaps: on a link of 50/10 Mbit/s that is full of everything, each device gets what it is promised, none more than its cap,
// and all others the same. The bounds are wider than what PERFORMANCE.md promises, for machines that stand still now and then.
func TestGuaranteesAndCaps(t *testing.T) {
	h := newHouse(t, overFiber(""), fullLink("fixed"))
	h.fairTCP(t)
	const seconds = 8

	t.Run("guarantees", func(t *testing.T) {
		// All that guarantees may use of 45 and 9.5 Mbit/s: nobody can borrow.
		h.apply(t, overFiber(`  - {id: laptop-sure, force: must, who: {devices: [laptop]}, qos: {guarantee: {down: 20mbit, up: 4500kbit}}}
  - {id: tv-sure, force: must, who: {devices: [tv]}, qos: {guarantee: {down: 14mbit, up: 3mbit}}}
  - {id: console-sure, force: must, who: {devices: [console]}, qos: {guarantee: {down: 10500kbit, up: 1900kbit}}}
`))
		for way, want := range map[wire.Direction]map[string]float64{
			wire.Down: {"laptop": 20, "tv": 14, "console": 10.5},
			wire.Up:   {"laptop": 4.5, "tv": 3, "console": 1.9},
		} {
			h.bulk(t, way, map[string]int{"laptop": 2, "tv": 4, "console": 4}, func() {
				got := h.shares(t, way, seconds)
				for device, sure := range want {
					sure = load(sure)
					t.Logf("%s %s: %.2f of %.2f Mbit/s, %+.1f %%", way, device, got[device].rate, sure, 100*(got[device].rate/sure-1))
					if got[device].short(sure, seconds) {
						t.Errorf("%s %s has %.2f of %.2f Mbit/s that it is promised", way, device, got[device].rate, sure)
					}
				}
			})
		}
	})
	t.Run("caps", func(t *testing.T) {
		h.apply(t, overFiber(`  - {id: laptop-cap, force: must, who: {devices: [laptop]}, qos: {cap: {down: 8mbit, up: 2mbit}}}
`))
		for way, most := range map[wire.Direction]float64{wire.Down: 8, wire.Up: 2} {
			h.bulk(t, way, map[string]int{"laptop": 4}, func() {
				got := h.shares(t, way, seconds)["laptop"]
				t.Logf("%s: %.3f of at most %.3f Mbit/s, %+.2f %%", way, got.rate, most, 100*(got.rate/most-1))
				if got.rate > 1.01*most {
					t.Errorf("%s: %.3f Mbit/s with a cap of %.3f", way, got.rate, most)
				}
				if got.rate < 0.5*most {
					t.Errorf("%s: %.3f Mbit/s only: the cap of %.3f is not what holds it", way, got.rate, most)
				}
			})
		}
	})
	t.Run("equals", func(t *testing.T) {
		h.apply(t, overFiber(""))
		for _, way := range []wire.Direction{wire.Down, wire.Up} {
			var classes, received []float64
			payload := h.bulk(t, way, map[string]int{"laptop": 1, "tv": 2, "console": 4, "camera": 8}, func() {
				for device, s := range h.shares(t, way, seconds) {
					if slices.Contains([]string{"laptop", "tv", "console", "camera"}, device) {
						classes = append(classes, s.rate)
					}
				}
			})
			for _, r := range payload {
				received = append(received, r)
			}
			if len(classes) != 4 {
				t.Fatalf("%d of 4 devices have classes", len(classes))
			}
			text := fmt.Sprintf("%s: Jain's index of four devices with 1, 2, 4 and 8 flows is %.4f", way, jain(classes))
			if len(received) > 0 {
				text += fmt.Sprintf(", of what they received %.4f", jain(received))
			}
			t.Log(text)
			if jain(classes) < 0.9 {
				t.Errorf("%s: the devices got %.2f Mbit/s", way, classes)
			}
		}
	})
	t.Run("flood", func(t *testing.T) {
		h.apply(t, overFiber(`  - {id: phone-sure, force: must, who: {devices: [phone]}, qos: {guarantee: {down: 20mbit, up: 4mbit}, cap: {down: 20mbit, up: 4mbit}}}
  - {id: last, force: must, who: {devices: [laptop]}, qos: {priority: 7}}
`))
		for _, way := range []wire.Direction{wire.Down, wire.Up} {
			var alone, beside share
			h.bulk(t, way, map[string]int{"phone": 4}, func() { alone = h.shares(t, way, seconds)["phone"] })
			h.bulk(t, way, map[string]int{"phone": 4, "laptop": 200}, func() { beside = h.shares(t, way, seconds)["phone"] })
			t.Logf("%s: the phone has %.2f Mbit/s alone and %.2f beside 200 flows of lower priority; something of it waited in %d of %d seconds",
				way, alone.rate, beside.rate, beside.waited, seconds)
			if beside.short(alone.rate, seconds) {
				t.Errorf("%s: 200 flows of lower priority take %.2f of %.2f Mbit/s from a guarantee", way, alone.rate-beside.rate, alone.rate)
			}
		}
	})
}
