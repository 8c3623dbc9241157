package resolver

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/resolver/upstream"
)

// Upstream is a DNS server of the internet's side and the link it is asked over.
type Upstream struct {
	Server upstream.Server
	Via    hal.Via
	Link   string // for messages
}

// Observer is told that a client is about to be given addresses for a host (in the form of flow.CleanHost), and for
// how long they hold. The answer waits for it, but not for long.
type Observer func(ctx context.Context, client netip.AddrPort, host string, addrs []netip.Addr, ttl time.Duration)

// Refuse tells whether a client may not be given a host (in the form of flow.CleanHost), and why in one plain sentence. It must not wait.
type Refuse func(ctx context.Context, client netip.AddrPort, host string) (reason string, refused bool)

// Local knows the names of the house: those of leases. Names come without the local domain, in lower case.
type Local interface {
	Addrs(name string) []netip.Addr
	Name(addr netip.Addr) string // "" when unknown
}

// Config is what a Resolver needs. Zero fields take the default.
type Config struct {
	Listen       []string          // "address:port"; UDP and TCP are served on each
	Domain       string            // of the house; default "lan"
	Sockets      hal.Sockets       // required
	Roots        *x509.CertPool    // of the certificates of encrypted upstreams; nil: the machine's
	Upstreams    func() []Upstream // required; those of living links, the preferred ones first
	Local        Local             // may be nil
	Observer     Observer          // may be nil
	Refuse       Refuse            // may be nil
	Hold         time.Duration     // the longest wait for the Observer; default 20 ms
	AllowRebind  bool              // let outside names have addresses of the house
	RebindNames  []string          // domains that may, with all names below; plex.direct always may
	NoBrowserDoH bool              // tell browsers not to turn on DNS over HTTPS by themselves
	NoRelay      bool              // tell Apple's devices that Private Relay does not work here
	StripECH     bool              // remove the keys that let a client encrypt the name of a site (TLS ECH)
	CacheEntries int               // default 10,000
	CacheBytes   int               // default 8 MiB
	MinTTL       time.Duration     // default 5 s
	MaxTTL       time.Duration     // default 24 h
	StaleFor     time.Duration     // how long answers serve after their end when no upstream answers; default 24 h
	PerClient    int               // queries of one client at a time; default 100
	AtOnce       int               // queries of all clients at a time, and attempts at upstreams; default 1,000
	Log          *slog.Logger      // required
}

// Resolver is the server. Make it with New, start it with Run.
type Resolver struct {
	cfg     Config
	cache   *cache
	limit   *limiter
	health  *health
	secure  *upstream.Client // asks the encrypted upstreams
	flights singleflight.Group
	holds   chan struct{}
	asking  atomic.Int64 // attempts at upstreams under way
	stats   counters
	now     func() time.Time

	saidDead, saidLoop, saidFlood, saidRebind, saidFalse seldom

	mu    sync.Mutex
	addrs []net.Addr
	ready chan struct{}
	base  context.Context // outlives a query, ends with Run
	stop  context.CancelFunc
}

// maxHolds bounds the observers that run at one time.
const maxHolds = 512

// New checks the configuration.
func New(cfg Config) (*Resolver, error) {
	if cfg.Sockets == nil || cfg.Upstreams == nil || cfg.Log == nil {
		return nil, errors.New("resolver: Sockets, Upstreams and Log are required")
	}
	if len(cfg.Listen) == 0 {
		return nil, errors.New("resolver: no address to listen on; set resolver.listen, usually to [\":53\"]")
	}
	for _, l := range cfg.Listen {
		if _, _, err := net.SplitHostPort(l); err != nil {
			return nil, fmt.Errorf("resolver: listen address %q: %w; write \":53\" or \"10.77.0.1:53\"", l, err)
		}
	}
	setDefault(&cfg.Domain, "lan")
	setDefault(&cfg.Hold, 20*time.Millisecond)
	setDefault(&cfg.CacheEntries, 10_000)
	setDefault(&cfg.CacheBytes, 8<<20)
	setDefault(&cfg.MinTTL, 5*time.Second)
	setDefault(&cfg.MaxTTL, 24*time.Hour)
	setDefault(&cfg.StaleFor, 24*time.Hour)
	setDefault(&cfg.PerClient, 100)
	setDefault(&cfg.AtOnce, 1000)
	cfg.Domain = dns.CanonicalName(cfg.Domain)
	allowed := []string{"plex.direct."} // gives every media server at home a name of the internet, by design
	for _, n := range cfg.RebindNames {
		allowed = append(allowed, dns.CanonicalName(n))
	}
	cfg.RebindNames = allowed
	base, stop := context.WithCancel(context.Background())
	return &Resolver{
		cfg: cfg, now: time.Now, base: base, stop: stop,
		cache:  newCache(cfg.CacheEntries, cfg.CacheBytes, cfg.StaleFor),
		limit:  newLimiter(cfg.PerClient, cfg.AtOnce),
		health: newHealth(),
		secure: upstream.NewClient(upstream.Options{Sockets: cfg.Sockets, Roots: cfg.Roots}),
		holds:  make(chan struct{}, maxHolds),
		ready:  make(chan struct{}),
	}, nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (r *Resolver) String() string { return "resolver" }

// Ready is closed when all addresses are being listened on.
func (r *Resolver) Ready() <-chan struct{} { return r.ready }

// Addrs are the addresses listened on, UDP and TCP by turns, once Ready.
func (r *Resolver) Addrs() []net.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addrs
}

// Stats are the counters since the start.
func (r *Resolver) Stats() Stats { return r.stats.snapshot() }

// FlushCache forgets all answers.
func (r *Resolver) FlushCache() { r.cache.clear() }

// Run serves until the context ends, then returns nil. Either all addresses are served or none: an error says which could not be
// had and what to do. Run may be called once.
func (r *Resolver) Run(ctx context.Context) error {
	servers, err := r.listen(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range servers {
		group.Go(func() error {
			if err := s.ActivateAndServe(); err != nil && ctx.Err() == nil {
				return fmt.Errorf("resolver: serve DNS: %w", err)
			}
			return nil
		})
	}
	group.Go(func() error {
		<-ctx.Done()
		r.stop()
		for _, s := range servers {
			_ = s.Shutdown() // fails only for a server that did not start, whose error is already there
		}
		for _, s := range servers {
			closeServer(s)
		}
		r.secure.Close()
		return nil
	})
	close(r.ready)
	return group.Wait()
}

// maxTCPPerClient bounds the TCP connections of one client.
const maxTCPPerClient = 20

// listen opens the sockets of all addresses, or none.
func (r *Resolver) listen(ctx context.Context) (servers []*dns.Server, err error) {
	var lc net.ListenConfig
	var addrs []net.Addr
	defer func() {
		if err != nil {
			for _, s := range servers {
				closeServer(s)
			}
		}
	}()
	for _, at := range r.cfg.Listen {
		pc, err := lc.ListenPacket(ctx, "udp", at)
		if err != nil {
			return servers, listenError("udp", at, err)
		}
		servers = append(servers, &dns.Server{PacketConn: pc, Net: "udp", Handler: r, UDPSize: 4096})
		at = withPort(at, pc.LocalAddr()) // port 0 means any: TCP takes the same
		l, err := lc.Listen(ctx, "tcp", at)
		if err != nil {
			return servers, listenError("tcp", at, err)
		}
		limited := &connLimiter{Listener: l, limit: newLimiter(maxTCPPerClient, 10*maxTCPPerClient)}
		servers = append(servers, &dns.Server{
			Listener: limited, Net: "tcp", Handler: r, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
			IdleTimeout: func() time.Duration { return 10 * time.Second },
		})
		addrs = append(addrs, pc.LocalAddr(), l.Addr())
	}
	r.mu.Lock()
	r.addrs = addrs
	r.mu.Unlock()
	return servers, nil
}

func withPort(at string, a net.Addr) string {
	host, _, _ := net.SplitHostPort(at)
	_, port, _ := net.SplitHostPort(a.String())
	return net.JoinHostPort(host, port)
}

func closeServer(s *dns.Server) {
	if s.PacketConn != nil {
		s.PacketConn.Close()
	}
	if s.Listener != nil {
		s.Listener.Close()
	}
}

// listenError says what a person can do about an address that cannot be had.
func listenError(network, at string, err error) error {
	_, port, _ := net.SplitHostPort(at)
	hint := "check resolver.listen"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = fmt.Sprintf("another program serves DNS there, usually systemd-resolved, dnsmasq, named or unbound; "+
			"`ss -lpn 'sport = :%s'` names it. Stop it (systemd-resolved: DNSStubListener=no), or let resolver.listen name other addresses", port)
	case errors.Is(err, syscall.EACCES):
		hint = "ports below 1024 need root or CAP_NET_BIND_SERVICE"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "no interface has this address; check resolver.listen, or listen on \":" + port + "\" for all"
	}
	return fmt.Errorf("resolver: listen on %s %s: %w; %s", network, at, err, hint)
}
