package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/bond/carrier"
	"github.com/trenza-router/trenza/router/bond/seal"
	"github.com/trenza-router/trenza/router/bond/tunnel"
)

// Machine is what a relay needs of the machine.
type Machine interface {
	hal.Sysctls
	Load(ctx context.Context, text string) error
	ReplaceRoute(ctx context.Context, r hal.Route) error
	DeleteRoute(ctx context.Context, r hal.Route) error
}

// Options are what a Relay needs.
type Options struct {
	Config  Config
	State   *State // closed by its owner, after Run
	Machine Machine
	Wall    func() time.Time // the time of day, which may be wrong and may jump; nil: the machine's
	Open    carrier.Opener   // makes the device; nil: carrier.OpenDevice
	Log     *slog.Logger
}

// Relay is the running server.
type Relay struct {
	c        Config
	o        Options
	clock    carrier.Clock
	poller   *carrier.Poller
	device   carrier.Interface
	ways     []*entry // sockets, and streams of routers that came in by the web site
	web      *web     // nil: there is none
	endpoint *seal.Endpoint
	members  map[*seal.Peer]*member
	byKey    map[seal.Key]*member
	byAddr   map[netip.Addr]*member
	replies  []*member   // that asked for their settings
	stale    []hal.Route // to routers that were shut out
	fitted   time.Duration
	loop     *carrier.Requests
	self     seal.Key
	broken   error // of the device
	expired  time.Duration
	looked   time.Duration // at streams that say nothing
	saved    time.Duration
	counts   counts
	told     map[seal.Ticket]bool // of invites that are too old, in the log
}

// counts are the datagrams that were not for anybody.
type counts struct {
	Received uint64 `json:"received"`
	Refused  uint64 `json:"refused"` // strangers', broken, repeated
	Versions uint64 `json:"other_versions"`
	Rivals   uint64 `json:"rivals"` // two routers with one key
}

const (
	rest        = 500 * time.Millisecond
	expireEvery = time.Minute
	// saveEvery is how often the routers' counts of greetings are kept: a repeated greeting of that time costs work and nothing else.
	saveEvery = 10 * time.Minute
	// mostGuests bounds those who have an invite and have not proved it yet.
	mostGuests = 1024
)

// New opens device and sockets. Run must be called, which closes them.
func New(o Options) (*Relay, error) {
	if o.Wall == nil {
		o.Wall = time.Now
	}
	self, err := o.State.Identity()
	if err != nil {
		return nil, err
	}
	r := &Relay{
		c: o.Config, o: o, clock: carrier.NewClock(), self: self.Public(), members: map[*seal.Peer]*member{}, byKey: map[seal.Key]*member{}, byAddr: map[netip.Addr]*member{},
		told: map[seal.Ticket]bool{},
	}
	r.endpoint = seal.New(seal.Config{Self: self, Costs: seal.Measure(r.clock.Now), Find: r.find})
	if r.poller, err = carrier.NewPoller(r.clock); err != nil {
		return nil, err
	}
	r.loop = carrier.NewRequests(r.poller)
	if err := r.open(); err != nil {
		r.close()
		return nil, err
	}
	for _, j := range o.State.Routers() {
		r.admit(j)
	}
	return r, nil
}

func (r *Relay) open() (err error) {
	open := r.o.Open
	if open == nil {
		open = carrier.OpenDevice
	}
	if r.device, err = open(r.c.Device); err != nil {
		return err
	}
	for _, l := range r.c.Listen {
		a, err := listenAddr(l)
		if err != nil {
			return err
		}
		s, err := carrier.Open(carrier.Options{Listen: a})
		if err != nil {
			return err
		}
		r.ways = append(r.ways, &entry{Datagrams: s, place: r.poller.Watch(s.FD())})
	}
	if r.c.Web != nil {
		r.web, err = openWeb(&r.c, r.self, r.o.Log, r.enter)
	}
	return err
}

func (r *Relay) close() {
	if r.web != nil {
		r.web.close()
	}
	for _, e := range r.ways {
		_ = e.Close()
	}
	if r.device != nil {
		_ = r.device.Close()
	}
	r.poller.Close()
}

// find is the doorkeeper's question who a router is.
func (r *Relay) find(k seal.Key, t seal.Ticket) *seal.Peer {
	if m := r.byKey[k]; m != nil && (m.joined || m.ticket == t) {
		return m.line.Peer
	}
	x := r.o.State.invited(t)
	if x == nil || r.tooOld(x) || len(r.byKey)-len(r.o.State.Routers()) >= mostGuests {
		return nil
	}
	m := &member{relay: r, ticket: t}
	m.line = tunnel.NewLine(seal.NewPeer(k, seal.Secret(x.Secret), t, 0), m, true)
	r.members[m.line.Peer], r.byKey[k] = m, m
	return m.line.Peer
}

// tooOld tells whether an invite has ended, and says so once: its router hears nothing, and the clock may be what is wrong.
func (r *Relay) tooOld(x *Invited) bool {
	now := r.o.Wall()
	if now.Before(x.Expires) {
		return false
	}
	if !r.told[x.Ticket] {
		r.told[x.Ticket] = true
		r.o.Log.Warn("a router came with a code that is too old by this machine's clock: set the clock right, or make a new code", "router", x.Name, "now", now, "expired", x.Expires)
	}
	return true
}

// admit makes a router of the state a member.
func (r *Relay) admit(j Joined) {
	m := &member{relay: r}
	m.line = tunnel.NewLine(seal.NewPeer(seal.Key(j.Key), seal.Secret(j.Secret), seal.Ticket{}, j.Count), m, true)
	r.members[m.line.Peer], r.byKey[seal.Key(j.Key)] = m, m
	r.seat(m, j)
}

// seat gives a member what its record says.
func (r *Relay) seat(m *member, j Joined) {
	m.joined, m.record, m.kept = true, j, j.Count
	m.down, m.up = newBucket(j.Limit.Down), newBucket(j.Limit.Up)
	m.settings = tunnel.Settings{IPv4: j.IPv4, IPv6: j.IPv6, MTU: tunnel.MTU(r.c.MTU, 0)}
	for _, a := range []netip.Addr{j.IPv4, j.IPv6} {
		if a.IsValid() {
			r.byAddr[a] = m
		}
	}
}

// dismiss ends a member's bond at once.
func (r *Relay) dismiss(k seal.Key) {
	m := r.byKey[k]
	if m == nil {
		return
	}
	r.endpoint.Forget(m.line.Peer)
	delete(r.members, m.line.Peer)
	delete(r.byKey, k)
	delete(r.byAddr, m.record.IPv4)
	delete(r.byAddr, m.record.IPv6)
	r.stale = append(r.stale, m.routes()...)
}

// Run serves until ctx is done, and then returns nil.
func (r *Relay) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- r.run(ctx) }()
	return <-done
}

func (r *Relay) prepare(ctx context.Context) error {
	var addrs []netip.Prefix
	for _, p := range r.c.Pool {
		addrs = append(addrs, netip.PrefixFrom(relayAddr(p), p.Bits()))
		key := "net/ipv4/ip_forward"
		if p.Addr().Is6() {
			key = "net/ipv6/conf/all/forwarding"
		}
		if err := r.o.Machine.SetSysctl(key, "1"); err != nil {
			return fmt.Errorf("letting the machine forward packets: %w", err)
		}
	}
	if err := r.device.Configure(cmp.Or(r.c.MTU, tunnel.MostMTU), addrs); err != nil {
		return err
	}
	return r.load(ctx)
}

func (r *Relay) load(ctx context.Context) error {
	if err := r.o.Machine.Load(ctx, rules(&r.c, r.o.State.Routers())); err != nil {
		return fmt.Errorf("loading the rules of the way out: %w", err)
	}
	return nil
}

func (r *Relay) run(ctx context.Context) (err error) {
	defer r.close()
	defer r.loop.End()
	if err := r.poller.Own(); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, r.poller.Wake)()
	if err := r.prepare(ctx); err != nil {
		return err
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, r.save(), r.o.Machine.Load(clean, noRules()))
	}()
	inside := r.poller.Watch(r.device.FD())
	if r.web != nil {
		r.web.serve(r.o.Log)
	}
	for ctx.Err() == nil {
		now := r.clock.Now()
		r.loop.Serve(now)
		r.reply(now)
		wake := now + rest
		for _, m := range r.members {
			m.now = now
			wake = min(wake, m.line.Work(now))
		}
		for _, e := range r.ways {
			_ = e.Flush() // who does not get his datagrams will say so
		}
		if err := errors.Join(r.broken, r.device.Flush(), r.upkeep(now), r.fit(ctx, now)); err != nil {
			return err
		}
		if err := r.poller.Wait(wake); err != nil {
			return err
		}
		r.arrivals(ctx)
		if r.poller.Ready(inside) {
			if err := r.device.Read(r.packet); err != nil {
				return err
			}
		}
	}
	return nil
}

// packet takes a packet that the machine routed to the tunnels.
func (r *Relay) packet(p []byte) {
	if _, dst, ok := addresses(p); ok {
		if m := r.byAddr[dst]; m != nil {
			m.send(p, r.clock.Now())
		}
	}
}

func (r *Relay) write(packet []byte) {
	if err := r.device.Write(packet); err != nil {
		r.broken = err
	}
}

// arrivals takes what has arrived by all ways.
func (r *Relay) arrivals(ctx context.Context) {
	ended := false
	for _, e := range r.ways {
		if r.poller.Ready(e.place) {
			e.ended = !r.receive(ctx, e)
			ended = ended || e.ended
		}
	}
	if ended {
		r.leave(func(e *entry) bool { return e.ended })
	}
}

// receive takes what has arrived by one way. It is false when that is at its end; an error of a socket tells of an earlier sending.
func (r *Relay) receive(ctx context.Context, e *entry) bool {
	for range 4 { // then others have their turn
		more, err := e.Receive(r.clock, func(a carrier.Arrived) { r.arrived(ctx, e, a) })
		if err != nil || !more {
			return err == nil
		}
	}
	return true
}

func (r *Relay) arrived(ctx context.Context, s *entry, a carrier.Arrived) {
	now := r.clock.Now()
	r.counts.Received++
	res, err := r.endpoint.Receive(nil, a.Data, a.From, now)
	if len(res.Reply) > 0 {
		if s.Full() {
			_ = s.Flush() // what is lost is said again
		}
		s.Queue(append(s.Room(), res.Reply...), a.From, a.To)
	}
	if err != nil {
		r.refuse(err, res, a)
		return
	}
	m := r.members[res.Peer]
	if res.Frame == nil || m == nil {
		return
	}
	if res.Joined && !m.joined && !r.join(ctx, m) {
		return
	}
	if res.Fresh {
		m.since = r.o.Wall()
		r.o.Log.Info("a router's bond has begun", "router", m.record.Name, "address", a.From, "cipher", m.line.Peer.Cipher())
	}
	if res.Rival {
		r.counts.Rivals++
		r.o.Log.Warn("two routers use one key and take turns: remove the bond's state from the one that is a copy, and invite it anew", "router", m.record.Name, "address", a.From)
	}
	m.now, s.heard = now, now
	if err := m.line.Frame(res, s.Datagrams, a, now); err != nil {
		r.counts.Refused++
	}
}

// refuse notes a datagram that was not taken. What strangers send is worth a debug line, no more.
func (r *Relay) refuse(err error, res seal.Result, a carrier.Arrived) {
	r.counts.Refused++
	var version seal.VersionError
	switch {
	case errors.As(err, &version):
		r.counts.Versions++
		r.o.Log.Warn("a router speaks another version", "address", a.From, "why", err)
	case res.Peer != nil:
		name := ""
		if m := r.members[res.Peer]; m != nil {
			name = m.record.Name
		}
		r.o.Log.Info("a router's greeting was not taken", "router", name, "address", a.From, "why", err)
	default:
		r.o.Log.Debug("a datagram was not taken", "address", a.From, "why", err)
	}
}

// join makes a member of a guest who has proved the invite.
func (r *Relay) join(ctx context.Context, m *member) bool {
	key := m.line.Peer.Key()
	j, err := r.o.State.join(m.ticket, key, m.line.Peer.Count(), r.c.Pool, r.o.Wall())
	if err != nil {
		r.o.Log.Warn("a router could not join", "why", err)
		r.dismiss(key)
		return false
	}
	r.seat(m, j)
	for k, other := range r.byKey { // others who came with the same invite
		if !other.joined && other.ticket == m.ticket {
			r.dismiss(k)
		}
	}
	r.o.Log.Info("a router has joined", "router", j.Name, "ipv4", j.IPv4, "ipv6", j.IPv6)
	if err := r.load(ctx); err != nil {
		r.o.Log.Error("forwarded ports are not in force", "error", err)
	}
	return true
}

// reply answers those who asked for their settings.
func (r *Relay) reply(now time.Duration) {
	for _, m := range r.replies {
		m.line.Send(tunnel.AppendMessage(nil, &m.settings), now)
	}
	clear(r.replies)
	r.replies = r.replies[:0]
}

// upkeep is what is done now and then.
func (r *Relay) upkeep(now time.Duration) error {
	if now-r.expired >= expireEvery {
		r.expired = now
		r.endpoint.Expire(now)
	}
	if now-r.looked >= proofTime {
		r.looked = now
		r.leave(func(e *entry) bool { return e.silent(now) })
	}
	if now-r.saved >= saveEvery {
		r.saved = now
		return r.save()
	}
	return nil
}

// save keeps the routers' counts of greetings.
func (r *Relay) save() error {
	changed := false
	for _, m := range r.members {
		if c := m.line.Peer.Count(); m.joined && c != m.kept {
			if j := r.o.State.router(m.line.Peer.Key()); j != nil {
				j.Count, m.kept, changed = c, c, true
			}
		}
	}
	if !changed {
		return nil
	}
	return r.o.State.Save()
}
