package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"time"
)

const (
	rekeyAfter = 2 * time.Minute
	lifetime   = 3 * time.Minute // a key older than this is not used at all
	// AES-256-GCM is good for 2^28 datagrams of at most 2^11 bytes, RFC 9001 appendix B.1.1; the next session comes long before.
	rekeyCount = 1 << 26
	mostSealed = 1 << 28
	helloEvery = time.Second
	// answerMost is how long a session may be silent to what is sent: the core answers everything within a round trip. A relay that was
	// started anew does not know it.
	answerMost = 3 * time.Second
)

var (
	// ErrNoSession is a frame that cannot be sealed because no handshake was finished within the last three minutes.
	ErrNoSession = errors.New("no session with the other end yet: the handshake comes first")
	// ErrNumber is a frame whose number was used before on its path, or a path that does not exist.
	ErrNumber = errors.New("the datagram's number was used before on this path: numbers only grow")
)

// counts are the numbers of the datagrams between two ends while both remember them. They outlive a session: the next one goes on with
// them, so that a datagram of the old one that comes late is neither lost nor taken twice.
type counts struct {
	local, remote epoch
	next          [MaxPaths]uint64
	windows       [MaxPaths]*window
}

// session is a pair of keys that one handshake made.
type session struct {
	peer           *Peer
	index, remote  uint32 // by which we, and the other end, know it
	cipher         Cipher
	out, in        cipher.AEAD
	outNonce       [12]byte
	inNonce        [12]byte
	born           time.Duration
	sealed, opened uint64
	counts         *counts
}

func (s *session) alive(now time.Duration) bool { return s != nil && now-s.born < lifetime }

// nonceOf is the path and the number: no two datagrams of a key share it.
func nonceOf(nonce *[12]byte, path uint8, number uint64) []byte {
	nonce[3] = path
	binary.BigEndian.PutUint64(nonce[4:], number)
	return nonce[:]
}

// Peer is another end and the sessions with it.
type Peer struct {
	key     Key
	secret  Secret
	ticket  Ticket
	count   uint64 // a relay: the greatest heard; a router: up to where they are reserved
	used    uint64 // a router: the last count that a hello carried
	pending *pending
	cookie  mac
	fetched time.Duration // when the cookie came
	baked   bool          // there is a cookie

	// previous still opens, current seals and opens, next opens, and becomes current when it does.
	previous, current, next *session
	counts                  *counts
	displaced               [4]epoch      // routers whose place another one took
	answered                []byte        // the welcome that made next
	greeting                mac           // mac1 of its hello
	asked                   time.Duration // of the first datagram sealed since one was opened
	asking                  bool
}

// NewPeer is another end, known by its public key. count is what Count said last, in an earlier life of this end, or 0.
func NewPeer(key Key, secret Secret, ticket Ticket, count uint64) *Peer {
	return &Peer{key: key, secret: secret, ticket: ticket, count: count, used: count}
}

// Key is the public key of the peer.
func (p *Peer) Key() Key { return p.key }

// Count is the number to keep for the next life of this end, so that first messages are not taken twice. A router keeps it before it sends
// the hello after which it changed, which is once an hour at most; a relay may do so now and then: all that a repeated hello could
// cost it after that is work.
func (p *Peer) Count() uint64 { return p.count }

// Cipher is what the current session uses, 0 without one.
func (p *Peer) Cipher() Cipher {
	if p.current == nil {
		return 0
	}
	return p.current.cipher
}

// Ready tells whether Seal can work.
func (p *Peer) Ready(now time.Duration) bool {
	return p.current.alive(now) && p.current.sealed < mostSealed
}

// Due tells a router that has something to send whether it should say hello before: there is no session, or it gets old, or what was sent has
// had no answer for three seconds. After a hello it waits for a second; who pays for each byte may wait longer.
func (p *Peer) Due(now time.Duration) bool {
	if p.pending != nil && now-p.pending.born < helloEvery {
		return false
	}
	s := p.current
	return !s.alive(now) || p.asking && now-p.asked >= answerMost || now-s.born >= rekeyAfter || s.sealed >= rekeyCount || s.opened >= rekeyCount
}

// Seal appends to dst the datagram of a frame. Each path has numbers of its own, from 0 whenever a Result says Fresh; they only grow, and one
// that is given again is refused before anything is encrypted. frame and dst do not overlap.
func (p *Peer) Seal(dst []byte, path uint8, number uint64, frame []byte, now time.Duration) ([]byte, error) {
	s := p.current
	if !p.Ready(now) {
		return dst, ErrNoSession
	}
	if path >= MaxPaths || number < s.counts.next[path] || number+1 == 0 {
		return dst, ErrNumber
	}
	s.counts.next[path] = number + 1
	s.sealed++
	if !p.asking {
		p.asking, p.asked = true, now
	}
	head := len(dst)
	dst = append24(append(dst, dataKind|path), s.remote)
	dst = binary.BigEndian.AppendUint32(dst, uint32(number))
	return s.out.Seal(dst, nonceOf(&s.outNonce, path, number), frame, dst[head:head+dataHead]), nil
}

// open reads a datagram of this session; the result is appended to dst.
func (s *session) open(dst, datagram []byte, now time.Duration) (frame []byte, number uint64, err error) {
	if !s.alive(now) {
		return nil, 0, errSession
	}
	path := datagram[0] & pathMask
	w := s.counts.windows[path]
	next := uint64(0)
	if w != nil {
		next = w.next
	}
	number = complete(next, binary.BigEndian.Uint32(datagram[4:]))
	if number+1 == 0 || w != nil && !w.fresh(number) {
		return nil, 0, errReplay
	}
	frame, err = s.in.Open(dst, nonceOf(&s.inNonce, path, number), datagram[dataHead:], datagram[:dataHead])
	if err != nil {
		return nil, 0, errForged
	}
	if w == nil {
		w = &window{}
		s.counts.windows[path] = w
	}
	w.arrived(number)
	s.opened++
	s.peer.asking = false
	return frame, number, nil
}
