package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Client runs jobs in the network namespace of this process. It has no state and is safe for concurrent use.
type Client struct{ env Env }

// New returns the client of a host.
func New(env Env) *Client { return &Client{env} }

// Resolve asks one question. The error is for no answer at all; then Rcode is empty.
func (c *Client) Resolve(ctx context.Context, job Resolve) (Resolved, error) {
	if job.Type == "" {
		job.Type = "A"
	}
	qtype, ok := dns.StringToType[strings.ToUpper(job.Type)]
	if !ok {
		return Resolved{}, badJob("resolve %s: no record type %q", job.Name, job.Type)
	}
	if _, ok := dns.IsDomainName(job.Name); !ok {
		return Resolved{}, badJob("resolve %q: not a domain name", job.Name)
	}
	conf, err := c.resolvers(job.Server)
	if err != nil {
		return Resolved{}, err
	}
	query := new(dns.Msg).SetQuestion(dns.Fqdn(job.Name), qtype)
	query.SetEdns0(1232, false)
	var failed error
	for range max(conf.Attempts, 1) {
		for _, host := range conf.Servers {
			start := time.Now()
			answer, overTCP, err := ask(ctx, query, net.JoinHostPort(host, conf.Port), job.TCP, time.Duration(conf.Timeout)*time.Second)
			if err != nil {
				failed = fmt.Errorf("resolve %s %s by %s: %w", job.Name, job.Type, host, err)
				if ctx.Err() != nil {
					return Resolved{}, failed
				}
				continue
			}
			out := resolved(answer)
			out.TCP, out.Took = overTCP, time.Since(start)
			out.Server, _ = netip.ParseAddrPort(net.JoinHostPort(host, conf.Port))
			return out, nil
		}
	}
	return Resolved{}, failed
}

func (c *Client) resolvers(server netip.AddrPort) (*dns.ClientConfig, error) {
	if server.IsValid() {
		return &dns.ClientConfig{Servers: []string{server.Addr().String()}, Port: fmt.Sprint(server.Port()), Attempts: 2, Timeout: 5}, nil
	}
	conf, err := dns.ClientConfigFromFile(c.env.Resolv)
	if err != nil {
		return nil, fmt.Errorf("read the host's resolvers: %w", err)
	}
	if len(conf.Servers) == 0 {
		return nil, fmt.Errorf("read the host's resolvers: %s names none", c.env.Resolv)
	}
	return conf, nil
}

// ask sends one query to one server, over UDP first and over TCP when the answer was cut, or at once when told.
func ask(ctx context.Context, query *dns.Msg, server string, tcp bool, timeout time.Duration) (*dns.Msg, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	query = query.Copy()
	query.Id = dns.Id()
	if !tcp {
		answer, _, err := (&dns.Client{Net: "udp", Timeout: timeout}).ExchangeContext(ctx, query, server)
		if err != nil || !answer.Truncated {
			return answer, false, err
		}
	}
	answer, _, err := (&dns.Client{Net: "tcp", Timeout: timeout}).ExchangeContext(ctx, query, server)
	return answer, true, err
}

func resolved(answer *dns.Msg) Resolved {
	out := Resolved{Rcode: dns.RcodeToString[answer.Rcode], TTL: math.MaxUint32}
	for _, rr := range answer.Answer {
		out.Answers = append(out.Answers, rr.String())
		out.TTL = min(out.TTL, rr.Header().Ttl)
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		default:
			continue
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			out.Addrs = append(out.Addrs, a.Unmap())
		}
	}
	if len(out.Answers) == 0 {
		out.TTL = 0
	}
	return out
}

// addresses finds where a target is: in the order to try.
func (c *Client) addresses(ctx context.Context, t Target) ([]netip.Addr, error) {
	fits := func(a netip.Addr) bool {
		return t.Family == AnyFamily || (t.Family == V4) == a.Is4()
	}
	if t.Family != AnyFamily && t.Family != V4 && t.Family != V6 {
		return nil, badJob("family %q: want %q, %q or nothing", t.Family, V4, V6)
	}
	addr := t.Addr
	if !addr.IsValid() {
		addr, _ = netip.ParseAddr(t.Host)
	}
	if addr.IsValid() {
		if !fits(addr.Unmap()) {
			return nil, badJob("address %s is not of family %s", addr, t.Family)
		}
		return []netip.Addr{addr.Unmap()}, nil
	}
	if t.Host == "" {
		return nil, badJob("neither host nor address")
	}
	types := map[Family][]string{V4: {"A"}, V6: {"AAAA"}, AnyFamily: {"AAAA", "A"}}[t.Family]
	answers, errs := make([]Resolved, len(types)), make([]error, len(types))
	var wg sync.WaitGroup
	for i, qtype := range types {
		wg.Go(func() { answers[i], errs[i] = c.Resolve(ctx, Resolve{Name: t.Host, Type: qtype}) })
	}
	wg.Wait()
	var all []netip.Addr
	for i := 0; ; i++ {
		taken := false
		for _, a := range answers { // one of each family in turn (RFC 8305, section 4)
			if i < len(a.Addrs) {
				all, taken = append(all, a.Addrs[i]), true
			}
		}
		if !taken {
			break
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &nameError{t.Host, err}
	}
	return nil, &nameError{t.Host, fmt.Errorf("%s, no address for %s", answers[0].Rcode, strings.Join(types, " and "))}
}
