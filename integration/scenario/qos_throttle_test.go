package scenario

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/home"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// TestThrottleInsteadOfCut: when a link's data is spent, a device whose rule says so goes on over it at the rule's rate, and others are refused.
func TestThrottleInsteadOfCut(t *testing.T) {
	const down, up = 2_000_000, 500_000
	h := newHouse(t, overFiber(`
  - {id: slow, force: bound, who: {devices: [phone]}, steer: {over_quota: true}, qos: {throttle: {down: 2mbit, up: 500kbit}}}
`), func(o *home.Options) {
		fullLink("fixed")(o)
		for i := range o.Lab.Links {
			if l := &o.Lab.Links[i]; l.Name == "fiber" {
				l.Router = append(l.Router, "quota: {limit: 10MB, reset_day: 1}")
			}
		}
	})
	if err := h.connects(t, "laptop"); err != nil {
		t.Fatalf("before the data is spent: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		for ctx.Err() == nil {
			// One that breaks off is begun again: what counts is that the phone goes on.
			_, _ = h.Agent("phone").Transfer(ctx, client.Transfer{Target: client.Target{Host: plainServer.String()},
				Order: wire.Order{Direction: wire.Down, Duration: 5 * time.Minute}, Timeout: 2 * time.Minute}, nil)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	var seen string
	for end := time.Now().Add(paced(2 * time.Minute)); ; time.Sleep(200 * time.Millisecond) {
		r, err := h.api.GetQoSWithResponse(t.Context())
		if err != nil || r.JSON200 == nil {
			t.Fatalf("asking for the classes: %v", err)
		}
		for _, l := range r.JSON200.Links {
			for _, c := range l.Classes {
				if l.Name != "fiber" || c.Device != "phone" || c.Class != "default" {
					continue
				}
				seen = fmt.Sprintf("may have %d down and %d up, and has %d down", c.Down.Most, c.Up.Most, c.Down.Rate)
				// A tenth more is what a second's count is off.
				if c.Down.Most == down && c.Up.Most == up && c.Down.Rate > down/10 && c.Down.Rate < down*11/10 {
					h.refused(t, "laptop")
					return
				}
			}
		}
		if time.Now().After(end) {
			t.Fatalf("the phone %s; want %d and %d, and that it goes on", seen, down, up)
		}
	}
}

// refused waits until a host, to which no rule gives leave, is not let through any more.
func (h *house) refused(t *testing.T, host string) {
	t.Helper()
	for end := time.Now().Add(paced(time.Minute)); h.connects(t, host) == nil; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s goes over the link whose data is spent", host)
		}
	}
}

// connects tells whether a host reaches the plain server.
func (h *house) connects(t *testing.T, host string) error {
	t.Helper()
	_, err := h.Agent(host).Connect(t.Context(), client.Connect{Target: client.Target{Host: plainServer.String()}, Timeout: paced(20 * time.Second), Wait: -1})
	return err
}
