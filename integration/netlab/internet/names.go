package internet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Name is one host name of the lab's internet and what DNS says of it.
type Name struct {
	// Host is the name in lower case without the final dot.
	Host string `json:"host"`
	// App says to which service the name belongs, in the words of a person reading a test.
	App string `json:"app"`
	// TTL is the life of all its records in seconds.
	TTL uint32 `json:"ttl"`
	// CNAME makes the name an alias; it then has nothing else.
	CNAME string       `json:"cname,omitempty"`
	V4    []netip.Addr `json:"v4,omitempty"`
	V6    []netip.Addr `json:"v6,omitempty"`
	// HTTPS is its type 65 record (RFC 9460); nil if it has none.
	HTTPS *HTTPSRecord `json:"https,omitempty"`
}

// HTTPSRecord is a record of type 65. With a Target it is in alias mode and has nothing else.
type HTTPSRecord struct {
	Target string   `json:"target,omitempty"`
	ALPN   []string `json:"alpn,omitempty"`
	// Hints adds ipv4hint and ipv6hint with the name's own addresses.
	Hints bool `json:"hints,omitempty"`
}

// The resolvers that the WANs hand out; `dns.google` has the same addresses.
const (
	Resolver4 = "198.51.100.53"
	Resolver6 = "2001:db8:100::53"
)

// Names returns the table of names: fresh on every call, sorted by service.
//
// What a test may build on: names with several addresses (youtube-ui.l.google.com), chains of aliases
// (www.netflix.com, download.windowsupdate.com), one name with IPv4 alone (github.com) and one with IPv6 alone
// (ipv6.google.com) among others, lives from 5 s (zoom.us) to a day (en.wikipedia.org's target), and two services on one
// address: the update CDN a1.wu.akamaiedge.net and the video host rr5---sn-4g5lznes.googlevideo.com.
func Names() []Name {
	h2 := &HTTPSRecord{ALPN: []string{"h2"}}
	h3 := &HTTPSRecord{ALPN: []string{"h3", "h2"}}
	hinted := &HTTPSRecord{ALPN: []string{"h3", "h2"}, Hints: true}
	const sharedV4, sharedV6 = "203.0.113.80", "2001:db8:100:80::1"
	return []Name{
		// Targets for probes, and the resolver.
		host("one.one.one.one", "probe", 3600, nil, "198.51.100.1 2001:db8:100::1"),
		host("dns.google", "resolver", 900, h3, Resolver4+" "+Resolver6),
		host("www.google.com", "google", 300, h3, "198.51.100.10 2001:db8:100::10"),
		host("connectivitycheck.gstatic.com", "google", 300, nil, "198.51.100.11 2001:db8:100::11"),
		host("captive.apple.com", "apple", 300, nil, "198.51.100.12 2001:db8:100::12"),
		host("ipv6.google.com", "google", 300, nil, "2001:db8:100::16"),

		// Video.
		host("youtube.com", "youtube", 300, hinted, "203.0.113.10 2001:db8:100:10::1"),
		alias("www.youtube.com", "youtube", 600, "youtube-ui.l.google.com"),
		host("youtube-ui.l.google.com", "youtube", 60, hinted,
			"203.0.113.11 203.0.113.12 203.0.113.13 203.0.113.14 2001:db8:100:10::11 2001:db8:100:10::12 2001:db8:100:10::13 2001:db8:100:10::14"),
		host("i.ytimg.com", "youtube", 120, h3, "203.0.113.15 2001:db8:100:10::15"),
		host("rr1---sn-4g5e6nez.googlevideo.com", "youtube", 1800, h3, "203.0.113.16 2001:db8:100:10::16"),
		host("rr5---sn-4g5lznes.googlevideo.com", "youtube", 1800, h3, sharedV4+" "+sharedV6),
		alias("www.netflix.com", "netflix", 300, "www.dradis.netflix.com"),
		alias("www.dradis.netflix.com", "netflix", 60, "www.eu-west-1.internal.dradis.netflix.com"),
		host("www.eu-west-1.internal.dradis.netflix.com", "netflix", 60, h2,
			"203.0.113.20 203.0.113.21 203.0.113.22 2001:db8:100:20::1 2001:db8:100:20::2 2001:db8:100:20::3"),
		host("ipv4-c001-ams001-ix.1.oca.nflxvideo.net", "netflix", 60, nil, "203.0.113.23"),
		host("ipv6-c002-ams001-ix.1.oca.nflxvideo.net", "netflix", 60, nil, "2001:db8:100:20::23"),
		host("www.tiktok.com", "tiktok", 20, h3, "203.0.113.25 2001:db8:100:25::1"),
		host("v16-webapp.tiktokcdn.com", "tiktok", 20, h3, "203.0.113.26 203.0.113.27 2001:db8:100:25::26 2001:db8:100:25::27"),

		// Calls, messages, music.
		host("zoom.us", "zoom", 5, h2, "192.0.2.30 2001:db8:100:30::1"),
		host("us04web.zoom.us", "zoom", 60, h2, "192.0.2.31 2001:db8:100:30::31"),
		host("zoomff101mmr.zoom.us", "zoom", 60, nil, "192.0.2.32 2001:db8:100:30::32"),
		host("web.whatsapp.com", "whatsapp", 30, hinted, "192.0.2.40 2001:db8:100:40::1"),
		host("g.whatsapp.net", "whatsapp", 30, nil, "192.0.2.41 2001:db8:100:40::41"),
		host("mmg.whatsapp.net", "whatsapp", 30, h3, "192.0.2.42 2001:db8:100:40::42"),
		host("open.spotify.com", "spotify", 300, h2, "192.0.2.45 2001:db8:100:45::1"),
		host("audio-fa.scdn.co", "spotify", 300, h2, "192.0.2.46 2001:db8:100:45::46"),

		// Games.
		host("store.steampowered.com", "steam", 120, h2, "192.0.2.50 2001:db8:100:50::1"),
		host("cache1-ams1.steamcontent.com", "steam", 3600, nil, "192.0.2.51 192.0.2.52 2001:db8:100:50::51 2001:db8:100:50::52"),
		host("cm2-ams1.cm.steampowered.com", "steam", 3600, nil, "192.0.2.53 2001:db8:100:50::53"),
		host("title.mgt.xboxlive.com", "xbox", 300, h2, "192.0.2.55 2001:db8:100:55::1"),
		host("gs2.ww.prod.dl.playstation.net", "playstation", 60, nil, "192.0.2.57"),

		// Updates. The Windows CDN sits on the address of a video host.
		alias("download.windowsupdate.com", "windowsupdate", 3600, "wu-f-net.trafficmanager.net"),
		alias("wu-f-net.trafficmanager.net", "windowsupdate", 60, "a1.wu.akamaiedge.net"),
		host("a1.wu.akamaiedge.net", "windowsupdate", 20, nil, sharedV4+" "+sharedV6),
		alias("swcdn.apple.com", "appleupdate", 3600, "swcdn.g.aaplimg.com"),
		host("swcdn.g.aaplimg.com", "appleupdate", 15, h2, "203.0.113.60 203.0.113.61 2001:db8:100:60::1 2001:db8:100:60::2"),

		// Money, knowledge, work, home.
		host("www.ing.de", "bank", 300, h2, "198.51.100.70 2001:db8:100:70::1"),
		host("banking.ing.de", "bank", 30, h2, "198.51.100.71 2001:db8:100:70::71"),
		alias("en.wikipedia.org", "wikipedia", 86400, "dyna.wikimedia.org"),
		host("dyna.wikimedia.org", "wikipedia", 86400, h2, "198.51.100.75 2001:db8:100:75::1"),
		host("github.com", "github", 60, nil, "198.51.100.78"),
		{Host: "github.io", App: "github", TTL: 60, V4: addrs("198.51.100.79"), V6: addrs("2001:db8:100:78::79"),
			HTTPS: &HTTPSRecord{Target: "dyna.wikimedia.org"}},
		host("upload.arlo.com", "arlo", 60, nil, "198.51.100.85 2001:db8:100:85::1"),

		// What a household blocks, and what no catalogue knows.
		host("googleads.g.doubleclick.net", "ads", 300, h3, "198.51.100.90 2001:db8:100:90::1"),
		host("www.bet365.com", "gambling", 300, h2, "198.51.100.91 2001:db8:100:91::1"),
		host("www.xn--stille-ecke-0db.example", "unknown", 30, nil, "198.51.100.95 2001:db8:100:95::1"),
	}
}

// Find returns the entry of a host name in a table.
func Find(names []Name, host string) (Name, bool) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	i := slices.IndexFunc(names, func(n Name) bool { return n.Host == host })
	if i < 0 {
		return Name{}, false
	}
	return names[i], true
}

// Addresses returns every address of Names as a /32 or /128, sorted, each once: what the topology assigns to the
// namespace in which Run listens.
func Addresses() []netip.Prefix {
	var all []netip.Prefix
	for _, n := range Names() {
		for _, a := range slices.Concat(n.V4, n.V6) {
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// Networks are the prefixes that hold all of Addresses: what the WANs route to the internet.
func Networks() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"),    // RFC 5737 TEST-NET-1
		netip.MustParsePrefix("198.51.100.0/24"), // TEST-NET-2
		netip.MustParsePrefix("203.0.113.0/24"),  // TEST-NET-3
		netip.MustParsePrefix("2001:db8:100::/48"),
	}
}

func host(name, app string, ttl uint32, record *HTTPSRecord, list string) Name {
	n := Name{Host: name, App: app, TTL: ttl, HTTPS: record}
	for _, a := range addrs(list) {
		if a.Is4() {
			n.V4 = append(n.V4, a)
		} else {
			n.V6 = append(n.V6, a)
		}
	}
	return n
}

func alias(name, app string, ttl uint32, target string) Name {
	return Name{Host: name, App: app, TTL: ttl, CNAME: target}
}

// addrs parses a list that stands in this file; a mistake in it is a mistake of the program.
func addrs(list string) []netip.Addr {
	var out []netip.Addr
	for _, s := range strings.Fields(list) {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// checkNames says what is impossible in a table.
func checkNames(names []Name) error {
	known := make(map[string]Name, len(names))
	for _, n := range names {
		if n.Host == "" || n.Host != strings.ToLower(n.Host) || strings.HasSuffix(n.Host, ".") {
			return fmt.Errorf("name %q: want lower case without a final dot", n.Host)
		}
		if _, twice := known[n.Host]; twice {
			return fmt.Errorf("name %q stands twice in the table", n.Host)
		}
		if n.CNAME != "" && (len(n.V4)+len(n.V6) > 0 || n.HTTPS != nil) {
			return fmt.Errorf("name %q: an alias has no other records", n.Host)
		}
		known[n.Host] = n
	}
	for _, n := range names {
		for step, at := 0, n; at.CNAME != ""; step++ {
			target, ok := known[at.CNAME]
			if !ok {
				return fmt.Errorf("name %q: alias of %q, which is not in the table", at.Host, at.CNAME)
			}
			if step == maxChain {
				return fmt.Errorf("name %q: more than %d aliases in a row", n.Host, maxChain)
			}
			at = target
		}
	}
	return nil
}
