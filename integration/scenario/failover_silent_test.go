package scenario

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/emulator"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// failoverPolicy gives each device its own order of links: the laptop and the console suffer when the fiber dies, the phone and
// the tv do not use it.
const failoverPolicy = `
devices:
  - {id: laptop, name: Laptop, macs: ["3c:58:c2:00:77:01"]}
  - {id: phone, name: Phone, macs: ["a4:83:e7:00:77:02"]}
  - {id: tv, name: TV, macs: ["8c:79:f5:00:77:03"]}
  - {id: console, name: Console, macs: ["00:d9:d1:00:77:04"]}
house:
  - {id: laptop, force: must, who: {devices: [laptop]}, steer: {use: [fiber, wifi]}}
  - {id: console, force: must, who: {devices: [console]}, steer: {use: [fiber, lte]}}
  - {id: phone, force: must, who: {devices: [phone]}, steer: {use: [wifi, fiber]}}
  - {id: tv, force: must, who: {devices: [tv]}, steer: {use: [lte, wifi]}}
`

// What the product promises about a link that dies without a sign, measured from the cut.
var (
	newFlowsAvoid = paced(3 * time.Second)
	retryServed   = paced(4 * time.Second)
	backupLeft    = paced(5 * time.Second) // from the healing of the link
)

// TestSilentBlackhole cuts the fiber under load, in three ways that no carrier tells of: both directions, and each alone.
func TestSilentBlackhole(t *testing.T) {
	h := newHouse(t, failoverPolicy, lossless)
	fiber := h.Lab.Link("fiber")
	// The fourth death of a link within five minutes makes the router mistrust it for longer, so there are three.
	for _, c := range []struct {
		name string
		cut  func() error
	}{
		{"both ways", func() error { return fiber.Cut(true) }},
		{"up", func() error { return fiber.Blackhole(emulator.Up, true) }},
		{"down", func() error { return fiber.Blackhole(emulator.Down, true) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &house{House: h.House, t: t, api: h.api}
			steady(t, func() []string { return h.silentDeath(c.cut) })
		})
	}
}

// silentDeath cuts the fiber, heals it some seconds later, and says which promise was broken.
func (h *house) silentDeath(cut func() error) (wrong []string) {
	defer h.heal()
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	before, dead, after := time.Second, 2*newFlowsAvoid, backupLeft+time.Second
	phone := h.ticks("phone", 200, before+dead+after)
	tv := h.ticks("tv", 200, before+dead+after)
	game := h.ticks("console", 60, before+dead+after)
	// The load: a download that fills a good part of the link.
	busy := async(func() (client.Transferred, error) {
		return h.Agent("laptop").Transfer(h.t.Context(), client.Transfer{
			Target: client.Target{Host: plainServer.String(), Addr: plainServer}, Timeout: paced(3 * time.Second),
			Order: wire.Order{Direction: wire.Down, Duration: before + dead, Rate: int64(load(30e6))},
		}, nil)
	})
	time.Sleep(before)

	flows := h.newFlows("laptop", 50*time.Millisecond)
	died := time.Now()
	if err := cut(); err != nil {
		h.t.Fatal(err)
	}
	patient := async(func() (client.HTTPAnswer, error) {
		return h.Agent("laptop").HTTP(h.t.Context(), client.HTTP{
			Target: client.Target{Host: "www.ing.de", Addr: plainServer, Port: 80}, Plain: true,
			Timeout: paced(time.Second), Retries: 20, RetryDelay: 100 * time.Millisecond,
		}, nil)
	})
	switch a, err := patient(); {
	case err != nil:
		fail("the client that tries again: %v", err)
	default:
		served := a.Seen.Time.Sub(died)
		h.t.Logf("a client that tries again was served over %s %v after the cut", h.linkOf(a.Seen.Remote.Addr()), served)
		if link := h.linkOf(a.Seen.Remote.Addr()); served > retryServed || link != "wifi" {
			fail("the client that tries again was served %v after the cut over %q, want %v and wifi", served, link, retryServed)
		}
	}
	time.Sleep(time.Until(died.Add(newFlowsAvoid + time.Second)))
	var avoided time.Duration
	for _, a := range flows() {
		if a.astray() {
			avoided = a.start.Sub(died)
		} else if a.start.After(died) && a.link != "wifi" {
			fail("%v after the cut a new flow took %s", a.start.Sub(died), a)
		}
	}
	h.t.Logf("new flows avoided the dead link from %v after the cut on", avoided)
	if avoided > newFlowsAvoid {
		fail("a new flow went to the dead link %v after the cut, want at most %v", avoided, newFlowsAvoid)
	}
	_, _ = busy() // broken, or moved: it was there to make the link busy

	time.Sleep(time.Until(died.Add(dead)))
	if h.guests("lte") == 0 {
		fail("the console's loop is no guest on lte")
	}
	healed := time.Now()
	if err := h.Lab.Link("fiber").Heal(); err != nil {
		h.t.Fatal(err)
	}
	var left time.Duration
	for time.Since(healed) < after-500*time.Millisecond {
		if h.guests("lte") > 0 {
			left = time.Since(healed)
		}
		time.Sleep(50 * time.Millisecond)
	}
	h.t.Logf("the last guest left lte %v after the healing", left)
	if left > backupLeft {
		fail("a guest was on lte %v after the healing, want at most %v", left, backupLeft)
	}
	switch g, err := game(); {
	case err != nil:
		fail("the console's loop: %v", err)
	default:
		if got, want := h.linksOf(g), []string{"fiber", "lte", "fiber"}; !slices.Equal(got, want) {
			fail("the console's loop went over %v, want %v", got, want)
		} else if back := g.Sources[len(g.Sources)-1].At.Sub(healed); back > backupLeft {
			fail("the console's loop was back %v after the healing, want at most %v", back, backupLeft)
		}
	}
	for name, wait := range map[string]func() (client.Ticked, error){"wifi": phone, "lte": tv} {
		switch r, err := wait(); {
		case err != nil:
			fail("the bystander on %s: %v", name, err)
		case r.Lost > 0 || !slices.Equal(h.linksOf(r), []string{name}):
			fail("the bystander on %s lost %d of %d datagrams (longest gap %v) and went over %v", name, r.Lost, r.Sent, r.MaxGap.Length, h.linksOf(r))
		}
	}
	return wrong
}
