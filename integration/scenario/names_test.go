package scenario

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/internet"
	"github.com/trenza-router/trenza/router/catalog"
)

// TestFirstPackets: with the router's own name server the first packet of a flow already carries the right application. Every name of the lab's internet,
// aliases and shared addresses among them, is asked for by two hosts at once, in both families, and again when the answer is cached; the flows that follow say nothing of
// themselves. Each application has a link of its own, which only the name tells.
func TestFirstPackets(t *testing.T) {
	apps, err := catalog.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	links := []string{"fiber", "wifi", "lte"}
	// The three links in turns, by application; names of none take the first.
	choice := map[string]string{}
	var names []internet.Name
	for _, n := range internet.Names() {
		if n.App == "probe" || n.App == "resolver" {
			continue
		}
		names = append(names, n)
		if app, ok := apps.Lookup(n.Host); ok && choice[app.ID] == "" {
			choice[app.ID] = links[(len(choice)+1)%len(links)]
		}
	}
	policy := people + "house:\n  - {id: usual, force: default, steer: {mode: fixed, use: [fiber]}}\n"
	for _, app := range slices.Sorted(maps.Keys(choice)) {
		policy += fmt.Sprintf("  - {id: %s, force: must, what: {apps: [%s]}, steer: {mode: fixed, use: [%s]}}\n", app, app, choice[app])
	}
	h := newHouse(t, policy, lossless)
	if len(names) < 30 {
		t.Fatalf("the lab's internet has %d names, want 30", len(names))
	}
	var mu sync.Mutex
	flows, right := 0, 0
	count := func(host, name string, to netip.Addr) {
		job := client.Connect{Target: client.Target{Host: name, Addr: to, Family: client.V4}, Timeout: paced(30 * time.Second)}
		if to.Is6() {
			job.Family = client.V6
		}
		got, err := h.Agent(host).Connect(t.Context(), job)
		want := "fiber"
		if app, ok := apps.Lookup(name); ok {
			want = choice[app.ID]
		}
		link := ""
		if err == nil {
			link = h.linkOf(got.Seen.Remote.Addr())
		}
		mu.Lock()
		defer mu.Unlock()
		if flows++; link == want {
			right++
		} else {
			t.Logf("%s to %s at %v: over %q, want %q (%v)", host, name, to, link, want, err)
		}
	}
	ask := func(host, name, kind string) []netip.Addr {
		got, err := h.Agent(host).Resolve(t.Context(), client.Resolve{Name: name, Type: kind})
		if err != nil {
			t.Errorf("%s asks for %s %s: %v", host, kind, name, err)
		}
		return got.Addrs
	}
	for round := range 2 { // the second one is answered from the cache
		var all sync.WaitGroup
		for i, host := range []string{"laptop", "phone"} {
			all.Go(func() {
				for n := range names {
					// One goes through the list forwards and one backwards: they mean different names by one address at one time.
					name := names[n]
					if i == 1 {
						name = names[len(names)-1-n]
					}
					for _, kind := range []string{"A", "AAAA"} {
						if addrs := ask(host, name.Host, kind); len(addrs) > 0 {
							count(host, name.Host, addrs[0].Unmap())
						}
					}
				}
			})
		}
		all.Wait()
		t.Logf("round %d: %d of %d first packets were right", round+1, right, flows)
	}
	// Hints of an HTTPS record teach as addresses do (RFC 9460 section 7.3): nothing else tells this host what is there.
	for _, n := range names {
		if n.HTTPS != nil && n.HTTPS.Hints {
			ask("tv", n.Host, "HTTPS")
			for _, to := range slices.Concat(n.V4[:1], n.V6[:1]) {
				count("tv", n.Host, to)
			}
		}
	}
	if flows < 4*len(names) || 100*right < 95*flows {
		t.Errorf("%d of %d first packets took the link of their application, want 95 %%", right, flows)
	}
}
