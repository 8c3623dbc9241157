package resolver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/resolver/upstream"
)

// plainSockets are the machine's own sockets: the way does not matter on loopback.
type plainSockets struct{}

func (plainSockets) Dial(ctx context.Context, _ hal.Via, network string, to netip.AddrPort) (hal.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, to.String())
}

func (plainSockets) Ping(context.Context, hal.Via, netip.Addr) (time.Duration, error) {
	return 0, errors.ErrUnsupported
}

// nameServer is a real DNS server on loopback, UDP and TCP on one port.
type nameServer struct {
	Upstream
	mu    sync.Mutex
	asked []string // "udp A name"
}

func (u *nameServer) questions() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.asked)
}

func newUpstream(t testing.TB, link string, f func(w dns.ResponseWriter, q *dns.Msg)) *nameServer {
	t.Helper()
	u := &nameServer{}
	pc, l := listenBoth(t)
	u.Upstream = Upstream{Server: upstream.Server{Addr: addrPortOf(pc.LocalAddr())}, Link: link}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		u.mu.Lock()
		u.asked = append(u.asked, w.RemoteAddr().Network()+" "+dns.TypeToString[q.Question[0].Qtype]+" "+dns.CanonicalName(q.Question[0].Name))
		u.mu.Unlock()
		f(w, q)
	})
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: handler}, {Listener: l, Handler: handler}} {
		started, ended := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { defer close(ended); s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { s.Shutdown(); <-ended })
	}
	return u
}

// listenBoth takes one port for UDP and TCP. Another program may have the second one of a port whose first is free.
func listenBoth(t testing.TB) (pc net.PacketConn, l net.Listener) {
	t.Helper()
	for range 50 {
		var err error
		if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if l, err = net.Listen("tcp", pc.LocalAddr().String()); err == nil {
			return pc, l
		}
		pc.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// zone answers from records in the text form; names without records do not exist.
func zone(t testing.TB, records ...string) func(dns.ResponseWriter, *dns.Msg) {
	t.Helper()
	var rrs []dns.RR
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		rrs = append(rrs, rr)
	}
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		exists := false
		name := q.Question[0].Name
		for range 4 {
			next := ""
			for _, rr := range rrs {
				h := rr.Header()
				if dns.CanonicalName(h.Name) != dns.CanonicalName(name) {
					continue
				}
				exists = true
				alias, isAlias := rr.(*dns.CNAME)
				if h.Rrtype == q.Question[0].Qtype || isAlias {
					rr = dns.Copy(rr)
					rr.Header().Name = name
					m.Answer = append(m.Answer, rr)
				}
				if isAlias {
					next = alias.Target
				}
			}
			if next == "" {
				break
			}
			name = next
		}
		if !exists {
			m.Rcode = dns.RcodeNameError
		}
		if len(m.Answer) == 0 {
			soa, _ := dns.NewRR("example. 600 IN SOA ns.example. admin.example. 1 2 3 4 60")
			m.Ns = []dns.RR{soa}
		}
		if err := w.WriteMsg(m); err != nil {
			t.Errorf("upstream: %v", err)
		}
	}
}

func hang(dns.ResponseWriter, *dns.Msg) {}

// observed is one call of the Observer.
type observed struct {
	client netip.Addr
	host   string
	addrs  string
	ttl    time.Duration
}

type recorder struct {
	mu   sync.Mutex
	list []observed
}

func (o *recorder) observe(_ context.Context, client netip.AddrPort, host string, addrs []netip.Addr, ttl time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := ""
	for _, a := range addrs {
		text += a.String() + " "
	}
	o.list = append(o.list, observed{client.Addr(), host, text, ttl})
}

func (o *recorder) all() []observed {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.list)
}

// start runs a resolver on a free port of loopback and returns it with the address to ask.
func start(t testing.TB, cfg Config, ups ...*nameServer) (*Resolver, string) {
	t.Helper()
	for range 50 {
		r := prepare(t, cfg, ups...)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		select {
		case <-r.Ready():
			t.Cleanup(func() {
				cancel()
				if err := <-ended; err != nil {
					t.Errorf("Run: %v", err)
				}
			})
			return r, r.Addrs()[0].String()
		case err := <-ended:
			cancel()
			if !errors.Is(err, syscall.EADDRINUSE) { // else a connection has the port over TCP that was free for UDP
				t.Fatal(err)
			}
		}
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, ""
}

func prepare(t testing.TB, cfg Config, ups ...*nameServer) *Resolver {
	t.Helper()
	if cfg.Listen == nil {
		cfg.Listen = []string{"127.0.0.1:0"}
	}
	cfg.Sockets = plainSockets{}
	cfg.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	if cfg.Upstreams == nil {
		cfg.Upstreams = func() []Upstream {
			var list []Upstream
			for _, u := range ups {
				list = append(list, u.Upstream)
			}
			return list
		}
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// query asks like a client would, with a deadline that no machine is too slow for.
func query(t testing.TB, network, at, name string, qtype uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, qtype)
	return exchangeWith(t, network, at, m)
}

func exchangeWith(t testing.TB, network, at string, m *dns.Msg) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 30 * time.Second, UDPSize: dns.MaxMsgSize}
	resp, _, err := c.Exchange(m, at)
	if err != nil {
		t.Fatalf("%s %s: %v", network, m.Question[0].Name, err)
	}
	return resp
}

// texts prints an answer's records without TTLs.
func texts(m *dns.Msg) []string {
	var list []string
	for _, rr := range m.Answer {
		rr = dns.Copy(rr)
		rr.Header().Ttl = 0
		list = append(list, rr.String())
	}
	return list
}
