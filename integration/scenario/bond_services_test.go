package scenario

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/emulator"
	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/router/relay"
)

// laptopBy is bondPolicy with more said of the laptop's flows.
func laptopBy(t *testing.T, delivery, class string) string {
	t.Helper()
	const plain = "use: [bond]}}"
	if !strings.Contains(bondPolicy, plain) {
		t.Fatal("the laptop's rule is another one now")
	}
	return strings.Replace(bondPolicy, plain, fmt.Sprintf("use: [bond], delivery: %s}, qos: {class: %s}}", delivery, class), 1)
}

// sentByRelay is how many packets the relay has sent to the house, by how it carried them.
func (h *house) sentByRelay(c *relay.Config) (s tunnel.Status) {
	h.t.Helper()
	var all relay.Status
	if err := relay.Ask(h.t.Context(), c, "/status", nil, &all); err != nil {
		h.t.Fatal(err)
	}
	for _, r := range all.Routers {
		s = r.Bond
	}
	return s
}

// services tries what a rule says of a flow over the bond: the relay answers it in its delivery and class, and in no other.
func (h *house) services(config string) {
	c, err := relay.Load(config)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, tt := range []struct{ delivery, class string }{{"latency", "realtime"}, {"saver", "background"}, {"speed", "interactive"}} {
		h.setPolicy(h.t, laptopBy(h.t, tt.delivery, tt.class))
		h.eventually(fmt.Sprintf("answers in delivery %s and class %s", tt.delivery, tt.class), func() bool {
			before := h.sentByRelay(&c)
			got, err := h.Agent("laptop").Ticks(h.t.Context(), client.Ticks{
				Target: client.Target{Host: plainServer.String(), Addr: plainServer}, Rate: load(100), Count: 100, Grace: paced(time.Second),
			}, nil)
			if err != nil || got.Received == 0 {
				return false
			}
			after := h.sentByRelay(&c)
			return after.Deliveries[tt.delivery]-before.Deliveries[tt.delivery] >= got.Received && after.Classes[tt.class]-before.Classes[tt.class] >= got.Received
		})
	}
}

// partOf is which part of a sparse flow over the bond a link carries, both ways, with all that the bond adds.
func (h *house) partOf(link string) float64 {
	h.t.Helper()
	carried := func() map[string]float64 {
		out := map[string]float64{}
		for _, l := range h.Lab.Links() {
			for _, way := range []emulator.Direction{emulator.Up, emulator.Down} {
				out[l.Name] += float64(h.Lab.Link(l.Name).Counters(way).DeliveredBytes)
			}
		}
		return out
	}
	before := carried()
	if _, err := h.Agent("laptop").Ticks(h.t.Context(), client.Ticks{
		Target: client.Target{Host: plainServer.String(), Addr: plainServer}, Rate: load(150), Size: 600, Duration: paced(3 * time.Second),
	}, nil); err != nil {
		h.t.Fatal(err)
	}
	sum, after := 0.0, carried()
	for name := range after {
		after[name] -= before[name]
		sum += after[name]
	}
	h.t.Logf("bytes by link: %v", after)
	return after[link] / sum
}

// saver makes the link on which bytes cost the quickest one. Flows take it then, but for those of delivery saver, which take it when nothing else is left.
func (h *house) saver(server netip.Addr) {
	defer h.healAll()
	lte := h.Lab.Link("lte")
	was := lte.Params()
	p := was
	p.Up.Delay, p.Down.Delay = time.Millisecond, time.Millisecond
	if err := lte.Set(p); err != nil {
		h.t.Fatal(err)
	}
	defer func() {
		if err := lte.Set(was); err != nil {
			h.t.Error(err)
		}
	}()
	h.setPolicy(h.t, laptopBy(h.t, "speed", "web"))
	h.eventually("a flow takes the quickest link", func() bool { return h.partOf("lte") > 0.5 })
	h.setPolicy(h.t, laptopBy(h.t, "saver", "web"))
	h.eventually("a flow spares the link on which bytes cost", func() bool { return h.partOf("lte") < 0.2 })
	for _, link := range []string{"fiber", "wifi"} {
		if err := h.Lab.Link(link).Cut(true); err != nil {
			h.t.Fatal(err)
		}
	}
	h.eventually("a new flow over the link on which bytes cost", func() bool {
		seen, err := h.seenFrom("laptop")
		return err == nil && seen == server
	})
}
