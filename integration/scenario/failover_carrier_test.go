package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
)

// carrierAvoid is how long after a loss of carrier a new flow may still go to the dead link.
var carrierAvoid = paced(300 * time.Millisecond)

// TestCarrierLoss unplugs the fiber: the kernel tells of it, so that nobody has to wait for probes.
func TestCarrierLoss(t *testing.T) {
	h := newHouse(t, failoverPolicy, lossless)
	for n := range 3 {
		t.Run(fmt.Sprint(n+1), func(t *testing.T) {
			h := &house{House: h.House, t: t, api: h.api}
			steady(t, h.unplugged)
		})
	}
}

// unplugged takes the fiber's carrier away and says what new flows suffered from it.
func (h *house) unplugged() (wrong []string) {
	defer h.heal()
	flows := h.newFlows("laptop", 10*time.Millisecond)
	time.Sleep(paced(200 * time.Millisecond))
	died := time.Now()
	if err := h.Lab.Link("fiber").Cut(false); err != nil {
		h.t.Fatal(err)
	}
	time.Sleep(carrierAvoid + paced(700*time.Millisecond))
	var avoided time.Duration
	for _, a := range flows() {
		switch since := a.start.Sub(died); {
		case a.astray():
			avoided = max(avoided, since)
		case since > 0 && a.link != "wifi":
			wrong = append(wrong, fmt.Sprintf("%v after the loss of carrier a new flow took %s", since, a))
		}
	}
	h.t.Logf("new flows avoided the unplugged link from %v after the cut on", avoided)
	if avoided > carrierAvoid {
		wrong = append(wrong, fmt.Sprintf("a new flow went to the unplugged link %v after the cut, want at most %v", avoided, carrierAvoid))
	}
	return wrong
}

// atOnce bounds how long a program may wait for the error that no link is left: far below any timeout of its own (a SYN is
// repeated after one second), with room for a busy machine.
var atOnce = paced(900 * time.Millisecond)

// TestListsAndLinksDead takes first a rule's whole list of links away, then all links.
func TestListsAndLinksDead(t *testing.T) {
	h := newHouse(t, failoverPolicy, lossless)
	cut := func(links ...string) {
		t.Helper()
		for _, l := range links {
			if err := h.Lab.Link(l).Cut(true); err != nil {
				t.Fatal(err)
			}
		}
		h.eventually(fmt.Sprint(links, " out of use"), func() bool { return h.usable(false, links...) })
	}
	// The verdict on a link is followed by a plan, within milliseconds; a flow that is too early is tried again.
	settles := func(what string, good func(attempt) bool) {
		t.Helper()
		h.eventually(what, func() bool { return good(h.newFlow(t.Context(), "laptop", plainServer)) })
	}

	cut("fiber", "wifi")
	settles("the laptop is lent the mobile link", func(a attempt) bool { return !a.astray() && a.link == "lte" })
	for range 5 {
		if a := h.newFlow(t.Context(), "laptop", plainServer); a.astray() || a.link != "lte" {
			t.Errorf("with both links of its list dead the laptop's flow went: %s; want lte", a)
		}
	}
	guest := h.ticks("laptop", 50, backupLeft+2*time.Second)
	h.eventually("a guest on lte", func() bool { return h.guests("lte") > 0 })
	healed := time.Now()
	if err := h.Lab.Link("wifi").Heal(); err != nil {
		t.Fatal(err)
	}
	h.eventually("no guest on lte", func() bool { return h.guests("lte") == 0 })
	if left := time.Since(healed); left > backupLeft {
		t.Errorf("the guest left lte %v after one of its own links was healed, want at most %v", left, backupLeft)
	} else {
		t.Logf("the guest left lte %v after one of its own links was healed", left)
	}

	if r, err := guest(); err != nil {
		t.Errorf("the guest: %v", err)
	} else if got, want := h.linksOf(r), []string{"lte", "wifi"}; !slices.Equal(got, want) {
		t.Errorf("the guest went over %v, want %v", got, want)
	}

	cut("wifi", "lte")
	settles("the laptop's flows are refused", func(a attempt) bool { return a.err != nil && a.dial < atOnce })
	for _, c := range []struct {
		what string
		to   netip.Addr
		net  string
	}{
		{"TCP over IPv4", plainServer, "tcp"},
		{"TCP over IPv6", plainServer6, "tcp"},
		{"UDP over IPv4", plainServer, "udp"},
		{"UDP over IPv6", plainServer6, "udp"},
	} {
		start := time.Now()
		_, err := h.Agent("laptop").Connect(t.Context(), client.Connect{
			Target:  client.Target{Host: c.to.String(), Addr: c.to, Port: 7},
			Network: c.net, Send: "anyone?", Timeout: paced(5 * time.Second), Wait: paced(5 * time.Second),
		})
		if took := time.Since(start); client.CauseOf(err) != client.Unreachable && client.CauseOf(err) != client.Refused || took > atOnce {
			t.Errorf("%s with all links dead: %v after %v, want an error at once", c.what, err, took)
		}
	}
	if s := h.status(); s == nil || len(s.Warnings) < 3 {
		t.Errorf("the status with all links dead is %+v, want a warning for each", s)
	}
	h.heal()
	settles("the laptop's flows reach the fiber again", func(a attempt) bool { return !a.astray() && a.link == "fiber" })
	ctx, cancel := context.WithTimeout(t.Context(), paced(time.Minute))
	defer cancel()
	if _, err := h.Agent("laptop").HTTP(ctx, client.HTTP{Target: client.Target{Host: "www.ing.de"}, Retries: 20}, nil); err != nil {
		t.Errorf("a page by name after all links were dead: %v", err)
	}
}
