package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/trenza-router/trenza/router/bond"
	"github.com/trenza-router/trenza/router/bond/carrier"
	"github.com/trenza-router/trenza/router/bond/seal"
)

// Path is one link that a Router's bond goes over.
type Path struct {
	ID      bond.PathID
	Name    string
	Device  string
	Mark    uint32 // for routing rules
	Metered bool
}

// Options are what a Router needs.
type Options struct {
	State  *State
	Device string         // name of the TUN device
	Open   carrier.Opener // makes it; nil: carrier.OpenDevice
	Paths  []Path         // that stand from the beginning; see SetPath for those that come and go
	MTU    int            // of the tunnel at most; 0: what the paths carry
	// Settled is called in the loop when the relay has said which addresses the router has. An error ends Run.
	Settled func(Settings) error
	Wall    func() time.Time // the time of day, which may be wrong and may jump; nil: the machine's
	Log     *slog.Logger
}

// Router is the router's end of a bond.
type Router struct {
	o        Options
	clock    carrier.Clock
	poller   *carrier.Poller
	device   carrier.Interface
	strands  []*strand
	endpoint *seal.Endpoint
	peer     *seal.Peer
	relay    Invite
	line     *Line
	loop     *carrier.Requests
	hello    []byte
	tries    int           // greetings without an answer
	turn     int           // of the relay's addresses
	reserved uint64        // greetings that the state allows
	asked    time.Duration // for the settings
	expired  time.Duration
	told     Closed
	toldAt   time.Duration
	costs    Metered
	found    Size
	notedAt  time.Duration
	noted    int // times that costs and found were told
	size     int // MTU of the device
	settled  *Settings
	readErr  error
	trouble  string // why there is no session, for people
	said     string // of it, in the log
}

const (
	askEvery    = 250 * time.Millisecond
	tellEvery   = time.Second
	tellNoted   = 5 // times that the relay is told where bytes cost and what passes: any of them may be lost
	expireEvery = time.Minute
	// turnAfter is how long a path may be silent before another address of the relay is tried on it.
	turnAfter = 5 * time.Second
	rest      = 500 * time.Millisecond // between two looks when nothing happens
)

// NewRouter makes the device and the sockets. Run must be called, which closes them.
func NewRouter(o Options) (*Router, error) {
	invite, ok := o.State.Invite()
	if !ok {
		return nil, errors.New("the router has not joined a relay yet: `trenza relay invite` at the relay prints a code for it")
	}
	if o.Wall == nil {
		o.Wall = time.Now
	}
	self, err := o.State.Identity()
	if err != nil {
		return nil, err
	}
	r := &Router{o: o, clock: carrier.NewClock(), relay: invite, reserved: o.State.Count()}
	r.peer = seal.NewPeer(invite.Relay, invite.Secret(), invite.Ticket(), r.reserved)
	r.endpoint = seal.New(seal.Config{Self: self, Costs: seal.Measure(r.clock.Now)})
	r.line = NewLine(r.peer, r, false)
	if r.poller, err = carrier.NewPoller(r.clock); err != nil {
		return nil, err
	}
	r.loop = carrier.NewRequests(r.poller)
	if err := r.open(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *Router) open() (err error) {
	open := r.o.Open
	if open == nil {
		open = carrier.OpenDevice
	}
	if r.device, err = open(r.o.Device); err != nil {
		return err
	}
	for _, p := range r.o.Paths {
		if err := r.stretch(p, 0); err != nil {
			return err
		}
	}
	return nil
}

func (r *Router) close() {
	for _, s := range r.strands {
		r.dropStream(s, r.clock.Now())
		_ = s.socket.Close()
	}
	if r.device != nil {
		_ = r.device.Close()
	}
	r.poller.Close()
}

// Run carries packets until ctx is done, and then returns nil.
func (r *Router) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- r.run(ctx) }()
	return <-done
}

func (r *Router) run(ctx context.Context) error {
	if err := r.poller.Own(); err != nil {
		return err
	}
	defer r.close()
	defer r.loop.End()
	defer context.AfterFunc(ctx, r.poller.Wake)()
	inside := r.poller.Watch(r.device.FD())
	if err := r.device.Configure(r.fit(), nil); err != nil {
		return err
	}
	for ctx.Err() == nil {
		now := r.clock.Now()
		r.loop.Serve(now)
		wake := min(now+rest, r.greet(now), r.talk(now), r.tend(ctx, now), r.line.Work(now))
		r.line.Flush(now)
		if err := errors.Join(r.readErr, r.device.Flush()); err != nil {
			return err
		}
		if err := r.poller.Wait(wake); err != nil {
			return err
		}
		for _, s := range r.strands {
			if r.poller.Ready(s.place) {
				_ = r.receive(s.socket) // an error tells of an earlier sending: silence will tell the same
			}
			if s.stream != nil && r.poller.Ready(s.streamPlace) {
				if err := r.receive(s.stream); err != nil {
					r.streamEnded(s, err, r.clock.Now())
				}
			}
		}
		if r.poller.Ready(inside) {
			now := r.clock.Now()
			if err := r.device.Read(func(p []byte) { r.line.Packet(p, takeService(p), now) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// receive takes what has arrived at a socket or stream.
func (r *Router) receive(s carrier.Datagrams) error {
	for range 4 { // then others have their turn
		more, err := s.Receive(r.clock, func(a carrier.Arrived) { r.arrived(s, a) })
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (r *Router) arrived(s carrier.Datagrams, a carrier.Arrived) {
	now := r.clock.Now()
	res, err := r.endpoint.Receive(nil, a.Data, a.From, now)
	switch {
	case err != nil:
		var version seal.VersionError
		if errors.As(err, &version) || res.Peer == r.peer {
			r.complain(err.Error())
		}
	case res.Again:
		r.say(now)
	case res.Joined && res.Frame == nil:
		r.joined(res, s, a, now)
	case res.Frame != nil && res.Peer == r.peer:
		if err := r.line.Frame(res, s, a, now); err != nil {
			r.o.Log.Debug("the relay sent what cannot be read", "error", err)
		}
	}
}

// joined begins to use a new session.
func (r *Router) joined(res seal.Result, s carrier.Datagrams, a carrier.Arrived, now time.Duration) {
	r.tries, r.trouble, r.said = 0, "", ""
	for _, x := range r.strands {
		if s.Kind() == x.socket.Kind() && !x.byStream && (s == carrier.Datagrams(x.socket) || !r.line.ways[x.ID].learned) {
			r.line.ways[x.ID].remote = a.From
		}
	}
	r.welcomed(s, now)
	if res.Fresh || !r.line.Began() {
		r.line.Renew(now)
		r.settled, r.asked, r.noted = nil, 0, 0
		r.o.Log.Info("the bond has begun", "relay", fingerprint(r.relay.Relay), "address", a.From, "cipher", r.peer.Cipher())
	}
	r.line.Send(AppendMessage(nil, Ask{}), now) // the relay waits for a sign to use the session
}

// greet says hello when it is time, and returns when to look again.
func (r *Router) greet(now time.Duration) time.Duration {
	if now-r.expired > expireEvery {
		r.endpoint.Expire(now)
		r.expired = now
	}
	if r.peer.Due(now) {
		r.say(now)
	}
	return now + rest
}

// say says hello over all paths; over those where bytes cost only if the others did not help.
func (r *Router) say(now time.Duration) {
	hello, err := r.endpoint.Hello(r.hello[:0], r.peer, now, r.o.Wall())
	if err == nil && r.peer.Count() != r.reserved {
		err = r.o.State.SetCount(r.peer.Count())
		r.reserved = r.peer.Count()
	}
	if err != nil {
		r.complain(err.Error())
		return
	}
	r.hello = hello
	if r.tries++; r.tries > 3 && r.trouble == "" && len(r.strands) > 0 {
		r.complain(fmt.Sprintf("the relay %s does not answer: it is off, its address is another one now, UDP is blocked on the way, it does not know this router, or another one uses this one's key (then ask for a new code)", r.relay.Addresses[0]))
	}
	thrifty := r.tries == 1 && slices.ContainsFunc(r.strands, func(s *strand) bool { return !s.Metered && !r.line.ways[s.ID].closed })
	for _, p := range r.strands {
		if thrifty && p.Metered {
			continue
		}
		if p.greeted == 0 {
			p.greeted = now
		}
		if p.stream != nil {
			r.greetBy(p.stream)
		}
		to := r.relay.Addresses
		if w := &r.line.ways[p.ID]; w.learned && !p.byStream && now-w.heard < turnAfter {
			to = []netip.AddrPort{w.remote}
		}
		for _, a := range to {
			p.socket.Queue(append(p.socket.Room(), hello...), a, netip.Addr{})
		}
		if err := p.socket.Flush(); err != nil {
			r.o.Log.Debug("a greeting did not leave", "path", p.Name, "error", err)
		}
	}
}

// talk exchanges messages with the relay, and tries other addresses of it on silent paths.
func (r *Router) talk(now time.Duration) time.Duration {
	if !r.line.Began() {
		return now + rest
	}
	if r.settled == nil && now-r.asked >= askEvery {
		r.asked = now
		r.line.Send(AppendMessage(nil, Ask{}), now)
	}
	var closed Closed
	var costs Metered
	for _, p := range r.strands {
		w := &r.line.ways[p.ID]
		if p.Metered {
			costs |= 1 << p.ID
		}
		if w.closed {
			closed |= 1 << p.ID
		} else if now-w.heard > turnAfter && len(r.relay.Addresses) > 1 && !p.byStream {
			w.heard = now
			r.turn++
			w.remote = r.relay.Addresses[r.turn%len(r.relay.Addresses)]
		}
	}
	if found := Size(MTU(r.o.MTU, r.line.Largest())); found != r.found || costs != r.costs {
		r.costs, r.found, r.noted, r.notedAt = costs, found, 0, now-tellEvery
		r.readErr = errors.Join(r.readErr, r.resize())
	}
	if r.noted < tellNoted && now-r.notedAt >= tellEvery {
		r.noted, r.notedAt = r.noted+1, now
		r.line.Send(AppendMessage(nil, r.costs), now)
		r.line.Send(AppendMessage(nil, r.found), now)
	}
	if closed != r.told || closed != 0 && now-r.toldAt >= tellEvery {
		r.told, r.toldAt = closed, now
		r.line.Send(AppendMessage(nil, closed), now)
	}
	if r.settled == nil {
		return now + askEvery
	}
	return now + rest
}

// Deliver implements Inside.
func (r *Router) Deliver(packet []byte) {
	if err := r.device.Write(packet); err != nil {
		r.readErr = err
	}
}

// Control implements Inside.
func (r *Router) Control(message []byte) {
	m, err := ParseMessage(message)
	s, ok := m.(*Settings)
	if err != nil || !ok || r.settled != nil && *r.settled == *s {
		return
	}
	before := r.settled
	r.settled = s
	if before != nil && before.IPv4 == s.IPv4 && before.IPv6 == s.IPv6 {
		r.readErr = errors.Join(r.readErr, r.resize())
		return
	}
	if err := r.settle(*s); err != nil {
		r.readErr = err
	}
}

func (r *Router) settle(s Settings) error {
	var addrs []netip.Prefix
	for _, a := range []netip.Addr{s.IPv4, s.IPv6} {
		if a.IsValid() {
			addrs = append(addrs, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	if err := r.device.Configure(r.fit(), addrs); err != nil {
		return err
	}
	r.o.Log.Info("the relay gave addresses", "ipv4", s.IPv4, "ipv6", s.IPv6)
	if r.o.Settled != nil {
		return r.o.Settled(s)
	}
	return nil
}

// fit is the MTU of the device: what this end found, and the other one said.
func (r *Router) fit() int {
	r.size = MTU(r.o.MTU, r.line.Largest())
	if r.settled != nil && r.settled.MTU > 0 {
		r.size = max(LeastMTU, min(r.size, r.settled.MTU))
	}
	return r.size
}

// resize gives the device another MTU: the kernel cuts what is longer, or refuses it and tells the sender.
func (r *Router) resize() error {
	was := r.size
	if r.fit() == was {
		return nil
	}
	r.o.Log.Info("the tunnel carries packets of another length", "mtu", r.size, "before", was)
	return r.device.SetMTU(r.size)
}

// complain tells people why there is no session, once for each reason.
func (r *Router) complain(why string) {
	r.trouble = why
	if r.said != why {
		r.said = why
		r.o.Log.Warn("no bond with the relay", "why", why)
	}
}
