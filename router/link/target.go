package link

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/trenza-router/trenza/router/flow"
)

// TargetKind is how a target is asked for a sign of life.
type TargetKind uint8

const (
	ICMP TargetKind = iota // an echo
	DNS                    // a query over UDP
	TCP                    // a connection, closed at once
	HTTP                   // a request whose answer is known, which also finds captive portals
)

// Target is something beyond the link that should answer. It is comparable. Texts:
//
//	icmp:ADDR                              icmp:198.51.100.1, icmp:[2001:db8::1]
//	dns:ADDR[:PORT][/NAME]                 dns:198.51.100.53/example.net; without a name the root's name servers are asked for
//	tcp:ADDR:PORT                          tcp:[2001:db8::10]:443
//	http://[HOST@]ADDR[:PORT]/PATH[#BODY]  expects 204 without content, or with #BODY 200 and a content that begins with BODY
//
// Addresses are never names: a probe must not depend on the resolver that depends on the link. IPv6 addresses stand
// in brackets. HOST is sent as the Host header.
type Target struct {
	Kind TargetKind
	Addr netip.AddrPort // port 0 for ICMP
	Name string         // DNS: the name asked for ("" is the root). HTTP: the Host header; "" is the address
	Path string         // HTTP: path and query, begins with '/'
	Body string         // HTTP: what a 200 begins with; "" expects 204
}

const maxTarget = 1024 // bytes of text

// ParseTarget reads a target; the error says what would be right.
func ParseTarget(s string) (Target, error) {
	t, err := parseTarget(s)
	if err != nil {
		return Target{}, fmt.Errorf("probe target %q: %w", s, err)
	}
	return t, nil
}

func parseTarget(s string) (Target, error) {
	if len(s) > maxTarget {
		return Target{}, fmt.Errorf("longer than %d bytes", maxTarget)
	}
	if strings.HasPrefix(s, "http://") {
		return parseHTTP(s)
	}
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "icmp":
		a, err := parseAddr(rest)
		return Target{Kind: ICMP, Addr: netip.AddrPortFrom(a, 0)}, err
	case "tcp":
		ap, err := netip.ParseAddrPort(rest)
		if err != nil || ap.Port() == 0 {
			return Target{}, fmt.Errorf("use tcp:ADDR:PORT, for example tcp:198.51.100.10:443 or tcp:[2001:db8::10]:443")
		}
		return Target{Kind: TCP, Addr: unmap(ap)}, nil
	case "dns":
		return parseDNS(rest)
	}
	return Target{}, fmt.Errorf("use icmp:ADDR, dns:ADDR, tcp:ADDR:PORT or http://ADDR/path")
}

func parseDNS(s string) (Target, error) {
	server, name, named := strings.Cut(s, "/")
	if named {
		clean, ok := flow.CleanHost(name)
		if !ok {
			return Target{}, fmt.Errorf("%q is no host name; use dns:ADDR/NAME, or dns:ADDR alone", name)
		}
		name = clean
	}
	if a, err := parseAddr(server); err == nil {
		return Target{Kind: DNS, Addr: netip.AddrPortFrom(a, 53), Name: name}, nil
	}
	ap, err := netip.ParseAddrPort(server)
	if err != nil || ap.Port() == 0 {
		return Target{}, fmt.Errorf("use dns:ADDR or dns:ADDR/NAME, for example dns:198.51.100.53 or dns:[2001:db8::53]/example.net")
	}
	return Target{Kind: DNS, Addr: unmap(ap), Name: name}, nil
}

func parseHTTP(s string) (Target, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Target{}, fmt.Errorf("not a web address: %w", err)
	}
	port := uint64(80)
	if p := u.Port(); p != "" {
		if port, err = strconv.ParseUint(p, 10, 16); err != nil || port == 0 {
			return Target{}, fmt.Errorf("port %q: use 1 to 65535", p)
		}
	}
	a, err := netip.ParseAddr(u.Hostname())
	if err != nil || strings.HasPrefix(u.Host, "[") != a.Is6() {
		return Target{}, fmt.Errorf("use a literal address: http://ADDR[:PORT]/path, or http://HOST@ADDR/path for a server that wants a name")
	}
	t := Target{Kind: HTTP, Addr: netip.AddrPortFrom(a.Unmap(), uint16(port)), Path: u.RequestURI(), Body: u.Fragment}
	if u.User != nil {
		host, ok := flow.CleanHost(u.User.Username())
		if _, password := u.User.Password(); password || !ok {
			return Target{}, fmt.Errorf("before the @ stands the server's host name and nothing else")
		}
		t.Name = host
	}
	if !strings.HasPrefix(t.Path, "/") || strings.ContainsAny(t.Body, "\r\n") {
		return Target{}, fmt.Errorf("the path begins with / and the expected content is one line")
	}
	return t, nil
}

// parseAddr reads an address, IPv6 in brackets or, where nothing can follow, bare.
func parseAddr(s string) (netip.Addr, error) {
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	a, err := netip.ParseAddr(bare)
	if err != nil || bare != s && !a.Is6() {
		return netip.Addr{}, fmt.Errorf("%q is no address; use one like 198.51.100.1 or [2001:db8::1]", s)
	}
	return a.Unmap(), nil
}

func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// String is the text that ParseTarget reads back as the same target.
func (t Target) String() string {
	addr := t.Addr.Addr().String()
	if t.Addr.Addr().Is6() {
		addr = "[" + addr + "]"
	}
	switch t.Kind {
	case ICMP:
		return "icmp:" + addr
	case DNS:
		s := "dns:" + addr
		if t.Addr.Port() != 53 {
			s += fmt.Sprintf(":%d", t.Addr.Port())
		}
		if t.Name != "" {
			s += "/" + t.Name
		}
		return s
	case TCP:
		return "tcp:" + t.Addr.String()
	}
	s := "http://"
	if t.Name != "" {
		s += t.Name + "@"
	}
	s += strings.ReplaceAll(addr, "%", "%25") // RFC 6874: a zone in a URL
	if t.Addr.Port() != 80 {
		s += fmt.Sprintf(":%d", t.Addr.Port())
	}
	s += t.Path
	if t.Body != "" {
		s += "#" + (&url.URL{Fragment: t.Body}).EscapedFragment()
	}
	return s
}

// MarshalText and UnmarshalText let a target stand in YAML and JSON as its text.
func (t Target) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

func (t *Target) UnmarshalText(b []byte) error {
	v, err := ParseTarget(string(b))
	if err == nil {
		*t = v
	}
	return err
}

// cheap tells whether the target costs little enough to be asked every second for a month over a metered link: some
// hundred bytes. A TCP or HTTP exchange costs ten times that.
func (t Target) cheap() bool { return t.Kind == ICMP || t.Kind == DNS }

// v6 tells the family that the target is reached by.
func (t Target) v6() bool { return t.Addr.Addr().Is6() }
