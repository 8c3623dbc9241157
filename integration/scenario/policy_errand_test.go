package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/internet"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// errand is one flow that a host tries.
type errand struct {
	kind   string // see the cases of try
	to     string // a name or an address
	port   uint16
	dscp   int
	family client.Family
	tag    string
}

func (a errand) String() string {
	s := fmt.Sprintf("%-4s %s:%d", a.kind, a.to, a.port)
	if a.dscp != 0 {
		s += fmt.Sprintf(" dscp %d", a.dscp)
	}
	if a.family != client.AnyFamily {
		s += " " + string(a.family)
	}
	return s
}

// question is the flow as "why" is asked about it.
func (a errand) question(device string) question {
	q := question{device: device, to: a.to, port: int(a.port), dscp: a.dscp}
	switch a.kind {
	case "h3", "udp", "game":
		q.proto = "udp"
	case "ping":
		q.proto = "icmp"
	}
	return q
}

// result is what became of an errand.
type result struct {
	seen  []netip.Addr // the sources that the server saw, in order, without repetition
	addr  netip.Addr   // the server's
	cause client.Cause // why there is no source
	err   error
}

// try does the errand. A flow that is to be refused is not waited for as long as one that is to pass: the length of the
// wait decides nothing, because a flow that passes against the rules is found in the servers' records too.
func (h *house) try(ctx context.Context, pings *pingWitness, host string, a errand, refused bool) result {
	patience := paced(20 * time.Second)
	if refused {
		patience = paced(2 * time.Second)
	}
	target := client.Target{Host: a.to, Port: a.port, DSCP: a.dscp, Family: a.family}
	agent := h.Agent(host)
	web := func(proto string, plain bool) result {
		got, err := agent.HTTP(ctx, client.HTTP{Target: target, Plain: plain, Proto: proto, Tag: a.tag, Timeout: patience}, nil)
		return outcome(got.Addr.Addr(), err, got.Seen.Remote.Addr())
	}
	switch a.kind {
	case "web":
		return web(client.AnyHTTP, false)
	case "h1":
		return web(client.HTTP1, false)
	case "h2":
		return web(client.HTTP2, false)
	case "h3":
		return web(client.HTTP3, false)
	case "http":
		return web(client.AnyHTTP, true)
	case "curl":
		got, err := agent.Curl(ctx, client.Curl{Target: target, Tag: a.tag, Timeout: patience})
		return curled(got, err)
	case "tcp":
		got, err := agent.Connect(ctx, client.Connect{Target: target, Timeout: patience, Wait: patience})
		return outcome(got.Addr.Addr(), err, got.Seen.Remote.Addr())
	case "udp", "game":
		if refused {
			// A single datagram on a connected socket tells how it was refused.
			d := wire.Datagram{Kind: wire.KindEcho, Session: 1, Seq: 1, Tag: a.tag}
			_, err := agent.Connect(ctx, client.Connect{Target: target, Network: "udp", Send: string(d.Append(nil, 0)), Wait: patience})
			return outcome(netip.Addr{}, err)
		}
		got, err := agent.Ticks(ctx, client.Ticks{Target: target, Game: a.kind == "game", Tag: a.tag, Count: 5, Rate: 50, Grace: 3 * time.Second}, nil)
		var seen []netip.Addr
		for _, s := range got.Sources {
			seen = append(seen, s.Seen.Addr())
		}
		return outcome(got.Addr.Addr(), err, seen...)
	case "ping":
		got, err := agent.Ping(ctx, client.Ping{Target: target, Count: 3, Interval: 30 * time.Millisecond, Timeout: patience / 5})
		switch {
		case err != nil:
			return outcome(got.Addr, err)
		case got.Received > 0:
			return outcome(got.Addr, nil, pings.sources(got.Addr)...)
		case got.Unreachable > 0:
			return result{addr: got.Addr, cause: client.Unreachable}
		}
		return result{addr: got.Addr, cause: client.Timeout}
	}
	return result{err: fmt.Errorf("no kind of flow %q", a.kind)}
}

func outcome(addr netip.Addr, err error, seen ...netip.Addr) result {
	r := result{addr: addr, err: err, cause: client.CauseOf(err)}
	for _, s := range seen {
		if s = s.Unmap(); s.IsValid() && !slices.Contains(r.seen, s) {
			r.seen = append(r.seen, s)
		}
	}
	if len(r.seen) == 0 && err == nil {
		r.cause = client.Timeout
	}
	return r
}

// curled reads what the server saw out of curl's output, and the cause out of its exit code (curl(1), EXIT CODES).
func curled(got client.Executed, err error) result {
	if err != nil {
		return outcome(netip.Addr{}, err)
	}
	if got.Code != 0 {
		cause := client.Other
		switch got.Code {
		case 7:
			cause = client.Refused
		case 28:
			cause = client.Timeout
		}
		return result{err: fmt.Errorf("curl ended with %d: %s", got.Code, got.Stderr), cause: cause}
	}
	var page wire.Answer
	if err := json.Unmarshal([]byte(got.Stdout), &page); err != nil {
		return result{err: fmt.Errorf("what curl got is not the server's page: %w", err), cause: client.Other}
	}
	return outcome(page.Local.Addr(), nil, page.Remote.Addr())
}

// pingWitness sees the echo requests that reach the lab's internet, whose kernel answers them and keeps no record.
type pingWitness struct {
	mu   sync.Mutex
	from map[netip.Addr][]netip.Addr // by destination
}

// watchPings opens a witness for the time of a test.
func (h *house) watchPings(t *testing.T) *pingWitness {
	t.Helper()
	w := &pingWitness{from: map[netip.Addr][]netip.Addr{}}
	var p4 *ipv4.PacketConn
	var p6 *ipv6.PacketConn
	err := h.Lab.Internet().Do(func() error {
		c4, err := net.ListenPacket("ip4:icmp", "0.0.0.0")
		if err != nil {
			return err
		}
		t.Cleanup(func() { c4.Close() })
		c6, err := net.ListenPacket("ip6:ipv6-icmp", "::")
		if err != nil {
			return err
		}
		t.Cleanup(func() { c6.Close() })
		p4, p6 = ipv4.NewPacketConn(c4), ipv6.NewPacketConn(c6)
		return errors.Join(p4.SetControlMessage(ipv4.FlagDst, true), p6.SetControlMessage(ipv6.FlagDst, true))
	})
	if err != nil {
		t.Fatalf("watching the internet's pings: %v", err)
	}
	go w.read(func(b []byte) (net.Addr, net.IP, int, error) {
		n, cm, src, err := p4.ReadFrom(b)
		if cm == nil || n == 0 || b[0] != byte(ipv4.ICMPTypeEcho) {
			return nil, nil, 0, err
		}
		return src, cm.Dst, n, err
	})
	go w.read(func(b []byte) (net.Addr, net.IP, int, error) {
		n, cm, src, err := p6.ReadFrom(b)
		if cm == nil || n == 0 || b[0] != byte(ipv6.ICMPTypeEchoRequest) {
			return nil, nil, 0, err
		}
		return src, cm.Dst, n, err
	})
	return w
}

// read notes echo requests until the socket is closed.
func (w *pingWitness) read(next func([]byte) (net.Addr, net.IP, int, error)) {
	buf := make([]byte, 2048)
	for {
		src, dst, _, err := next(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		ip, ok := src.(*net.IPAddr)
		if !ok {
			continue
		}
		from, _ := netip.AddrFromSlice(ip.IP)
		to, _ := netip.AddrFromSlice(dst)
		w.mu.Lock()
		w.from[to.Unmap()] = append(w.from[to.Unmap()], from.Unmap())
		w.mu.Unlock()
	}
}

// sources are the senders of the echo requests to an address since the last call.
func (w *pingWitness) sources(to netip.Addr) []netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.from[to]
	delete(w.from, to)
	return out
}

// reached tells whether any server has a record of a tag.
func (h *house) reached(t testing.TB, tag string) bool {
	t.Helper()
	p, err := h.Observer.Records(t.Context(), internet.Filter{Tag: tag})
	if err != nil {
		t.Error(err)
	}
	return len(p.Records) > 0
}
