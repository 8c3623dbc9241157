package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/integration/netlab/client"
)

// restartPolicy sends the laptop over the fiber but for its bank, and the phone over the wifi.
const restartPolicy = `
devices:
  - {id: laptop, name: Laptop, macs: ["3c:58:c2:00:77:01"]}
  - {id: phone, name: Phone, macs: ["a4:83:e7:00:77:02"]}
  - {id: tv, name: TV, macs: ["8c:79:f5:00:77:03"]}
house:
  - {id: laptop, force: must, who: {devices: [laptop]}, steer: {use: [fiber, wifi]}}
  - {id: phone, force: must, who: {devices: [phone]}, steer: {use: [wifi, fiber]}}
  - {id: tv, force: must, who: {devices: [tv]}, what: {domains: [ing.de]}, steer: {use: [lte, wifi]}}
  - {id: tv-else, force: default, who: {devices: [tv]}, steer: {use: [wifi, fiber]}}
`

// mostLost is how many of 1000 datagrams a second may be lost when the daemon is killed.
const mostLost = 2

// TestKilledAndRestarted kills the daemon under load, starts it again, and then restarts it properly: traffic does not notice.
func TestKilledAndRestarted(t *testing.T) {
	h := newHouse(t, restartPolicy, lossless)
	h.resolve("tv", "www.ing.de")
	if wrong := strayed([]attempt{h.named()}, "lte"); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	steady(t, h.killAndRestart)
	for _, w := range strayed([]attempt{h.named()}, "lte") {
		t.Error("by its name, learned before the restarts,", w)
	}
}

// bank is the address of www.ing.de.
var bank = netip.MustParseAddr("198.51.100.70")

// resolve asks the router for a name, so that the host's flows to it are known by it.
func (h *house) resolve(host, name string) {
	h.t.Helper()
	for _, kind := range []string{"A", "AAAA"} {
		if _, err := h.Agent(host).Resolve(h.t.Context(), client.Resolve{Name: name, Type: kind}); err != nil {
			h.t.Fatal(err)
		}
	}
}

// named is a flow of the tv to the bank's address, without asking for its name.
func (h *house) named() attempt { return h.newFlow(h.t.Context(), "tv", bank) }

func (h *house) killAndRestart() (wrong []string) {
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	stream := h.download("laptop", 22*time.Second)
	flows := h.newFlows("laptop", 50*time.Millisecond)

	// The kill, with the daemon dead for three seconds.
	loop := h.ticks("phone", 1000, 8*time.Second)
	before, routing, names := h.calm(), h.routing(), h.learned()
	h.Router().Kill()
	time.Sleep(3 * time.Second)
	if diff := cmp.Diff(before, h.kernelState()); diff != "" {
		fail("the kill changed the kernel's state (-before +after):\n%s", diff)
	}
	for _, w := range strayed([]attempt{h.named()}, "lte") {
		fail("while no daemon runs: %s", w)
	}
	r, err := loop()
	wrong = append(wrong, h.lossOf(r, err, "wifi", mostLost)...)

	// The start after the kill, and a proper restart.
	loop = h.ticks("phone", 1000, 11*time.Second)
	deleted := h.deletions()
	started := time.Now()
	h.start()
	if diff := cmp.Diff(names, h.learned()); diff != "" {
		fail("the start changed the learned names (-before +after):\n%s", diff)
	}
	h.Router().Stop()
	h.start()
	h.t.Logf("two starts took %v", time.Since(started))
	for _, line := range deleted() {
		fail("a start took away what stood: %s", line)
	}
	if diff := cmp.Diff(routing, h.routing()); diff != "" {
		fail("the restarts changed the routing (-before +after):\n%s", diff)
	}
	r, err = loop()
	wrong = append(wrong, h.lossOf(r, err, "wifi", 0)...)
	all := flows()
	wrong = append(wrong, strayed(all, "fiber")...)
	h.t.Logf("%d new flows were made meanwhile", len(all))
	s, err := stream()
	return append(wrong, h.damageOf(s, err, "fiber")...)
}

// calm waits until the router has taken in what the load taught it, and returns its state in the kernel.
func (h *house) calm() string {
	h.t.Helper()
	state, since := h.kernelState(), time.Now()
	h.eventually("no new plans", func() bool {
		if now := h.kernelState(); now != state {
			state, since = now, time.Now()
		}
		return time.Since(since) > time.Second
	})
	return state
}

// start starts the daemon again.
func (h *house) start() {
	h.t.Helper()
	if err := h.StartRouter(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

// TestRestartWithDeadLink restarts the daemon while the fiber is silently dead. The new one has not seen the fiber die, and
// must not send anyone back there.
func TestRestartWithDeadLink(t *testing.T) {
	h := newHouse(t, restartPolicy, lossless)
	fiber := h.Lab.Link("fiber")
	if err := fiber.Cut(true); err != nil {
		t.Fatal(err)
	}
	h.eventually("fiber out of use", func() bool { return h.usable(false, "fiber") })
	h.eventually("flows take the wifi", func() bool {
		a := h.newFlow(t.Context(), "laptop", plainServer)
		return !a.astray() && a.link == "wifi"
	})
	steady(t, func() (wrong []string) {
		flows := h.newFlows("laptop", 50*time.Millisecond)
		guest := h.ticks("laptop", 100, 6*time.Second)
		h.Router().Stop()
		h.startWithout("fiber")
		r, err := guest()
		if wrong = append(wrong, strayed(flows(), "wifi")...); len(wrong) > 3 {
			wrong = append(wrong[:3], fmt.Sprintf("and %d more", len(wrong)-3))
		}
		return append(wrong, h.lossOf(r, err, "wifi", 0)...)
	})
	h.heal()
	h.eventually("flows take the fiber again", func() bool {
		a := h.newFlow(t.Context(), "laptop", plainServer)
		return !a.astray() && a.link == "fiber"
	})
}

// startWithout starts the daemon while a link is dead, which StartRouter would wait for.
func (h *house) startWithout(link string) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	started := async(func() (struct{}, error) { return struct{}{}, h.StartRouter(ctx) })
	var others []string
	for _, l := range h.Lab.Links() {
		if l.Name != link {
			others = append(others, l.Name)
		}
	}
	h.eventually("the daemon's answer", func() bool {
		s := h.status()
		return s != nil && s.Plan.Applied > 0 && h.usable(true, others...)
	})
	cancel()
	_, _ = started()
}
