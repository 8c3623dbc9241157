package scenario

import (
	"fmt"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// TestClassChangesLoseNothing: a flow changes class a hundred times by changes of the policy, while the link is full of others' traffic,
// and no packet of it is lost.
func TestClassChangesLoseNothing(t *testing.T) {
	const changes = 100
	rule := func(n int) string {
		return overFiber(fmt.Sprintf("  - {id: phone-sure, force: must, who: {devices: [phone]}, qos: {guarantee: {down: 5mbit, up: 2mbit}}}\n"+
			"  - {id: loop, force: must, who: {devices: [phone]}, what: {services: [udp/1-65535]}, qos: {%s}}\n", []string{
			"class: realtime", "class: bulk", "guarantee: {down: 2mbit, up: 1mbit}", "class: interactive, priority: 2",
		}[n%4]))
	}
	h := newHouse(t, rule(0), fullLink("fixed"))
	h.fairTCP(t)
	steady(t, func() []string {
		var wrong []string
		h.bulk(t, wire.Up, map[string]int{"laptop": 2, "tv": 2, "console": 2}, func() {
			loop := h.ticks("phone", 200, paced(60*time.Second))
			seen := map[string]bool{}
			began := time.Now()
			for n := range changes {
				h.apply(t, rule(n+1))
				if n%10 == 9 {
					time.Sleep(paced(time.Second))
					for class := range h.busyClasses(t, "phone") {
						seen[class] = true
					}
				}
			}
			t.Logf("%d policies took %v; the flow was seen in %v", changes, time.Since(began), seen)
			if len(seen) < 2 {
				wrong = append(wrong, fmt.Sprintf("the flow did not change class: it was seen in %v", seen))
			}
			r, err := loop()
			wrong = append(wrong, h.lossOf(r, err, "fiber", 0)...)
		})
		return wrong
	})
}

// busyClasses are the classes of a device on the fiber that carried something in the last second.
func (h *house) busyClasses(t *testing.T, device string) map[string]bool {
	t.Helper()
	r, err := h.api.GetQoSWithResponse(t.Context())
	if err != nil || r.JSON200 == nil {
		t.Fatalf("asking for the classes: %v", err)
	}
	out := map[string]bool{}
	for _, l := range r.JSON200.Links {
		for _, c := range l.Classes {
			if l.Name == "fiber" && c.Device == device && c.Up.Rate > 0 {
				out[c.Class] = true
			}
		}
	}
	return out
}
