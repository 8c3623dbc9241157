package policytest

import (
	"net/netip"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// Links are the WAN links of the world.
func Links() []string { return []string{"fiber", "wifi", "lte"} }

// Apps maps each application of the world's catalogue to its category.
func Apps() map[string]string {
	return map[string]string{
		"zoom": "video-calls", "meet": "video-calls", "youtube": "streaming", "netflix": "streaming", "steam": "games",
	}
}

func categories() []string { return []string{"video-calls", "streaming", "games"} }

func apps() []string { return []string{"zoom", "meet", "youtube", "netflix", "steam"} }

func domains() []policy.Domain {
	return []policy.Domain{
		{Name: "example.org"}, {Name: "example.org", Exact: true}, {Name: "www.example.org"}, {Name: "example.com"},
		{Name: "cdn.example.com", Exact: true}, {Name: "com"},
	}
}

func hosts() []string {
	return []string{"", "example.org", "www.example.org", "a.www.example.org", "example.com", "cdn.example.com", "notexample.org"}
}

func prefixes() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("203.0.113.7/32"), netip.MustParsePrefix("0.0.0.0/0"),
		netip.MustParsePrefix("198.51.100.0/25"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2001:db8:7::/48"),
	}
}

func addrs() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.200"), netip.MustParseAddr("198.51.100.1"),
		netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8:7::1"), netip.MustParseAddr("2001:db8::1"), {},
	}
}

func services() []policy.Service {
	return []policy.Service{
		{Proto: flow.ProtoTCP, First: 443, Last: 443}, {Proto: flow.ProtoTCP}, {Proto: flow.ProtoUDP, First: 400, Last: 500},
		{Proto: flow.ProtoUDP}, {Proto: flow.ProtoICMP}, {Proto: flow.ProtoICMPv6}, {Proto: 47},
		{Proto: flow.ProtoTCP, First: 1, Last: 1023},
	}
}

// Known knows the world's links and catalogue.
func Known() policy.Known {
	catalogue := Apps()
	return policy.Known{
		Links:      Links(),
		Categories: func(app string) (string, bool) { c, ok := catalogue[app]; return c, ok },
		Category: func(id string) bool {
			for _, c := range catalogue {
				if c == id {
					return true
				}
			}
			return false
		},
		Protocol: func(id string) bool { return slices.Contains(protocols(), id) },
	}
}

func protocols() []string { return []string{"tls", "http", "bittorrent"} }

// patterns have keywords and expressions, of which some meet.
func patterns() []policy.Pattern {
	return []policy.Pattern{"casino", "re:^(www\\.)?bet[0-9]+\\.", "Ads: \"x\" #1", "re:\\x00\\x01", "re:(?i)secret"}
}

// content draws what a flow says; nil for one that was not looked into.
func content(t *rapid.T) *policy.Content {
	if rapid.Bool().Draw(t, "not read") {
		return nil
	}
	texts := rapid.SampledFrom([]string{"", "www.bet7.example", "the-casino.example", "/ads: \"x\" #1/secret", "plain"})
	return &policy.Content{
		Protocol: rapid.SampledFrom(append(protocols(), "")).Draw(t, "protocol"),
		TLSName:  texts.Draw(t, "tls name"), HTTPHost: texts.Draw(t, "http host"), HTTPPath: texts.Draw(t, "http path"),
		Payload: []byte(rapid.SampledFrom([]string{"", "GET /Casino", "a\x00\x01b", "SECRET"}).Draw(t, "payload")),
	}
}

// household is who lives in the world: two people with devices, devices of the house, and groups of both kinds.
func household() policy.Policy {
	return policy.Policy{
		TimeZone: "Europe/Madrid",
		People:   []policy.Person{{ID: "ana", Name: "Ana"}, {ID: "ben", Name: "Ben \"the boss\""}},
		Devices: []policy.Device{
			{ID: "ana-laptop", Name: "Ana's laptop", MACs: []flow.MAC{{2, 0, 0, 0, 0, 1}}, Owner: "ana"},
			{ID: "ana-phone", MACs: []flow.MAC{{2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 3}}, Owner: "ana"},
			{ID: "ben-pc", MACs: []flow.MAC{{2, 0, 0, 0, 0, 4}}, Owner: "ben"},
			{ID: "tv", MACs: []flow.MAC{{2, 0, 0, 0, 0, 5}}},
			{ID: "shed", Addrs: []netip.Addr{netip.MustParseAddr("10.8.0.5")}},
		},
		Groups: []policy.Group{
			{ID: "screens", Name: "Screens", Devices: []string{"tv", "ana-laptop"}},
			{ID: "kids", People: []string{"ana"}},
			{ID: "everything", Devices: []string{"tv", "shed"}, People: []string{"ana", "ben"}},
		},
	}
}

// Devices are ids of devices, also of one that no policy of the world names.
func Devices() []string {
	return []string{"ana-laptop", "ana-phone", "ben-pc", "tv", "shed", "stranger"}
}

// Target draws where a flow goes. Its application and category agree.
func Target() *rapid.Generator[policy.Target] {
	return rapid.Custom(func(t *rapid.T) policy.Target {
		var x policy.Target
		x.App = rapid.SampledFrom(append(apps(), "")).Draw(t, "app")
		x.Category = Apps()[x.App]
		x.Host = rapid.SampledFrom(hosts()).Draw(t, "host")
		x.Addr = rapid.SampledFrom(addrs()).Draw(t, "addr")
		x.Proto = rapid.SampledFrom([]flow.Proto{6, 6, 17, 17, 1, 58, 47, 0}).Draw(t, "proto")
		if x.Proto.HasPorts() {
			x.Port = rapid.SampledFrom([]uint16{80, 443, 450, 8443}).Draw(t, "port")
		}
		x.DSCP = rapid.SampledFrom([]uint8{0, 46, 8}).Draw(t, "dscp")
		x.Content = content(t)
		return x
	})
}

// Time draws a minute within two weeks that hold a change to summer time (Europe/Madrid, 2026-03-29).
func Time() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		start := time.Date(2026, 3, 22, 0, 0, 0, 0, time.UTC)
		return start.Add(time.Duration(rapid.IntRange(0, 14*24*60-1).Draw(t, "minute")) * time.Minute)
	})
}

// Query draws a query about a device of the world or the router itself.
func Query(c *policy.Compiled) *rapid.Generator[policy.Query] {
	return rapid.Custom(func(t *rapid.T) policy.Query {
		q := policy.Query{Target: Target().Draw(t, "target"), Time: Time().Draw(t, "time")}
		if device := rapid.SampledFrom(append(Devices(), "")).Draw(t, "device"); device != "" {
			q.Subject = c.Subject(device)
		} else {
			q.Subject = policy.Subject{Router: true}
		}
		return q
	})
}
