package scenario

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab"
	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/home"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// priorityPolicy lets the phone be served before all others, over the fiber that all use.
const priorityPolicy = people + `
house:
  - {id: all-fiber, force: must, steer: {mode: fixed, use: [fiber]}}
  - {id: phone-first, force: must, who: {devices: [phone]}, qos: {priority: 0, guarantee: {down: 5mbit, up: 2mbit}}}
`

// fullLink makes the fiber a 50/10 Mbit/s link with a dumb megabyte of buffer each way, shaped or not.
func fullLink(shape string) func(*home.Options) {
	return func(o *home.Options) {
		lossless(o)
		for i := range o.Lab.Links {
			l := &o.Lab.Links[i]
			if l.Name != "fiber" {
				continue
			}
			l.Params.Up.Rate, l.Params.Down.Rate = int64(load(10e6)), int64(load(50e6))
			l.Params.Up.Queue, l.Params.Down.Queue = fillTime(l.Params.Up.Rate), fillTime(l.Params.Down.Rate)
			l.Router = append(l.Router, "shape: {mode: "+shape+"}")
		}
	}
}

// fillTime is how long a megabyte takes to leave.
func fillTime(rate int64) time.Duration {
	return time.Duration(8e6 / float64(rate) * float64(time.Second))
}

// loadDelays are the phone's delays while the others do nothing, send, and receive.
type loadDelays struct{ idle, up, down client.Pinged }

func (d loadDelays) String() string {
	s := func(p client.Pinged) string {
		return fmt.Sprintf("p50 %.1f p99 %.1f ms, lost %d of %d", p.RTT.P50.Seconds()*1e3, p.RTT.P99.Seconds()*1e3, p.Sent-p.Received, p.Sent)
	}
	return fmt.Sprintf("idle %s; upload %s; download %s", s(d.idle), s(d.up), s(d.down))
}

// fairTCP lets all hosts and servers use a congestion control that fills every buffer, and that every kernel lets a namespace choose.
func (h *house) fairTCP(t *testing.T) {
	t.Helper()
	spaces := []*netlab.Namespace{h.Lab.Internet()}
	for _, host := range h.Lab.Hosts() {
		spaces = append(spaces, host.Namespace)
	}
	for _, n := range spaces {
		if err := n.Do(func() error {
			return os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte("reno"), 0o600)
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// phoneUnderLoad pings from the phone at 100 Hz while three hosts have two TCP flows each, first up and then down.
func (h *house) phoneUnderLoad(t *testing.T, length time.Duration) loadDelays {
	t.Helper()
	ping := func() client.Pinged {
		got, err := h.Agent("phone").Ping(t.Context(), client.Ping{Target: client.Target{Host: plainServer.String()},
			Count: int(length / (10 * time.Millisecond)), Interval: 10 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	loaded := func(way wire.Direction) client.Pinged {
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer stop()
		for _, host := range []string{"laptop", "tv", "console"} {
			for range 2 {
				wg.Go(func() {
					_, err := h.Agent(host).Transfer(ctx, client.Transfer{Target: client.Target{Host: plainServer.String()},
						Order: wire.Order{Direction: way, Duration: 5 * time.Minute}}, nil)
					if err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				})
			}
		}
		time.Sleep(paced(8 * time.Second)) // the buffers fill, and classes come to stand
		return ping()
	}
	d := loadDelays{idle: ping(), up: loaded(wire.Up)}
	time.Sleep(paced(2 * time.Second)) // what is in the buffers drains
	d.down = loaded(wire.Down)
	t.Log(d)
	return d
}

// TestPriorityUnderLoad: a device that goes first feels little of what others send over a full link; without shaping, which proves that
// this measures anything, it feels all of it. Medians are compared: the machine may be busy with other things.
func TestPriorityUnderLoad(t *testing.T) {
	const length = 5 * time.Second
	with := newHouse(t, priorityPolicy, fullLink("fixed"))
	with.fairTCP(t)
	shaped := with.phoneUnderLoad(t, length)
	out, err := with.api.GetQoSWithResponse(t.Context())
	if err != nil || out.JSON200 == nil {
		t.Fatalf("%v", err)
	}
	busy := map[string]bool{}
	for _, l := range out.JSON200.Links {
		for _, c := range l.Classes {
			busy[l.Name+" "+c.Device] = true
		}
	}
	for _, device := range []string{"phone", "laptop", "tv", "console"} {
		if !busy["fiber "+device] {
			t.Errorf("%s has no class of its own: %v", device, busy)
		}
	}
	t.Logf("the router's queues: %v", with.queues(t))
	if err := with.House.Close(); err != nil {
		t.Fatal(err)
	}
	without := newHouse(t, priorityPolicy, fullLink("off"))
	without.fairTCP(t)
	plain := without.phoneUnderLoad(t, length)
	for _, d := range []struct {
		name        string
		with, plain time.Duration
	}{
		{"upload", shaped.up.RTT.P50 - shaped.idle.RTT.P50, plain.up.RTT.P50 - plain.idle.RTT.P50},
		{"download", shaped.down.RTT.P50 - shaped.idle.RTT.P50, plain.down.RTT.P50 - plain.idle.RTT.P50},
	} {
		t.Logf("%s adds %v with shaping and %v without", d.name, d.with, d.plain)
		if d.plain < 20*time.Millisecond {
			t.Errorf("without shaping, %s adds only %v: the test measures nothing", d.name, d.plain)
		}
		if d.with > d.plain/3 {
			t.Errorf("%s adds %v to the phone's delay with shaping and %v without: want at most a third", d.name, d.with, d.plain)
		}
	}
}

// queues counts the router's queueing disciplines by kind: the kernel decides what a class's packets wait in.
func (h *house) queues(t *testing.T) map[string]int {
	t.Helper()
	text, err := h.Lab.Router().Command(t.Context(), "tc", "qdisc", "show").Output()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 {
			out[words[1]]++
		}
	}
	return out
}
