package scenario

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/emulator"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// setFiber gives the fiber other rates, in Mbit/s, and the megabyte of dumb buffer each way that fullLink gave it.
func (h *house) setFiber(t *testing.T, down, up float64) {
	t.Helper()
	l := h.Lab.Link("fiber")
	p := l.Params()
	p.Down.Rate, p.Up.Rate = int64(load(down*1e6)), int64(load(up*1e6))
	p.Down.Queue, p.Up.Queue = fillTime(p.Down.Rate), fillTime(p.Up.Rate)
	if err := l.Set(p); err != nil {
		t.Fatal(err)
	}
}

// shapedTo is what the router shapes the fiber to now, in Mbit/s, and what it says of it.
func (h *house) shapedTo(t *testing.T, way wire.Direction) (rate float64, state string) {
	t.Helper()
	r, err := h.api.GetQoSWithResponse(t.Context())
	if err != nil || r.JSON200 == nil {
		t.Fatalf("asking how the fiber is shaped: %v", err)
	}
	for _, l := range r.JSON200.Links {
		if l.Name == "fiber" {
			if rate = float64(l.ShapedDown) / 1e6; way == wire.Up {
				rate = float64(l.ShapedUp) / 1e6
			}
			return rate, l.State
		}
	}
	t.Fatal("nothing is told of the fiber")
	return 0, ""
}

// TestAutomaticRate: the rate of a link changes while it is full, and nobody tells the router. It finds out: the queue in the link's buffer
// stays short, the link stays in use, and the rate that the router shapes to follows.
func TestAutomaticRate(t *testing.T) {
	h := newHouse(t, priorityPolicy, fullLink("auto"))
	h.fairTCP(t)
	idle, err := h.Agent("phone").Ping(t.Context(), client.Ping{Target: client.Target{Host: plainServer.String()}, Count: 100, Interval: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	flows := map[string]int{"laptop": 2, "tv": 2, "console": 2}
	for _, way := range []wire.Direction{wire.Down, wire.Up} {
		h.setFiber(t, 50, 10)
		h.bulk(t, way, flows, func() {
			for _, step := range []struct{ down, up float64 }{{50, 10}, {20, 4}, {40, 8}} {
				there := step.down
				if way == wire.Up {
					there = step.up
				}
				steady(t, func() []string { return h.follows(t, way, step.down, step.up, load(there), idle.RTT.P50) })
			}
		})
	}
}

// follows gives the fiber other rates while it is full one way, where there are so many Mbit/s of them then, and tells in what the router did not
// follow.
func (h *house) follows(t *testing.T, way wire.Direction, down, up, there float64, idle time.Duration) (wrong []string) {
	t.Helper()
	direction := emulator.Down
	if way == wire.Up {
		direction = emulator.Up
	}
	h.setFiber(t, down, up)
	time.Sleep(paced(6 * time.Second)) // to find out; what stands in the buffer drains
	before, began := h.Lab.Link("fiber").Counters(direction).DeliveredBytes, time.Now()
	got, err := h.Agent("phone").Ping(t.Context(), client.Ping{Target: client.Target{Host: plainServer.String()}, Count: 300, Interval: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	used := float64(h.Lab.Link("fiber").Counters(direction).DeliveredBytes-before) * 8 / 1e6 / time.Since(began).Seconds()
	shaped, state := h.shapedTo(t, way)
	what := fmt.Sprintf("%s, a link of %.0f Mbit/s: shaped to %.1f (%s), %.2f of it used; the phone's delay is %v at the median, %v at the 95th percentile, idle %v; %d of %d pings lost",
		way, there, shaped, state, used/there, got.RTT.P50, got.RTT.P95, idle, got.Sent-got.Received, got.Sent)
	t.Log(what)
	full := time.Duration(8 / there * float64(time.Second))
	if strings.Contains(state, "says nothing") {
		wrong = append(wrong, "the delay is taken for meaningless: "+what)
	}
	if got.RTT.P50-idle > full/3 || used < 0.5*there || shaped > 1.3*there {
		wrong = append(wrong, fmt.Sprintf("the rate does not follow: %s; a full buffer is %v", what, full))
	}
	return wrong
}
