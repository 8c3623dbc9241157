package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/internet"
	"github.com/trenza-router/trenza/webui/api"
)

// A window that is open for hours around now, and one that is closed as long.
func windows(now time.Time) (open, closed string) {
	clock := func(d time.Duration) string { return now.UTC().Add(d).Format("15:04") }
	return clock(-3*time.Hour) + "-" + clock(3*time.Hour), clock(6*time.Hour) + "-" + clock(12*time.Hour)
}

// wholePolicy has 25 rules of every kind over both tiers.
func wholePolicy(now time.Time) string {
	open, closed := windows(now)
	return people + fmt.Sprintf(`
house:
  - {id: voice, force: must, priority: 100, what: {dscp: [46]}, steer: {mode: fixed, use: [lte]}}
  - {id: calls, force: must, what: {categories: [calls]}, steer: {use: [wifi, fiber, lte]}}
  - {id: game-ports, force: must, what: {services: [udp/27015, udp/3074]}, steer: {mode: fixed, use: [fiber]}}
  - {id: ana-bank, force: must, who: {people: [ana]}, what: {apps: [ing]}, steer: {mode: fixed, use: [fiber]}}
  - {id: camera-closed, force: must, who: {devices: [camera]}, filter: {mode: deny-all}}
  - {id: camera-cloud, force: must, who: {devices: [camera]}, what: {domains: [arlo.com]}, filter: {allow: true}}
  - {id: camera-net, force: must, who: {devices: [camera]}, what: {addresses: [192.0.2.0/25, "2001:db8:100:50::/64"]}, filter: {allow: true}}
  - {id: no-gambling, force: must, who: {groups: [children]}, what: {categories: [gambling]}, filter: {block: true}}
  - {id: no-ads, force: must, what: {categories: [advertising]}, filter: {block: true, silent: true}}
  - {id: no-mail-ports, force: must, what: {services: [tcp/993]}, filter: {block: true, liftable: true}}
  - {id: save-lte, force: bound, what: {categories: [video, updates]}, steer: {forbid: [lte]}}
  - {id: children-links, force: bound, who: {groups: [children]}, steer: {allow: [fiber, wifi]}}
  - {id: spread, force: default, steer: {mode: balance, use: {fiber: 70, wifi: 30}, sticky: site}}
  - {id: daytime, force: default, priority: 10, what: {domains: [wikipedia.org]}, when: ["%s"], steer: {use: [lte, wifi]}}
  - {id: night, force: default, priority: 20, what: {domains: [wikipedia.org]}, when: ["%s"], steer: {mode: fixed, use: [wifi]}}
  - {id: music, force: default, priority: 5, what: {categories: [music]}, steer: {mode: balance, use: {fiber: 50, wifi: 50}, sticky: host}}
  - {id: shells, force: default, priority: 5, what: {services: [tcp/22]}, steer: {mode: balance, use: {fiber: 50, wifi: 30, lte: 20}}}
  - {id: own-order, force: default, priority: 5, what: {apps: [github]}, steer: {mode: any}}
  - {id: screens-net, force: default, priority: 7, who: {groups: [screens]}, what: {addresses: [198.51.100.0/25, "2001:db8:100:70::/60"]}, steer: {use: [wifi, fiber]}}
  - {id: no-chat-ports, force: default, what: {services: [tcp/5222-5223]}, filter: {block: true}}
personal:
  ana:
    - {id: ana-netflix, what: {apps: [netflix]}, steer: {use: [lte, wifi]}}
    - {id: ana-mail, what: {services: [tcp/993]}, filter: {allow: true}}
    - {id: ana-no-tiktok, what: {apps: [tiktok]}, filter: {block: true}}
  leo:
    - {id: leo-youtube, who: {devices: [phone]}, what: {apps: [youtube]}, steer: {mode: fixed, use: [lte]}}
    - {id: leo-games, what: {categories: [games]}, steer: {use: [wifi, fiber]}}
`, open, closed)
}

const wholeRules = 25

// silentRules are those of wholePolicy that drop instead of refusing.
func silentRules() []string { return []string{"no-ads"} }

// destinations are forty flows of mixed kind, which every host makes: two hundred in all. By-address ones are to ports of
// which nobody can learn a name.
func destinations() []errand {
	return []errand{
		{kind: "web", to: "www.youtube.com", port: 443},
		{kind: "h3", to: "youtube.com", port: 443},
		{kind: "h2", to: "i.ytimg.com", port: 443},
		{kind: "h1", to: "rr1---sn-4g5e6nez.googlevideo.com", port: 443},
		{kind: "curl", to: "rr5---sn-4g5lznes.googlevideo.com", port: 443},
		{kind: "h2", to: "www.netflix.com", port: 443},
		{kind: "web", to: "ipv4-c001-ams001-ix.1.oca.nflxvideo.net", port: 443},
		{kind: "web", to: "ipv6-c002-ams001-ix.1.oca.nflxvideo.net", port: 8443},
		{kind: "h3", to: "www.tiktok.com", port: 443},
		{kind: "h1", to: "v16-webapp.tiktokcdn.com", port: 8443},
		{kind: "h2", to: "zoom.us", port: 443},
		{kind: "game", to: "zoomff101mmr.zoom.us", port: 8801},
		{kind: "h1", to: "web.whatsapp.com", port: 443},
		{kind: "tcp", to: "g.whatsapp.net", port: 5222},
		{kind: "tcp", to: "one.one.one.one", port: 22},
		{kind: "h2", to: "open.spotify.com", port: 443},
		{kind: "h3", to: "audio-fa.scdn.co", port: 443},
		{kind: "web", to: "store.steampowered.com", port: 443},
		{kind: "http", to: "cache1-ams1.steamcontent.com", port: 80},
		{kind: "game", to: "cm2-ams1.cm.steampowered.com", port: 27015},
		{kind: "game", to: "title.mgt.xboxlive.com", port: 3074},
		{kind: "curl", to: "title.mgt.xboxlive.com", port: 443},
		{kind: "http", to: "gs2.ww.prod.dl.playstation.net", port: 8080},
		{kind: "http", to: "download.windowsupdate.com", port: 80},
		{kind: "h2", to: "swcdn.apple.com", port: 443},
		{kind: "h2", to: "www.ing.de", port: 443},
		{kind: "h1", to: "banking.ing.de", port: 443},
		{kind: "web", to: "en.wikipedia.org", port: 443},
		{kind: "web", to: "github.com", port: 443},
		{kind: "web", to: "upload.arlo.com", port: 443},
		{kind: "h3", to: "googleads.g.doubleclick.net", port: 443},
		{kind: "web", to: "www.bet365.com", port: 443},
		{kind: "web", to: "www.xn--stille-ecke-0db.example", port: 443},
		{kind: "udp", to: "www.google.com", port: 3478, dscp: 46},
		{kind: "h2", to: "www.google.com", port: 443, dscp: 10},
		{kind: "tcp", to: "198.51.100.101", port: 22},
		{kind: "tcp", to: "2001:db8:100:7f::22", port: 993},
		{kind: "udp", to: "192.0.2.111", port: 7},
		{kind: "udp", to: "2001:db8:100:50::111", port: 3478, dscp: 46},
		{kind: "ping", to: "203.0.113.111"},
	}
}

// verdict is one flow with what was said of it and what it did.
type verdict struct {
	host    string
	errand  errand
	answer  *api.Answer
	result  result
	problem string
}

// TestPolicyFlows: every one of two hundred flows reaches its server from the address of the link that "why" names before it
// starts, and what "why" says is refused, is.
func TestPolicyFlows(t *testing.T) {
	h := newHouse(t, wholePolicy(time.Now()))
	if s, err := h.api.GetStatusWithResponse(t.Context()); err != nil || s.JSON200 == nil || s.JSON200.Plan.Rules != wholeRules {
		t.Fatalf("the plan has not the %d rules of the policy: %v %s", wholeRules, err, s.Body)
	}
	pings := h.watchPings(t)
	all := make([][]verdict, len(h.Lab.Hosts()))
	var wg sync.WaitGroup
	for i, host := range h.Lab.Hosts() {
		// Each host asks before each flow: what the hosts do at the same time must not change the answers.
		wg.Go(func() {
			for n, a := range destinations() {
				a.family = familyOf(a.to, i+n)
				a.tag = fmt.Sprintf("%s-%d", host.Spec().Name, n)
				if a.kind == "ping" { // hosts ping an address each, for the witness
					a.to = mustAddr(a.to).Next().String()
					for range i {
						a.to = mustAddr(a.to).Next().String()
					}
				}
				all[i] = append(all[i], h.judge(t, pings, host.Spec().Name, a))
			}
		})
	}
	wg.Wait()
	flows := slices.Concat(all...)
	if len(flows) != 200 {
		t.Fatalf("%d flows, want 200", len(flows))
	}
	report(t, flows)
	for _, v := range flows {
		if v.answer == nil {
			return
		}
	}
	t.Run("variety", func(t *testing.T) { h.variety(t, flows) })
	t.Run("sure", func(t *testing.T) { sure(t, h, flows) })
}

// familyOf picks the family for turn n: any of those in which the name has an address, or whichever the client likes.
func familyOf(to string, n int) client.Family {
	if _, err := netip.ParseAddr(to); err == nil {
		return client.AnyFamily
	}
	name, _ := internet.Find(internet.Names(), to)
	for name.CNAME != "" {
		name, _ = internet.Find(internet.Names(), name.CNAME)
	}
	if len(name.V4) == 0 || len(name.V6) == 0 {
		return client.AnyFamily
	}
	return []client.Family{client.V4, client.V6, client.AnyFamily}[n%3]
}

// judge asks about a flow, makes it and compares.
func (h *house) judge(t *testing.T, pings *pingWitness, host string, a errand) verdict {
	v := verdict{host: host, errand: a}
	answer, err := h.ask(t.Context(), a.question(host))
	if err != nil {
		v.problem = err.Error()
		return v
	}
	v.answer = answer
	v.result = h.try(t.Context(), pings, host, a, refused(v))
	v.problem = h.compare(t, v)
	return v
}

// refused tells whether the flow is to be refused: in every family in which it may go.
func refused(v verdict) bool {
	v4, v6 := len(linksFor(v.answer, false)) == 0, len(linksFor(v.answer, true)) == 0
	switch v.errand.family {
	case client.V4:
		return v4
	case client.V6:
		return v6
	}
	return v4 && v6
}

// compare says what is wrong with a flow; "" for nothing.
func (h *house) compare(t *testing.T, v verdict) string {
	r := v.result
	if refused(v) {
		if len(r.seen) > 0 || v.errand.tag != "" && h.reached(t, v.errand.tag) {
			return fmt.Sprintf("it is blocked, and the server saw %v", r.seen)
		}
		silent := slices.Contains(silentRules(), prevailing(v.answer, "filter"))
		if want := refusal(v.errand.kind, silent); !slices.Contains(want, r.cause) {
			return fmt.Sprintf("it is blocked, and the client found %q (%v), want %q", r.cause, r.err, want)
		}
		return ""
	}
	if len(r.seen) == 0 {
		return fmt.Sprintf("no server saw it: %v", r.err)
	}
	for _, s := range r.seen {
		links := linksFor(v.answer, s.Is6())
		if got := h.linkOf(s); !slices.Contains(links, got) {
			return fmt.Sprintf("the server saw %v of link %q, want %v", s, got, links)
		}
	}
	if len(r.seen) > 1 {
		return fmt.Sprintf("the server saw one flow from %v", r.seen)
	}
	return ""
}

// refusal is how a client learns that its flow is not wanted. QUIC's sockets hear no ICMP.
func refusal(kind string, silent bool) []client.Cause {
	switch {
	case silent, kind == "h3":
		return []client.Cause{client.Timeout}
	case kind == "udp", kind == "game", kind == "ping":
		return []client.Cause{client.Unreachable}
	}
	return []client.Cause{client.Refused}
}

// report prints all flows as a table when one of them is wrong.
func report(t *testing.T, flows []verdict) {
	t.Helper()
	wrong := 0
	var b strings.Builder
	for _, v := range flows {
		said := "?"
		if v.answer != nil {
			said = v.answer.Choice
			for _, v6 := range []bool{false, true} {
				said += fmt.Sprintf(" %v", linksFor(v.answer, v6))
			}
			if refused(v) {
				said = "blocked by " + prevailing(v.answer, "filter")
			}
		}
		mark := "    "
		if v.problem != "" {
			wrong++
			mark = "BAD "
		}
		fmt.Fprintf(&b, "%s%-8s %-60v said: %-60s %s\n", mark, v.host, v.errand, said, v.problem)
	}
	if wrong > 0 {
		t.Errorf("%d of %d flows went as told, %d did not:\n%s", len(flows)-wrong, len(flows), wrong, b.String())
	}
}

// variety makes sure that the flows above prove something: every rule met some, every link carried some, some were
// balanced and some refused, over both families.
func (h *house) variety(t *testing.T, flows []verdict) {
	links, families, rules, blocked, open := map[string]int{}, map[bool]int{}, map[string]int{}, 0, 0
	for _, v := range flows {
		if refused(v) {
			blocked++
		}
		for _, s := range v.result.seen {
			links[h.linkOf(s)]++
			families[s.Is6()]++
			if len(linksFor(v.answer, s.Is6())) > 1 {
				open++
			}
		}
		for _, r := range v.answer.Reasons {
			if r.Rule != nil {
				rules[*r.Rule]++
			}
		}
	}
	for _, l := range h.Lab.Links() {
		if links[l.Name] < 5 {
			t.Errorf("link %s carried %d flows of 200", l.Name, links[l.Name])
		}
	}
	if blocked < 20 || open < 3 || families[false] < 40 || families[true] < 40 {
		t.Errorf("%d blocked, %d balanced, %d over IPv4, %d over IPv6: too few to prove anything", blocked, open, families[false], families[true])
	}
	if delete(rules, ""); len(rules) != wholeRules-1 || rules["night"] != 0 {
		t.Errorf("%d rules met flows, want all but the one of another time: %v", len(rules), rules)
	}
	t.Logf("%v; %d blocked, %d balanced; IPv6 %v", links, blocked, open, families)
}

// sure are answers that a person can read out of wholePolicy: "why" and the kernel could be wrong together.
func sure(t *testing.T, h *house, flows []verdict) {
	for _, want := range []struct{ host, to, rule, link string }{
		{"laptop", "www.ing.de", "ana-bank", "fiber"},
		{"laptop", "www.netflix.com", "ana-netflix", "wifi"}, // lte first, were it not for the bound
		{"laptop", "www.tiktok.com", "ana-no-tiktok", ""},
		{"laptop", "2001:db8:100:7f::22", "ana-mail", "fiber|wifi"},
		{"laptop", "en.wikipedia.org", "daytime", "lte"},
		{"phone", "en.wikipedia.org", "daytime", "wifi"}, // lte is not for children
		{"phone", "zoom.us", "calls", "wifi"},
		{"phone", "youtube.com", "spread", "fiber|wifi"}, // lte is not for children
		{"phone", "www.bet365.com", "no-gambling", ""},
		{"phone", "2001:db8:100:7f::22", "no-mail-ports", ""},
		{"tv", "www.google.com", "voice", "lte"},
		{"tv", "www.ing.de", "screens-net", "wifi"},
		{"tv", "www.bet365.com", "screens-net", "fiber|wifi"}, // over IPv6 the net does not match
		{"console", "title.mgt.xboxlive.com", "game-ports", "fiber"},
		{"console", "store.steampowered.com", "leo-games", "wifi"},
		{"camera", "upload.arlo.com", "spread", "fiber|wifi"},
		{"camera", "192.0.2.111", "spread", "fiber|wifi"},
		{"camera", "youtube.com", "camera-closed", ""},
	} {
		i := slices.IndexFunc(flows, func(v verdict) bool { return v.host == want.host && v.errand.to == want.to })
		v := flows[i]
		link := ""
		for _, s := range v.result.seen {
			link = h.linkOf(s)
		}
		if got := prevailing(v.answer, "steer"); want.link != "" && want.rule != "ana-mail" && got != want.rule {
			t.Errorf("%s to %s: %q decides, want %q", want.host, want.to, got, want.rule)
		}
		if got := prevailing(v.answer, "filter"); (want.link == "" || want.rule == "ana-mail") && got != want.rule {
			t.Errorf("%s to %s: %q decides, want %q", want.host, want.to, got, want.rule)
		}
		if want.link == "" && link != "" || want.link != "" && !slices.Contains(strings.Split(want.link, "|"), link) {
			t.Errorf("%s to %s took %q, want %q", want.host, want.to, link, want.link)
		}
	}
}
