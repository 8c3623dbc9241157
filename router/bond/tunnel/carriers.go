package tunnel

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/bond/carrier"
	"github.com/trenza-router/trenza/router/bond/https"
)

// A path goes over UDP, and over a stream to the relay's web server where UDP does not pass. UDP has a head start, with each life of the
// bond; where it has fallen silent the stream is made ready, and takes over when UDP is silent still. Nothing is lost by that but what was
// on its way, which the bond sends again.

const (
	// headStart is how long UDP is alone at the beginning, and silent before a stream that serves takes over.
	headStart = 300 * time.Millisecond
	// doubtAfter is how long UDP may be silent, beyond the longest round trip of late, before a stream is made ready.
	doubtAfter = 100 * time.Millisecond
	askCarrier = 100 * time.Millisecond // between two checks of a carrier in doubt
	freshProof = 2 * time.Second        // for which a check of a stream is worth something
	// While a stream serves UDP is asked now and then. It serves again when so many checks in a row were answered, and not before holdFirst has
	// passed; a UDP that fails again within failedSoon has to wait twice as long each time.
	askUDP      = time.Second
	askMetered  = 15 * time.Second
	answersMost = 3
	holdFirst   = 5 * time.Second
	holdMost    = 10 * time.Minute
	failedSoon  = time.Minute
	// lingerTime is how long a stream stays ready after UDP has taken over again.
	lingerTime = 10 * time.Second
	// streamSilent is how long a stream may say nothing to what was asked: it may wait for a loss to be sent again, and not for ever.
	streamSilent = 4 * time.Second
	// A web server that cannot be reached is tried again after retryFirst, and after twice as long each time.
	retryFirst = time.Second
	retryMost  = time.Minute
)

// strand is a path with its carriers.
type strand struct {
	Path
	socket *carrier.Socket
	place  int // in the poller

	stream      *https.Stream // nil: none stands
	streamPlace int
	byStream    bool // the path goes over the stream
	dialing     context.CancelFunc
	trouble     string // why there is no stream, for people

	greeted time.Duration // when the relay was greeted over UDP, since it was heard there last; 0: it has nothing to answer
	proved  time.Duration // when UDP served, last
	served  time.Duration // when the stream did
	turned  time.Duration // when the path was led over another carrier
	asked   [2]time.Duration
	answers int           // of UDP, in a row
	turn    int           // of the relay's addresses, for checks
	hold    time.Duration // how long a stream serves at the least
	failed  time.Duration // how long to wait after the next failure of the web server
	retry   time.Duration // when to try it again
}

// tend keeps each path on a carrier that serves, and returns when to look again.
func (r *Router) tend(ctx context.Context, now time.Duration) time.Duration {
	wake := now + rest
	if r.relay.Web.Port == 0 {
		return wake
	}
	for _, s := range r.strands {
		if r.line.ways[s.ID].closed {
			r.dropStream(s, now)
			continue
		}
		r.heed(s)
		silent, doubt := r.silence(s, now)
		if s.byStream {
			r.tendStream(s, silent, now)
		} else {
			r.tendUDP(ctx, s, silent, doubt, now)
		}
		if silent > 0 || s.stream != nil {
			wake = min(wake, now+askCarrier/2)
		}
	}
	return wake
}

// heed takes in the answers to checks.
func (r *Router) heed(s *strand) {
	c := &r.line.checks[s.ID]
	switch {
	case c.answered == nil:
	case s.stream != nil && c.answered == carrier.Datagrams(s.stream):
		s.served = max(s.served, c.at)
	case c.answered == carrier.Datagrams(s.socket) && c.at > s.proved:
		s.proved, s.greeted = c.at, 0
		s.answers++
	}
}

// silence is for how long what the path's carrier was given has had no answer, and from when on that is a reason for doubt.
func (r *Router) silence(s *strand, now time.Duration) (silent, doubt time.Duration) {
	last := s.proved
	if s.byStream {
		last = s.served
	}
	if !r.peer.Ready(now) || !r.line.Began() {
		if s.greeted == 0 {
			return 0, headStart
		}
		return now - max(s.greeted, last), headStart
	}
	age, round, ok := r.line.Unanswered(s.ID, now)
	if !ok {
		return 0, doubtAfter
	}
	return max(0, min(age, now-last)-round), doubtAfter
}

// tendUDP looks after a path that goes over UDP.
func (r *Router) tendUDP(ctx context.Context, s *strand, silent, doubt, now time.Duration) {
	if silent < doubt {
		s.retry = min(s.retry, now+s.failed)
		if s.stream != nil && now-s.turned > lingerTime && silent == 0 {
			r.dropStream(s, now)
		}
		return
	}
	r.ask(s, 0, s.socket, r.line.ways[s.ID].remote, askCarrier, now)
	switch {
	case s.stream == nil && s.dialing == nil && now >= s.retry:
		r.dial(ctx, s, now)
	case s.stream == nil:
	case silent >= headStart && s.served > 0 && now-s.served < freshProof:
		r.turnTo(s, true, s.stream.Remote(), now)
	default:
		r.ask(s, 1, s.stream, s.stream.Remote(), askCarrier, now)
	}
}

// tendStream looks after a path that goes over a stream.
func (r *Router) tendStream(s *strand, silent, now time.Duration) {
	if silent > doubtAfter {
		r.ask(s, 1, s.stream, s.stream.Remote(), askCarrier, now)
	}
	if silent > streamSilent {
		s.trouble = "the stream to the relay's web server fell silent"
		r.dropStream(s, now)
		return
	}
	every := askUDP
	if s.Metered {
		every = askMetered
	}
	if now-s.asked[0] >= every {
		if s.asked[0] > s.proved { // the last one had no answer
			s.answers = 0
			s.turn++
		}
		r.ask(s, 0, s.socket, r.relay.Addresses[s.turn%len(r.relay.Addresses)], every, now)
	}
	if s.answers >= answersMost && now-s.turned >= s.hold {
		r.turnTo(s, false, r.line.checks[s.ID].from, now)
	}
}

// ask asks whether a carrier serves, once in a while. which is 0 for UDP and 1 for the stream.
func (r *Router) ask(s *strand, which int, by carrier.Datagrams, to netip.AddrPort, every, now time.Duration) {
	if now-s.asked[which] < every {
		return
	}
	s.asked[which] = now
	r.line.Ask(s.ID, by, to, now)
	_ = by.Flush() // silence will tell
}

// turnTo leads a path over its stream, or over UDP again.
func (r *Router) turnTo(s *strand, stream bool, remote netip.AddrPort, now time.Duration) {
	by := carrier.Datagrams(s.socket)
	if stream {
		by = s.stream
		s.hold = min(2*s.hold, holdMost)
		if s.hold == 0 || now-s.turned > failedSoon {
			s.hold = holdFirst
		}
	}
	s.byStream, s.turned, s.answers = stream, now, 0
	r.line.Lead(s.ID, by, remote, now)
	r.o.Log.Info("a path goes over another carrier", "path", s.Name, "carrier", by.Kind(), "relay", remote)
}

// dial makes a stream ready.
func (r *Router) dial(ctx context.Context, s *strand, now time.Duration) {
	try, cancel := context.WithCancel(ctx)
	s.dialing = cancel
	target := https.Target{
		Addresses: r.relay.Web.addresses(r.relay.Addresses), Relay: r.relay.Relay, Trust: r.relay.Web.Trust, Device: s.Device, Mark: s.Mark,
	}
	go func() {
		stream, err := https.Dial(try, target)
		if e := r.loop.Do(ctx, func(now time.Duration) { r.dialled(try, s, stream, err, now) }); e != nil && stream != nil {
			_ = stream.Close() // the bond has ended
		}
	}()
}

// dialled takes in what came of a dial.
func (r *Router) dialled(try context.Context, s *strand, stream *https.Stream, err error, now time.Duration) {
	if try.Err() != nil { // the path was taken away meanwhile
		if stream != nil {
			_ = stream.Close()
		}
		return
	}
	s.dialing()
	s.dialing = nil
	if err != nil {
		s.trouble = err.Error()
		s.failed = min(max(2*s.failed, retryFirst), retryMost)
		s.retry = now + s.failed
		level := r.o.Log.Debug
		if errors.Is(err, https.ErrInspected) {
			level = r.o.Log.Warn
		}
		level("the relay's web server cannot be used", "path", s.Name, "why", err)
		return
	}
	s.trouble, s.failed, s.served = "", 0, 0
	s.stream, s.streamPlace = stream, r.poller.Watch(stream.FD())
	if len(r.hello) > 0 && !r.peer.Ready(now) {
		r.greetBy(stream)
	}
}

// greetBy says the last hello over a stream, too.
func (r *Router) greetBy(stream *https.Stream) {
	stream.Queue(append(stream.Room(), r.hello...), stream.Remote(), netip.Addr{})
	_ = stream.Flush() // it ends soon, and says why
}

// dropStream ends a path's stream, or the try to make one. The path goes over UDP from then on.
func (r *Router) dropStream(s *strand, now time.Duration) {
	if s.dialing != nil {
		s.dialing()
		s.dialing = nil
	}
	if s.stream == nil {
		return
	}
	if s.byStream {
		r.turnTo(s, false, r.relay.Addresses[s.turn%len(r.relay.Addresses)], now)
	}
	r.poller.Unwatch(s.streamPlace)
	_ = s.stream.Close()
	s.stream = nil
}

// streamEnded notes why a stream is over. One that served is dialled again at once.
func (r *Router) streamEnded(s *strand, err error, now time.Duration) {
	s.trouble = err.Error()
	if s.served == 0 {
		s.failed = min(max(2*s.failed, retryFirst), retryMost)
		s.retry = now + s.failed
	}
	r.dropStream(s, now)
}

// welcomed notes that the relay answered a hello by a carrier, before the session of it is in use.
func (r *Router) welcomed(by carrier.Datagrams, now time.Duration) {
	for _, s := range r.strands {
		silent, _ := r.silence(s, now)
		s.greeted = 0
		switch {
		case by == carrier.Datagrams(s.socket):
			s.proved = now
		case s.stream != nil && by == carrier.Datagrams(s.stream):
			s.served = now
			if !s.byStream && silent >= headStart {
				r.turnTo(s, true, s.stream.Remote(), now)
			}
		}
	}
}

// streamTrouble is why the web server does not serve either, for people; "" when that is not known.
func (r *Router) streamTrouble() string {
	for _, s := range r.strands {
		if s.trouble != "" {
			return "; over " + s.Name + " its web server does not serve either: " + s.trouble
		}
	}
	return ""
}
