package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Proto is how a name server is spoken to.
type Proto uint8

const (
	Plain Proto = iota // UDP, and TCP for what does not fit (RFC 1035)
	TLS                // DNS over TLS (RFC 7858)
	HTTPS              // DNS over HTTPS (RFC 8484)
)

// Ports that a name server has when none is stated.
const (
	plainPort = 53
	tlsPort   = 853
	httpsPort = 443
)

// dohPath is where most servers answer, and the path when none is stated.
const dohPath = "/dns-query"

// Server is a name server. It always has an address: nothing must be resolved before it can be asked.
type Server struct {
	Proto Proto
	Addr  netip.AddrPort
	Name  string // the certificate must be for it; "": for the address itself (TLS and HTTPS)
	Path  string // of HTTPS, with its slash
}

// PlainAt is the server at an address, asked on the usual port without encryption.
func PlainAt(a netip.Addr) Server { return Server{Addr: netip.AddrPortFrom(a, plainPort)} }

// Encrypted tells whether questions are hidden from those on the way.
func (s Server) Encrypted() bool { return s.Proto != Plain }

// errForm says all forms of a server.
var errForm = errors.New("use an IP address, tls://[NAME@]ADDRESS[:PORT] or https://[NAME@]ADDRESS[:PORT][/PATH], with IPv6 addresses in brackets after ://")

// ParseServer reads a server: "9.9.9.9", "tls://dns.quad9.net@9.9.9.9" or "https://dns.quad9.net@[2620:fe::fe]/dns-query". The
// address is always stated, so that no other server is needed to find it; the name is what the certificate is checked for.
func ParseServer(s string) (Server, error) {
	out, err := parseServer(s)
	if err != nil {
		return Server{}, fmt.Errorf("name server %q: %w", s, err)
	}
	return out, nil
}

func parseServer(s string) (Server, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return Server{}, errForm
		}
		return PlainAt(a.Unmap()), nil
	}
	out := Server{Proto: TLS}
	port := uint16(tlsPort)
	switch scheme {
	case "tls":
	case "https":
		out.Proto, port = HTTPS, httpsPort
		var path string
		if rest, path, ok = strings.Cut(rest, "/"); ok {
			out.Path = "/" + path
		} else {
			out.Path = dohPath
		}
		if u, err := url.ParseRequestURI(out.Path); err != nil || u.RawQuery != "" || u.EscapedPath() != out.Path {
			return Server{}, fmt.Errorf("%q is not the path of a name server: most have %s", out.Path, dohPath)
		}
	default:
		return Server{}, errForm
	}
	if name, after, named := strings.Cut(rest, "@"); named {
		if !validHost(name) {
			return Server{}, fmt.Errorf("%q is not the name of a server", name)
		}
		out.Name, rest = strings.ToLower(name), after
	}
	addr, err := parseAddr(rest, port)
	if err != nil && out.Name == "" && validHost(rest) {
		return Server{}, fmt.Errorf("state its address behind the name, as in %s://%s@192.0.2.1: it cannot be looked up before a server is known", scheme, rest)
	}
	out.Addr = addr
	return out, err
}

// parseAddr reads "192.0.2.1", "192.0.2.1:853", "[2001:db8::1]" or "[2001:db8::1]:853".
func parseAddr(s string, port uint16) (netip.AddrPort, error) {
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		a, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !a.Is6() {
			return netip.AddrPort{}, errForm
		}
		return netip.AddrPortFrom(a.Unmap(), port), nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
		return netip.AddrPortFrom(a, port), nil
	}
	host, digits, err := net.SplitHostPort(s)
	if err != nil {
		return netip.AddrPort{}, errForm
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, errForm
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 {
		return netip.AddrPort{}, fmt.Errorf("port %q: use 1 to 65535", digits)
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}

// validHost tells whether a text is a host name (RFC 1123 §2.1) with a dot, and no address.
func validHost(s string) bool {
	if len(s) > 253 || !strings.Contains(s, ".") {
		return false
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.IndexFunc(label, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
		}) >= 0 {
			return false
		}
	}
	return true
}

// String writes a server in the form that ParseServer reads.
func (s Server) String() string {
	scheme, port := "tls://", uint16(tlsPort)
	switch s.Proto {
	case Plain:
		if s.Addr.Port() == plainPort {
			return s.Addr.Addr().String()
		}
		return s.Addr.String() // only a program makes one
	case HTTPS:
		scheme, port = "https://", httpsPort
	}
	if s.Name != "" {
		scheme += s.Name + "@"
	}
	at := s.Addr.String()
	if s.Addr.Port() == port {
		at = strings.TrimSuffix(at, ":"+strconv.Itoa(int(port)))
	}
	return scheme + at + s.Path
}

// UnmarshalText reads the form of ParseServer.
func (s *Server) UnmarshalText(text []byte) (err error) {
	*s, err = ParseServer(string(text))
	return err
}

// MarshalText writes it.
func (s Server) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// verified is the name or address that the server's certificate must be for.
func (s Server) verified() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Addr.Addr().WithZone("").String()
}
