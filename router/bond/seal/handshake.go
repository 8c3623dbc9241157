package seal

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/flynn/noise"
)

const prologue = "trenza bond"

// reserve is how far ahead a router keeps counts of hellos for itself, in nanoseconds: its clock may go back while it is off.
const reserve = uint64(time.Hour)

var (
	errAnswer = errors.New("the relay's answer cannot be read: its invite or its key is another one, ask for a new invite")
	errCipher = errors.New("the two ends share no cipher")
)

// pending is a hello that waits for its answer.
type pending struct {
	state  *noise.HandshakeState
	index  uint32
	mac1   []byte
	born   time.Duration
	epoch  epoch
	counts *counts // which go on if the relay knows them too
}

// state begins a handshake. head is the clear beginning of the hello, which both ends must have seen alike.
func (e *Endpoint) state(head []byte, relay []byte, secret []byte) (*noise.HandshakeState, error) {
	return noise.NewHandshakeState(noise.Config{
		CipherSuite: noise.NewCipherSuite(e.dh, noise.CipherChaChaPoly, noise.HashBLAKE2s), Random: e.random, Pattern: noise.HandshakeIK,
		Initiator: relay != nil, PeerStatic: relay, Prologue: append([]byte(prologue), head...),
		PresharedKey: secret, PresharedKeyPlacement: 2,
		StaticKeypair: noise.DHKey{Private: e.self.private[:], Public: e.self.public[:]},
	})
}

// Hello appends to dst the first message to a relay. now is a clock that never goes back, wall the time of day, which may be wrong by
// years. Keep the peer's Count before sending if it changed. The same hello may go over several links, and is answered over each; a further
// one makes it worthless.
func (e *Endpoint) Hello(dst []byte, p *Peer, now time.Duration, wall time.Time) ([]byte, error) {
	index, err := e.free()
	if err != nil {
		return dst, err
	}
	next := &pending{index: index, born: now}
	if p.current.alive(now) {
		next.counts, next.epoch = p.current.counts, p.current.counts.local
	} else if _, err := io.ReadFull(e.random, next.epoch[:]); err != nil {
		return dst, fmt.Errorf("drawing an epoch: %w", err)
	}
	start := len(dst)
	out := append24(append(dst, helloKind, Version), index)
	if next.state, err = e.state(out[start:], p.key[:], p.secret[:]); err != nil {
		return dst, fmt.Errorf("beginning a handshake: %w", err)
	}
	count := max(p.used+1, uint64(max(0, wall.UnixNano())))
	h := hello{count: count, epoch: next.epoch, costs: e.costs, ticket: p.ticket}
	if out, _, _, err = next.state.WriteMessage(out, h.append(nil)); err != nil {
		return dst, fmt.Errorf("writing the first message to relay %v: %w", p.key, err)
	}
	key := labelled(macLabel, p.key)
	mac1 := keyedMAC(key[:], out[start:])
	next.mac1 = mac1[:]
	out = append(out, mac1[:]...)
	var mac2 mac
	if p.baked && now-p.fetched < cookieLife {
		mac2 = keyedMAC(p.cookie[:], out[start:])
	}
	out = append(out, mac2[:]...)
	p.used = count
	if count > p.count {
		p.count = count + reserve
	}
	if p.pending != nil {
		delete(e.waiting, p.pending.index)
	}
	p.pending = next
	e.waiting[index] = p
	return out, nil
}

// hello answers a first message whose mac1 is right and that the doorkeeper admitted.
func (e *Endpoint) hello(dst, datagram []byte, now time.Duration) (Result, error) {
	state, err := e.state(datagram[:helloHead], nil, nil)
	if err != nil {
		return Result{}, fmt.Errorf("beginning a handshake: %w", err)
	}
	body, _, _, err := state.ReadMessage(nil, datagram[helloHead:len(datagram)-2*macSize])
	if err != nil {
		return Result{}, errForged
	}
	h, err := parseHello(body)
	if err != nil {
		return Result{}, err
	}
	p := e.find(Key(state.PeerStatic()), h.ticket)
	if p == nil {
		return Result{}, errStranger
	}
	if p.next != nil && h.count == p.count && equal(p.greeting, mac1Of(datagram)) {
		return Result{Peer: p, Reply: append(dst, p.answered...)[len(dst):]}, nil // its copy over another link
	}
	if h.count <= p.count {
		return Result{Peer: p}, errOldHello
	}
	c, ok := choose(e.costs, h.costs)
	if !ok {
		return Result{Peer: p}, errCipher
	}
	index, err := e.free()
	if err != nil {
		return Result{Peer: p}, err
	}
	w := welcome{index: index, cipher: c}
	known := p.current
	if known.alive(now) && known.counts.remote == h.epoch {
		w.epoch = known.counts.local
	} else if _, err := io.ReadFull(e.random, w.epoch[:]); err != nil {
		return Result{Peer: p}, fmt.Errorf("drawing an epoch: %w", err)
	}
	if err := state.SetPresharedKey(p.secret[:]); err != nil {
		return Result{Peer: p}, err
	}
	remote := uint24(datagram[2:])
	start := len(dst)
	out := append24(append(dst, welcomeKind), remote)
	out, in, ours, err := state.WriteMessage(out, w.append(nil))
	if err != nil {
		return Result{Peer: p}, fmt.Errorf("answering router %v: %w", p.key, err)
	}
	s := &session{peer: p, index: index, remote: remote, cipher: c, born: now}
	if known.alive(now) && known.counts.local == w.epoch {
		s.counts = known.counts
	} else {
		s.counts = &counts{local: w.epoch, remote: h.epoch}
	}
	if err := s.keys(ours, in); err != nil {
		return Result{Peer: p}, err
	}
	key := labelled(macLabel, p.key)
	mac1 := keyedMAC(key[:], out[start:])
	p.count = h.count
	e.drop(p.next)
	p.next = s
	e.sessions[index] = s
	out = append(out, mac1[:]...)
	p.answered, p.greeting = append(p.answered[:0], out[start:]...), mac(mac1Of(datagram))
	return Result{Peer: p, Reply: out[start:]}, nil
}

// keys takes over what the handshake split into.
func (s *session) keys(out, in *noise.CipherState) (err error) {
	if s.out, err = s.cipher.aead(out.UnsafeKey()); err != nil {
		return err
	}
	s.in, err = s.cipher.aead(in.UnsafeKey())
	return err
}

// welcome takes the relay's answer.
func (e *Endpoint) welcome(datagram []byte, now time.Duration) (Result, error) {
	p := e.waiting[uint24(datagram[1:])]
	if p == nil {
		return Result{}, errSession
	}
	if !equal(keyedMAC(e.macKey[:], datagram[:len(datagram)-macSize]), datagram[len(datagram)-macSize:]) {
		return Result{}, errForged
	}
	hello := p.pending
	body, out, in, err := hello.state.ReadMessage(nil, datagram[welcomeHead:len(datagram)-macSize])
	if err != nil {
		return Result{Peer: p}, errAnswer
	}
	delete(e.waiting, hello.index)
	p.pending, p.asking = nil, false
	w, err := parseWelcome(body)
	if err != nil {
		return Result{Peer: p}, err
	}
	s := &session{peer: p, index: hello.index, remote: w.index, cipher: w.cipher, born: hello.born}
	if hello.counts != nil && hello.counts.remote == w.epoch {
		s.counts = hello.counts
	} else {
		s.counts = &counts{local: hello.epoch, remote: w.epoch}
	}
	if err := s.keys(out, in); err != nil {
		return Result{Peer: p}, err
	}
	e.sessions[s.index] = s
	r := Result{Peer: p, Joined: true}
	r.Fresh, r.Rival = e.use(s)
	return r, nil
}

// use makes a session the one that seals.
func (e *Endpoint) use(s *session) (fresh, rival bool) {
	p := s.peer
	fresh = s.counts != p.counts
	e.drop(p.previous)
	p.previous, p.current = p.current, s
	if p.next == s {
		p.next = nil
	}
	if !fresh {
		return false, false
	}
	e.drop(p.previous) // its numbers belong to a life that ended
	p.previous = nil
	if p.counts != nil && p.counts.remote != s.counts.remote {
		for _, d := range p.displaced {
			rival = rival || d == s.counts.remote
		}
		copy(p.displaced[1:], p.displaced[:])
		p.displaced[0] = p.counts.remote
	}
	p.counts = s.counts
	return true, rival
}

// refusal answers a hello of another version.
func (e *Endpoint) refusal(dst, datagram []byte) []byte {
	start := len(dst)
	dst = append(append(append(dst, refusalKind), datagram[2:helloHead]...), Version)
	m := keyedMAC(e.macKey[:], dst[start:], mac1Of(datagram))
	return append(dst, m[:]...)
}

// refused takes that answer. It changes nothing: hellos go on, for the relay may be updated.
func (e *Endpoint) refused(datagram []byte) (Result, error) {
	p := e.waiting[uint24(datagram[1:])]
	if p == nil {
		return Result{}, errSession
	}
	key := labelled(macLabel, p.key)
	if !equal(keyedMAC(key[:], datagram[:5], p.pending.mac1), datagram[5:]) || datagram[4] == Version {
		return Result{}, errForged
	}
	return Result{Peer: p}, VersionError{Theirs: datagram[4]}
}
