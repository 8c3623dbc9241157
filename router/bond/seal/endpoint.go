package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/flynn/noise"
)

// Config is what an Endpoint needs to know.
type Config struct {
	Self  Identity
	Costs Costs // of this machine, from Measure
	// Find is a relay's answer to who a router is: the Peer with that key; or, when the key is not known and the ticket is one of an invite
	// in force, a new Peer with the secret of the invite, the same one each time; else nil, and the router hears nothing. That a router with
	// a ticket has the secret too is sure when a Result says Joined. Without Find nobody can say hello.
	Find func(router Key, ticket Ticket) *Peer
	// Random is a source of good randomness; nil: the system's.
	Random io.Reader
}

// Endpoint is one end of any number of bonds: a router has one Peer, a relay many.
type Endpoint struct {
	self     Identity
	costs    Costs
	find     func(Key, Ticket) *Peer
	random   io.Reader
	dh       noise.DHFunc
	macKey   [32]byte
	door     doorkeeper
	sessions map[uint32]*session // by our index
	waiting  map[uint32]*Peer    // by the index in the hello that went out
}

// New makes an end.
func New(c Config) *Endpoint {
	if c.Random == nil {
		c.Random = rand.Reader
	}
	return &Endpoint{
		self: c.Self, costs: c.Costs, find: c.Find, random: c.Random, dh: noise.DH25519,
		macKey: labelled(macLabel, c.Self.public), door: newDoorkeeper(c.Random, c.Self.public),
		sessions: map[uint32]*session{}, waiting: map[uint32]*Peer{},
	}
}

// Result is what a datagram brought. Its slices are valid as long as the buffers handed over.
type Result struct {
	Peer   *Peer  // whom it is from, or nil
	Reply  []byte // to be sent back to where the datagram came from, whatever the error is; nil: nothing
	Frame  []byte // what was sealed; nil: the datagram was part of a handshake
	Path   uint8
	Number uint64
	Joined bool // a new session seals from now on; a router sends something at once, for the relay waits for it
	Fresh  bool // the other end is in a new life: numbers begin at 0 in both directions, and so must all that counts them
	Rival  bool // with Fresh: a router that was displaced is back, so two routers take turns with one key
	Again  bool // the relay asks for a proof of address: say hello again now
}

// Receive takes a datagram. A frame or a reply is appended to dst; with a nil dst frames are opened in place. Errors are for counters and
// logs: the only one that asks for an answer has it in Reply.
func (e *Endpoint) Receive(dst, datagram []byte, from netip.AddrPort, now time.Duration) (Result, error) {
	if len(datagram) < dataHead+tagSize && len(datagram) != refusalSize {
		return Result{}, errBroken
	}
	kind := datagram[0]
	switch {
	case kind&kindMask == dataKind && len(datagram) >= dataHead+tagSize:
		return e.data(dst, datagram, now)
	case kind == helloKind && e.find != nil && len(datagram) >= helloHead+2*macSize:
		return e.knock(dst, datagram, from, now)
	case kind == welcomeKind && len(datagram) == welcomeSize:
		return e.welcome(datagram, now)
	case kind == cookieKind && len(datagram) == cookieSize:
		return e.takeCookie(datagram, now)
	case kind == refusalKind && len(datagram) == refusalSize:
		return e.refused(datagram)
	}
	return Result{}, errBroken
}

func (e *Endpoint) data(dst, datagram []byte, now time.Duration) (Result, error) {
	s := e.sessions[uint24(datagram[1:])]
	if s == nil {
		return Result{}, errSession
	}
	if dst == nil {
		dst = datagram[dataHead:dataHead]
	}
	start := len(dst)
	out, number, err := s.open(dst, datagram, now)
	if err != nil {
		return Result{}, err
	}
	r := Result{Peer: s.peer, Frame: out[start:], Path: datagram[0] & pathMask, Number: number}
	if s == s.peer.next {
		r.Joined = true
		r.Fresh, r.Rival = e.use(s)
	}
	return r, nil
}

// knock takes a hello of any version: its beginning and its macs are where they always were.
func (e *Endpoint) knock(dst, datagram []byte, from netip.AddrPort, now time.Duration) (Result, error) {
	if !equal(keyedMAC(e.macKey[:], datagram[:len(datagram)-2*macSize]), mac1Of(datagram)) {
		return Result{}, errForged
	}
	if datagram[1] != Version {
		return Result{Reply: e.refusal(dst, datagram)[len(dst):]}, VersionError{Theirs: datagram[1]}
	}
	if len(datagram) != helloSize {
		return Result{}, errBroken
	}
	verdict, err := e.door.judge(datagram, from, now)
	switch {
	case err != nil:
		return Result{}, err
	case verdict == ignore:
		return Result{}, errFlood
	case verdict == demand:
		out, err := e.door.reply(dst, datagram, from)
		if err != nil {
			return Result{}, err
		}
		return Result{Reply: out[len(dst):]}, errFlood
	}
	return e.hello(dst, datagram, now)
}

var errFlood = errors.New("too many first messages: this one was put off")

func (e *Endpoint) takeCookie(datagram []byte, now time.Duration) (Result, error) {
	p := e.waiting[uint24(datagram[1:])]
	if p == nil {
		return Result{}, errSession
	}
	cookie, err := openCookie(p.key, datagram, p.pending.mac1)
	if err != nil {
		return Result{}, err
	}
	// One retry for each hello: whoever repeats a cookie gets nothing more out of us.
	again := !p.baked || p.cookie != cookie || now-p.fetched >= cookieLife
	p.cookie, p.fetched, p.baked = cookie, now, true
	return Result{Peer: p, Again: again}, nil
}

// free draws an index that is not in use.
func (e *Endpoint) free() (uint32, error) {
	for range 64 { // 2^24 indices: to miss once is rare already
		var b [3]byte
		if _, err := io.ReadFull(e.random, b[:]); err != nil {
			return 0, fmt.Errorf("drawing a session's index: %w", err)
		}
		index := uint24(b[:])
		if e.sessions[index] == nil && e.waiting[index] == nil {
			return index, nil
		}
	}
	return 0, errors.New("no index for another session: too many are in use")
}

func (e *Endpoint) drop(s *session) {
	if s != nil {
		delete(e.sessions, s.index)
	}
}

// Expire forgets keys that are too old to be used. Call it every minute or so: what was sent stays secret if the machine falls into other
// hands later.
func (e *Endpoint) Expire(now time.Duration) {
	for _, s := range e.sessions {
		if !s.alive(now) {
			e.forget(s)
		}
	}
	for index, p := range e.waiting {
		if now-p.pending.born >= lifetime {
			delete(e.waiting, index)
			p.pending = nil
		}
	}
}

// Forget ends all sessions with a peer, which Find should not know any more.
func (e *Endpoint) Forget(p *Peer) {
	for _, s := range []*session{p.previous, p.current, p.next} {
		if s != nil {
			e.forget(s)
		}
	}
	if p.pending != nil {
		delete(e.waiting, p.pending.index)
		p.pending = nil
	}
}

func (e *Endpoint) forget(s *session) {
	e.drop(s)
	for _, held := range []**session{&s.peer.previous, &s.peer.current, &s.peer.next} {
		if *held == s {
			*held = nil
		}
	}
}
