package scenario

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// floodSite is a host name with an address of each family, and serves the flood's greeting port.
const floodSite = "www.google.com"

// floods opens connections and counts them by link; every one of them must be served.
func (h *house) flood(t testing.TB, host string, job client.Flood) map[string]int {
	t.Helper()
	job.Timeout = paced(time.Minute) // the lab's lossy link and a busy machine; slowness is no failure
	got, err := h.Agent(host).Flood(t.Context(), job, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Failed > 0 {
		t.Errorf("%s: %d of %d connections failed: %v", host, got.Failed, job.Count, got.Errors)
	}
	return h.byLink(got.Sources)
}

func (h *house) byLink(sources map[netip.Addr]int) map[string]int {
	links := map[string]int{}
	for source, n := range sources {
		links[h.linkOf(source)] += n
	}
	return links
}

// within tells whether every link has its share in percent of all connections, by some points.
func within(links map[string]int, shares map[string]float64, points float64) bool {
	total := 0
	for _, n := range links {
		total += n
	}
	for _, l := range slices.Concat(slices.Collect(maps.Keys(links)), slices.Collect(maps.Keys(shares))) {
		if d := 100*float64(links[l])/float64(total) - shares[l]; d > points || d < -points {
			return false
		}
	}
	return total > 0
}

// TestBalanceByWeight: a thousand flows are shared as the weights say, within three points, over either family, and
// "why" states the shares.
func TestBalanceByWeight(t *testing.T) {
	h := newHouse(t, people+`
house:
  - {id: spread, force: default, steer: {mode: balance, use: {fiber: 70, wifi: 30}}}
  - {id: three, force: default, who: {devices: [tv]}, steer: {mode: balance, use: {fiber: 50, wifi: 30, lte: 20}}}
`)
	for _, c := range []struct {
		host   string
		family client.Family
		shares map[string]float64
	}{
		{"laptop", client.V4, map[string]float64{"fiber": 70, "wifi": 30}},
		{"phone", client.V6, map[string]float64{"fiber": 70, "wifi": 30}},
		{"tv", client.V4, map[string]float64{"fiber": 50, "wifi": 30, "lte": 20}},
	} {
		t.Run(fmt.Sprintf("%s %s", c.host, c.family), func(t *testing.T) {
			links := h.flood(t, c.host, client.Flood{Target: client.Target{Host: floodSite, Family: c.family}, Count: 1000, Parallel: 40})
			if !within(links, c.shares, 3) {
				t.Errorf("1000 flows went %v, want shares of %v within 3 points", links, c.shares)
			}
			t.Log(links)
			for _, f := range h.why(t, question{device: c.host, to: floodSite, port: 7}).Families {
				for _, l := range f.Links {
					if d := 100*float64(l.Share) - c.shares[l.Link]; d > 0.5 || d < -0.5 {
						t.Errorf("IPv%d: why says %s has %.3f of the flows, want %v %%", f.Family, l.Link, l.Share, c.shares[l.Link])
					}
				}
				if len(f.Links) != len(c.shares) {
					t.Errorf("IPv%d: why names %d links, want %d", f.Family, len(f.Links), len(c.shares))
				}
			}
		})
	}
	// The parts of a page that several hosts open at once: the turns are the house's, not each host's.
	t.Run("mixed kinds", func(t *testing.T) {
		links := map[string]int{}
		for i := range 40 {
			a := errand{kind: []string{"h1", "h2", "h3", "udp"}[i%4], to: floodSite, port: []uint16{443, 443, 443, 3478}[i%4], family: families()[i/4%2]}
			r := h.try(t.Context(), nil, "console", a, false)
			if len(r.seen) != 1 {
				t.Errorf("%v: seen %v, %v", a, r.seen, r.err)
				continue
			}
			links[h.linkOf(r.seen[0])]++
		}
		// Probes and other hosts take turns too, so that forty are not exactly 28 and 12.
		if links["fiber"] < 20 || links["wifi"] < 5 || links["fiber"]+links["wifi"] != 40 {
			t.Errorf("40 flows of mixed kind went %v", links)
		}
	})
}

// TestBalanceSticky: flows that belong together stay together, all of them, on the link that "why" computes.
func TestBalanceSticky(t *testing.T) {
	policy := func(sticky string) string {
		return people + fmt.Sprintf("house:\n  - {id: spread, force: default, steer: {mode: balance, use: {fiber: 50, wifi: 50}, sticky: %s}}\n", sticky)
	}
	h := newHouse(t, policy("host"))
	sites := map[string][]string{
		"youtube.com": {"youtube.com", "www.youtube.com"},
		"netflix.com": {"www.netflix.com"},
		"zoom.us":     {"zoom.us", "us04web.zoom.us", "zoomff101mmr.zoom.us"},
		"whatsapp":    {"g.whatsapp.net", "mmg.whatsapp.net"},
		"ing.de":      {"www.ing.de", "banking.ing.de"},
		"tiktokcdn":   {"v16-webapp.tiktokcdn.com"},
		"unknown":     {"www.xn--stille-ecke-0db.example"},
	}
	// visit opens two connections to each address of a site's names, and more to the names over TLS and QUIC. The
	// links it saw are all in the result.
	visit := func(t *testing.T, host string, names []string) map[string]int {
		t.Helper()
		var addrs []string
		for _, name := range names {
			for _, qtype := range []string{"A", "AAAA"} {
				r, err := h.Agent(host).Resolve(t.Context(), client.Resolve{Name: name, Type: qtype})
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range r.Addrs {
					addrs = append(addrs, a.String())
				}
			}
		}
		links := h.flood(t, host, client.Flood{Hosts: addrs, Count: 2 * len(addrs), Parallel: 8})
		for i, name := range names {
			for _, kind := range []string{"h2", "h3"} {
				r := h.try(t.Context(), nil, host, errand{kind: kind, to: name, port: 443, family: families()[i%2]}, false)
				if len(r.seen) != 1 {
					t.Errorf("%s: %s to %s: seen %v, %v", host, kind, name, r.seen, r.err)
					continue
				}
				links[h.linkOf(r.seen[0])]++
			}
		}
		return links
	}
	// together checks that all flows took the one link that why names, and returns it.
	together := func(t *testing.T, host, what string, names []string) string {
		t.Helper()
		said := map[string]bool{}
		for _, name := range names {
			a := h.why(t, question{device: host, to: name, port: 7})
			for _, v6 := range []bool{false, true} {
				links := linksFor(a, v6)
				if len(links) != 1 {
					t.Errorf("%s to %s: why names %v, want one link for a sticky balance", host, name, links)
					continue
				}
				said[links[0]] = true
			}
		}
		seen := visit(t, host, names)
		if len(said) != 1 || len(seen) != 1 || !said[slices.Collect(maps.Keys(seen))[0]] {
			t.Errorf("%s to %s: flows took %v, why said %v", host, what, seen, slices.Collect(maps.Keys(said)))
			return ""
		}
		return slices.Collect(maps.Keys(seen))[0]
	}

	t.Run("host", func(t *testing.T) {
		used := map[string]bool{}
		all := []string{"www.youtube.com", "zoom.us", "www.ing.de"}
		for _, host := range h.Lab.Hosts() {
			used[together(t, host.Spec().Name, "anything", all)] = true
			// A destination that is no name's, too.
			if got, want := h.seenLink(t, host.Spec().Name, "203.0.113.200", client.V4), linksFor(h.why(t, question{device: host.Spec().Name, to: "203.0.113.200", port: 7}), false); !slices.Equal(want, []string{got}) {
				t.Errorf("%s to an address took %s, why said %v", host.Spec().Name, got, want)
			}
		}
		if len(used) != 2 {
			t.Errorf("all hosts are on %v: nothing is balanced", used)
		}
	})
	h.setPolicy(t, policy("site"))
	t.Run("site", func(t *testing.T) {
		used := map[string]int{}
		for _, host := range []string{"laptop", "phone", "console"} {
			for site, names := range sites {
				used[together(t, host, site, names)]++
			}
		}
		if used["fiber"] < 4 || used["wifi"] < 4 {
			t.Errorf("21 sites went %v: nothing is balanced", used)
		}
	})
	// Without a name the address is the site: each stays where it is, and they are spread.
	t.Run("site by address", func(t *testing.T) {
		var addrs []string
		for i := range 20 {
			addrs = append(addrs, netip.AddrFrom4([4]byte{203, 0, 113, byte(150 + i)}).String(), fmt.Sprintf("2001:db8:100:aa::%x", i+1))
		}
		got, err := h.Agent("tv").Flood(t.Context(), client.Flood{Hosts: addrs, Count: 4 * len(addrs), Timeout: paced(time.Minute)}, nil)
		if err != nil || got.Failed > 0 {
			t.Fatal(err, got.Errors)
		}
		used := map[string]int{}
		for _, addr := range addrs {
			links := h.byLink(got.ByHost[addr])
			said := linksFor(h.why(t, question{device: "tv", to: addr, port: 7}), mustAddr(addr).Is6())
			if len(links) != 1 || len(said) != 1 || links[said[0]] != 4 {
				t.Errorf("tv to %s: four flows took %v, why said %v", addr, links, said)
			}
			for l := range links {
				used[l]++
			}
		}
		if used["fiber"] < 10 || used["wifi"] < 10 {
			t.Errorf("40 addresses went %v, want about half and half", used)
		}
	})
}

// TestBalanceMoves: a new weight counts for the next flow, and a sticky flow that runs stays where it is.
func TestBalanceMoves(t *testing.T) {
	policy := func(fiber, wifi int) string {
		return people + fmt.Sprintf("house:\n  - {id: spread, force: default, steer: {mode: balance, use: {fiber: %d, wifi: %d}}}\n", fiber, wifi)
	}
	h := newHouse(t, policy(999, 1))
	download := make(chan client.Transferred, 1)
	started := make(chan struct{})
	go func() {
		var once bool
		got, err := h.Agent("laptop").Transfer(t.Context(), client.Transfer{Target: client.Target{Host: floodSite},
			Order: wire.Order{Direction: wire.Down, Bytes: 4 << 20, Rate: 8e6}}, func(client.Moved) {
			if !once {
				once = true
				close(started)
			}
		})
		if err != nil {
			t.Error(err)
		}
		download <- got
	}()
	<-started
	h.setPolicy(t, policy(1, 999))
	links := h.flood(t, "laptop", client.Flood{Target: client.Target{Host: floodSite, Family: client.V6}, Count: 200})
	if !within(links, map[string]float64{"fiber": 1, "wifi": 99}, 3) {
		t.Errorf("after the weights were turned round, flows went %v", links)
	}
	if got := <-download; !got.Outcome.Intact {
		t.Errorf("the running download broke: %+v", got.Outcome)
	}
}
