package scenario

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
	"github.com/trenza-router/trenza/router/plan"
)

// download moves a checked stream to a host in the background, at a pace that leaves the machine room for other things.
func (h *house) download(host string, length time.Duration) (wait func() (client.Transferred, error)) {
	return async(func() (client.Transferred, error) {
		return h.Agent(host).Transfer(h.t.Context(), client.Transfer{
			Target: client.Target{Host: plainServer.String(), Addr: plainServer},
			Order:  wire.Order{Direction: wire.Down, Duration: length, Rate: int64(load(20e6))},
		}, nil)
	})
}

// lossOf says what is wrong with a loop of datagrams of which at most so many may be lost, and whose flow stays on one link.
func (h *house) lossOf(r client.Ticked, err error, link string, most uint64) []string {
	switch {
	case err != nil:
		return []string{fmt.Sprintf("the loop on %s: %v", link, err)}
	case r.Lost > most || !slices.Equal(h.linksOf(r), []string{link}):
		return []string{fmt.Sprintf("the loop lost %d of %d datagrams, want at most %d, and went over %v, want %s alone; its longest gaps: %v",
			r.Lost, r.Sent, most, h.linksOf(r), link, r.Gaps)}
	}
	h.t.Logf("the loop on %s lost %d of %d datagrams; longest gap %v", link, r.Lost, r.Sent, r.MaxGap.Length)
	return nil
}

// damageOf says what is wrong with a stream.
func (h *house) damageOf(r client.Transferred, err error, link string) []string {
	if err != nil || !r.Outcome.Intact || h.linkOf(r.Seen.Remote.Addr()) != link {
		return []string{fmt.Sprintf("the stream over %q, want %s: %+v: %v", h.linkOf(r.Seen.Remote.Addr()), link, r.Outcome, err)}
	}
	h.t.Logf("the stream on %s brought %d bytes; longest stall %v", link, r.Outcome.Bytes, r.Outcome.Stall)
	return nil
}

// strayed lists the new flows that failed, were late, or took another link.
func strayed(all []attempt, link string) (wrong []string) {
	if len(all) == 0 {
		return []string{"no new flow was made"}
	}
	for _, a := range all {
		if a.astray() || a.link != link {
			wrong = append(wrong, fmt.Sprintf("a new flow: %s; want link %q at once", a, link))
		}
	}
	return wrong
}

// kernelState is what the router keeps in the kernel besides the ruleset's counters and learned names, as text.
func (h *house) kernelState() string {
	h.t.Helper()
	var print string
	h.inRouter(func(m hal.Machine) (err error) {
		print, err = m.Fingerprint(h.t.Context())
		return err
	})
	return h.routing() + "table " + print + "\n"
}

// routing is the router's rules and routes, as text.
func (h *house) routing() string {
	h.t.Helper()
	var b strings.Builder
	h.inRouter(func(m hal.Machine) error {
		first, last := plan.OwnRulePriorities()
		rules, err := m.Rules(h.t.Context())
		if err != nil {
			return err
		}
		for _, r := range rules {
			if first <= r.Priority && r.Priority <= last {
				fmt.Fprintln(&b, r.Family, r)
			}
		}
		for table := plan.LinkTable; table <= plan.LinkTable+len(h.Lab.Links()); table++ {
			routes, err := m.Routes(h.t.Context(), table)
			if err != nil {
				return err
			}
			for _, r := range routes {
				fmt.Fprintln(&b, r)
			}
		}
		return nil
	})
	return b.String()
}

// learned lists the learned names in the kernel, without the time that they have left.
func (h *house) learned() (out []string) {
	h.t.Helper()
	h.inRouter(func(m hal.Machine) error {
		for _, set := range []string{plan.MapNames4, plan.MapNames6, plan.MapLearned4, plan.MapLearned6} {
			elements, err := m.Elements(h.t.Context(), set)
			if err != nil {
				return err
			}
			for _, e := range elements {
				out = append(out, fmt.Sprintf("%s %v %#x %s", set, e.Key, e.Value, e.Comment))
			}
		}
		return nil
	})
	slices.Sort(out)
	return out
}

// deletions listens to the kernel for rules and routes of ours that are deleted, until the returned function is called.
func (h *house) deletions() (stop func() []string) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	cmd := h.Lab.Router().Command(ctx, "ip", "monitor", "rule", "route")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		h.t.Fatal(err)
	}
	var mu sync.Mutex
	var heard, marks []string
	done := make(chan struct{})
	const probe = "192.0.2.255" // a route that we make ourselves, to know that the listener has heard all before it
	go func() {
		defer close(done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			line := lines.Text()
			mu.Lock()
			switch {
			case strings.Contains(line, probe):
				marks = append(marks, line)
			case !strings.HasPrefix(line, "Deleted"):
			case strings.Contains(line, " lookup 100") || strings.Contains(line, " table 100") || strings.HasPrefix(line, "Deleted 9"):
				heard = append(heard, line)
			}
			mu.Unlock()
		}
	}()
	listens := func() bool {
		for _, verb := range []string{"add", "del"} {
			if text, err := h.Lab.Router().Command(ctx, "ip", "route", verb, "blackhole", probe, "table", "77").CombinedOutput(); err != nil {
				h.t.Fatalf("%v: %s", err, bytes.TrimSpace(text))
			}
		}
		mu.Lock()
		defer mu.Unlock()
		return len(marks) > 0
	}
	h.eventually("ip monitor listens", listens)
	return func() []string {
		mu.Lock()
		marks = nil
		mu.Unlock()
		h.eventually("ip monitor has heard all", listens)
		cancel()
		<-done
		_ = cmd.Wait() // ended by us
		return heard
	}
}
