package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/integration/netlab"
	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/home"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/webui/api"
)

// A server that no catalogue and no rule knows: only the rules for devices decide about it.
var (
	plainServer  = netip.MustParseAddr("198.51.100.95")
	plainServer6 = netip.MustParseAddr("2001:db8:100:95::1")
)

// lossless takes the losses and the jitter out of the links: what is lost then, the router lost.
func lossless(o *home.Options) {
	o.Lab.Links = netlab.Home()
	for i := range o.Lab.Links {
		p := &o.Lab.Links[i].Params
		p.Up.Loss, p.Down.Loss, p.Up.Jitter, p.Down.Jitter = 0, 0, 0, 0
	}
}

// stallLimit is how late a sleeping goroutine may wake up before the machine counts as stalled. A stall is longer than what
// queues in the kernel hold of 1000 datagrams a second, and a good part of the shortest time that is promised.
var stallLimit = paced(100 * time.Millisecond)

// steady runs an attempt that returns what is wrong. The promises under test are about the router and not about a machine
// that others use, too: an attempt that goes wrong while the machine itself demonstrably stood still is made again,
// up to three times in all. Without a stall the first failure counts.
func steady(t *testing.T, attempt func() []string) {
	t.Helper()
	for n := 1; ; n++ {
		longest := watchStalls()
		wrong := attempt()
		stall := longest()
		if len(wrong) == 0 {
			return
		}
		if n < 3 && stall >= stallLimit && !t.Failed() {
			t.Logf("attempt %d went wrong while the machine stood still for %v; once more: %v", n, stall, wrong)
			continue
		}
		for _, w := range wrong {
			t.Error(w)
		}
		t.Logf("the machine's longest stall meanwhile: %v", stall)
		return
	}
}

// watchStalls watches how late a goroutine wakes up, until the returned function is called.
func watchStalls() (longest func() time.Duration) {
	stop, done := make(chan struct{}), make(chan time.Duration)
	go func() {
		const nap = 5 * time.Millisecond
		var worst time.Duration
		for {
			start := time.Now()
			select {
			case <-stop:
				done <- worst
				return
			case <-time.After(nap):
				worst = max(worst, time.Since(start)-nap)
			}
		}
	}()
	return func() time.Duration { close(stop); return <-done }
}

// async starts f and returns what waits for its result.
func async[T any](f func() (T, error)) (wait func() (T, error)) {
	var result T
	var err error
	done := make(chan struct{})
	go func() { defer close(done); result, err = f() }()
	return func() (T, error) { <-done; return result, err }
}

// eventually waits for a condition. The deadline is generous: what is promised about time is measured elsewhere.
func (h *house) eventually(what string, holds func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(paced(time.Minute)); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("waited %v in vain: %s", paced(time.Minute), what)
		}
	}
}

// status asks the daemon how things are; nil when it does not answer.
func (h *house) status() *api.Status {
	ctx, cancel := context.WithTimeout(h.t.Context(), paced(5*time.Second))
	defer cancel()
	r, err := h.api.GetStatusWithResponse(ctx)
	if err != nil {
		return nil
	}
	return r.JSON200
}

// usable tells whether the daemon has the links in the given condition.
func (h *house) usable(want bool, links ...string) bool {
	s := h.status()
	if s == nil {
		return false
	}
	for _, l := range s.Links {
		if slices.Contains(links, l.Name) && l.Usable != want {
			return false
		}
	}
	return true
}

// warned tells whether the daemon warns with a code.
func (h *house) warned(code string) bool {
	s := h.status()
	return s != nil && slices.ContainsFunc(s.Warnings, func(w api.Warning) bool { return w.Code == code })
}

// heal undoes all cuts and waits until the daemon trusts every link again.
func (h *house) heal() {
	h.t.Helper()
	var all []string
	for _, l := range h.Lab.Links() {
		if err := h.Lab.Link(l.Name).Heal(); err != nil {
			h.t.Fatal(err)
		}
		all = append(all, l.Name)
	}
	h.eventually("all links in use again", func() bool { return h.usable(true, all...) })
}

// inRouter runs f with a view of the kernel in the router's network namespace.
func (h *house) inRouter(f func(m hal.Machine) error) {
	h.t.Helper()
	m, err := linux.New(linux.Options{})
	if err == nil {
		err = h.Lab.Router().Do(func() error { return f(m) })
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// guests counts the connections that are on a link which was only lent to them.
func (h *house) guests(link string) (n int) {
	h.t.Helper()
	i := slices.IndexFunc(h.Lab.Links(), func(l netlab.LinkSpec) bool { return l.Name == link })
	mark := flow.LinkID(i+1).Mark() | flow.LentBit
	h.inRouter(func(m hal.Machine) error {
		return m.Connections(h.t.Context(), mark, flow.LinkMask|flow.LentBit, func(hal.Connection) { n++ })
	})
	return n
}

// attempt is a new TCP connection that a host made.
type attempt struct {
	start time.Time
	link  string // that the server saw; "" when it failed
	err   error
	dial  time.Duration
}

// lateDial tells a connection whose first packet got lost: the kernel sends a SYN again after one second.
const lateDial = 900 * time.Millisecond

// astray tells whether the flow's first packet went to a link that did not carry it.
func (a attempt) astray() bool { return a.err != nil || a.dial >= lateDial }

func (a attempt) String() string {
	return fmt.Sprintf("link %q, dial %v, error %v", a.link, a.dial, a.err)
}

// newFlow makes one connection.
func (h *house) newFlow(ctx context.Context, host string, to netip.Addr) attempt {
	a := attempt{start: time.Now()}
	c, err := h.Agent(host).Connect(ctx, client.Connect{
		Target: client.Target{Host: to.String(), Addr: to}, Timeout: paced(4 * time.Second), Wait: paced(4 * time.Second),
	})
	if a.err, a.dial = err, c.DialTime; err == nil {
		a.link = h.linkOf(c.Seen.Remote.Addr())
	}
	return a
}

// newFlows makes a new connection in every interval, at this machine's pace, until it is stopped, and then returns all of them in the order of
// their starts.
func (h *house) newFlows(host string, interval time.Duration) (stop func() []attempt) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []attempt
	wg.Go(func() {
		tick := time.NewTicker(paced(interval))
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				wg.Go(func() {
					a := h.newFlow(h.t.Context(), host, plainServer)
					mu.Lock()
					defer mu.Unlock()
					all = append(all, a)
				})
			}
		}
	})
	return func() []attempt {
		close(end)
		wg.Wait()
		slices.SortFunc(all, func(a, b attempt) int { return a.start.Compare(b.start) })
		return all
	}
}

// ticks runs a numbered loop of datagrams to an echo server in the background, at this machine's pace.
func (h *house) ticks(host string, rate float64, length time.Duration) (wait func() (client.Ticked, error)) {
	return async(func() (client.Ticked, error) {
		return h.Agent(host).Ticks(h.t.Context(), client.Ticks{
			Target: client.Target{Host: plainServer.String(), Addr: plainServer}, Rate: load(rate), Duration: length,
		}, nil)
	})
}

// linksOf names the links that a loop's datagrams came by, in the order of time.
func (h *house) linksOf(t client.Ticked) []string {
	var out []string
	for _, s := range t.Sources {
		out = append(out, h.linkOf(s.Seen.Addr()))
	}
	return slices.Compact(out)
}
