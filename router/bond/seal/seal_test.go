package seal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/flynn/noise"
)

var (
	wall = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	from = netip.MustParseAddrPort("198.51.100.7:4000")
)

// countingDH counts the multiplications on the curve, which is what a handshake costs.
type countingDH struct {
	noise.DHFunc
	n *int
}

func (c countingDH) DH(private, public []byte) ([]byte, error) {
	*c.n++
	return c.DHFunc.DH(private, public)
}

// home is a router and a relay that know each other.
type home struct {
	router, relay         *Endpoint
	toRelay, toRouter     *Peer
	routerSelf, relaySelf Identity
	random                *rand.ChaCha8
	work                  int
}

func identity(t testing.TB, random *rand.ChaCha8) Identity {
	t.Helper()
	id, err := NewIdentity(random)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newHome(t testing.TB, costs Costs) *home {
	t.Helper()
	return seededHome(t, costs, 1)
}

func seededHome(t testing.TB, costs Costs, seed byte) *home {
	t.Helper()
	h := &home{random: rand.NewChaCha8([32]byte{seed})}
	h.routerSelf, h.relaySelf = identity(t, h.random), identity(t, h.random)
	secret := Secret{7}
	h.toRelay = NewPeer(h.relaySelf.Public(), secret, Ticket{}, 0)
	h.toRouter = NewPeer(h.routerSelf.Public(), secret, Ticket{}, 0)
	h.router = New(Config{Self: h.routerSelf, Costs: costs, Random: h.random})
	h.relay = New(Config{Self: h.relaySelf, Costs: costs, Random: h.random, Find: func(k Key, _ Ticket) *Peer {
		if k == h.toRouter.Key() {
			return h.toRouter
		}
		return nil
	}})
	h.relay.dh = countingDH{noise.DH25519, &h.work}
	return h
}

func (h *home) hello(t testing.TB, now time.Duration) []byte {
	t.Helper()
	b, err := h.router.Hello(nil, h.toRelay, now, wall.Add(now))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answer is the relay's welcome to a hello.
func (h *home) answer(t testing.TB, hello []byte, now time.Duration) []byte {
	t.Helper()
	r, err := h.relay.Receive(nil, hello, from, now)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Reply) != welcomeSize {
		t.Fatalf("a reply of %d bytes", len(r.Reply))
	}
	return r.Reply
}

// shake finishes a handshake at the router; the relay still waits for the first datagram.
func (h *home) shake(t testing.TB, now time.Duration) Result {
	t.Helper()
	r, err := h.router.Receive(nil, h.answer(t, h.hello(t, now), now), from, now)
	if err != nil || !r.Joined {
		t.Fatalf("joined %v: %v", r.Joined, err)
	}
	return r
}

// up sends what must arrive at the relay.
func (h *home) up(t testing.TB, path uint8, number uint64, now time.Duration) Result {
	t.Helper()
	return pass(t, h.toRelay, h.relay, path, number, now)
}

func pass(t testing.TB, p *Peer, e *Endpoint, path uint8, number uint64, now time.Duration) Result {
	t.Helper()
	frame := []byte("a frame of some length")
	r, err := e.Receive(nil, sealed(t, p, path, number, frame, now), from, now)
	if err != nil {
		t.Fatalf("path %d number %d: %v", path, number, err)
	}
	if !bytes.Equal(r.Frame, frame) || r.Path != path || r.Number != number {
		t.Fatalf("path %d number %d arrived as path %d number %d, frame %q", path, number, r.Path, r.Number, r.Frame)
	}
	return r
}

func sealed(t testing.TB, p *Peer, path uint8, number uint64, frame []byte, now time.Duration) []byte {
	t.Helper()
	b, err := p.Seal(nil, path, number, frame, now)
	if err != nil {
		t.Fatalf("sealing path %d number %d: %v", path, number, err)
	}
	return b
}

// refuse hands a datagram over that must bring nothing.
func refuse(t testing.TB, e *Endpoint, datagram []byte, now time.Duration, want error) {
	t.Helper()
	r, err := e.Receive(nil, bytes.Clone(datagram), from, now)
	if err == nil || want != nil && !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	if r.Frame != nil || r.Reply != nil || r.Joined {
		t.Fatalf("a refused datagram brought %+v", r)
	}
}

func TestHandshake(t *testing.T) {
	for _, c := range []struct {
		name          string
		router, relay Costs
		want          Cipher
	}{
		{"both have AES in hardware", Costs{40, 15}, Costs{50, 20}, AES256GCM},
		{"the router has none", Costs{300, 4000}, Costs{50, 20}, ChaCha20Poly1305},
		{"the relay has none", Costs{50, 20}, Costs{300, 4000}, ChaCha20Poly1305},
		{"alike", Costs{9, 9}, Costs{9, 9}, ChaCha20Poly1305},
		{"one without ChaCha", Costs{0, 90}, Costs{5, 900}, AES256GCM},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHome(t, c.router)
			h.relay.costs = c.relay
			if _, err := h.toRelay.Seal(nil, 0, 0, nil, 0); !errors.Is(err, ErrNoSession) {
				t.Fatalf("sealing before the handshake: %v", err)
			}
			if r := h.shake(t, 0); !r.Fresh || r.Peer != h.toRelay {
				t.Fatalf("the router's result is %+v", r)
			}
			if h.toRouter.Ready(0) {
				t.Fatal("the relay seals before the router proved that it has the key")
			}
			if r := h.up(t, 2, 0, 0); !r.Joined || !r.Fresh || r.Peer != h.toRouter {
				t.Fatalf("the relay's result is %+v", r)
			}
			pass(t, h.toRouter, h.router, 2, 0, 0)
			if h.toRelay.Cipher() != c.want || h.toRouter.Cipher() != c.want {
				t.Errorf("router %v, relay %v, want %v", h.toRelay.Cipher(), h.toRouter.Cipher(), c.want)
			}
		})
	}
}

func TestNoCommonCipher(t *testing.T) {
	h := newHome(t, Costs{ChaCha: 5})
	h.relay.costs = Costs{AES: 5}
	refuse(t, h.relay, h.hello(t, 0), 0, errCipher)
}

func TestWrongKeys(t *testing.T) {
	t.Run("of the relay", func(t *testing.T) {
		h := newHome(t, Costs{1, 1})
		h.toRelay.key = identity(t, h.random).Public()
		refuse(t, h.relay, h.hello(t, 0), 0, errForged)
		if h.work != 0 {
			t.Errorf("%d multiplications for one who does not know the relay", h.work)
		}
	})
	t.Run("of the router", func(t *testing.T) {
		h := newHome(t, Costs{1, 1})
		h.router = New(Config{Self: identity(t, h.random), Costs: Costs{1, 1}, Random: h.random})
		refuse(t, h.relay, h.hello(t, 0), 0, errStranger)
	})
	t.Run("of the invite", func(t *testing.T) {
		h := newHome(t, Costs{1, 1})
		h.toRelay.secret[3]++
		refuse(t, h.router, h.answer(t, h.hello(t, 0), 0), 0, errAnswer)
		if h.toRelay.Ready(0) || h.toRouter.Ready(0) {
			t.Error("there is a session")
		}
	})
	t.Run("an end that is no relay", func(t *testing.T) {
		h := newHome(t, Costs{1, 1})
		h.relay.find = nil
		refuse(t, h.relay, h.hello(t, 0), 0, errBroken)
	})
}

// TestInvite: a router that nobody knows joins with a ticket, and not without the secret that belongs to it.
func TestInvite(t *testing.T) {
	for _, right := range []bool{true, false} {
		h := newHome(t, Costs{1, 1})
		ticket := Ticket{1, 2, 3}
		var asked []Ticket
		h.relay.find = func(k Key, got Ticket) *Peer {
			asked = append(asked, got)
			if k != h.routerSelf.Public() || got != ticket {
				return nil
			}
			return h.toRouter
		}
		refuse(t, h.relay, h.hello(t, 0), 0, errStranger)
		h.toRelay.ticket = ticket
		if !right {
			h.toRelay.secret = Secret{}
			refuse(t, h.router, h.answer(t, h.hello(t, 0), 0), 0, errAnswer)
			continue
		}
		h.shake(t, 0)
		if r := h.up(t, 0, 0, 0); !r.Joined || len(asked) != 2 || asked[1] != ticket {
			t.Errorf("result %+v, asked for %v", r, asked)
		}
	}
}

// TestVersion: both ends learn of another version, and only from each other.
func TestVersion(t *testing.T) {
	h := newHome(t, Costs{1, 1})
	hello := h.hello(t, 0)
	reseal := func(b []byte) []byte {
		m := keyedMAC(h.relay.macKey[:], b[:len(b)-2*macSize])
		copy(mac1Of(b), m[:])
		return b
	}
	for _, size := range []int{helloSize, helloSize + 40, helloHead + 2*macSize} {
		other := append(bytes.Clone(hello[:helloHead]), make([]byte, size-helloHead)...)
		other[1] = 9
		refuse(t, h.relay, other, 0, errForged)
		r, err := h.relay.Receive(nil, reseal(other), from, 0)
		if !errors.Is(err, VersionError{Theirs: 9}) || len(r.Reply) != refusalSize {
			t.Fatalf("result %+v: %v", r, err)
		}
		if h.work != 0 {
			t.Fatal("another version costs a multiplication")
		}
	}
	// The router speaks 1 and its relay, of another version, answers so.
	key := labelled(macLabel, h.relaySelf.Public())
	no := append([]byte{refusalKind}, hello[2:5]...)
	no = append(no, 2)
	m := keyedMAC(key[:], no, mac1Of(hello))
	no = append(no, m[:]...)
	for i := range no {
		bad := bytes.Clone(no)
		bad[i] ^= 0x20
		refuse(t, h.router, bad, 0, nil)
		var v VersionError
		if _, err := h.router.Receive(nil, bad, from, 0); errors.As(err, &v) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
	if _, err := h.router.Receive(nil, no, from, 0); !errors.Is(err, VersionError{Theirs: 2}) {
		t.Fatal(err)
	}
	if _, err := h.router.Receive(nil, h.answer(t, hello, 0), from, 0); err != nil {
		t.Errorf("a refusal ended the handshake: %v", err)
	}
}

// flips hands over a datagram with each of its bits turned, and each beginning of it.
func flips(t *testing.T, e *Endpoint, datagram []byte, now time.Duration) {
	t.Helper()
	for bit := range len(datagram) * 8 {
		b := bytes.Clone(datagram)
		b[bit/8] ^= 1 << (bit % 8)
		r, err := e.Receive(nil, b, from, now)
		if err == nil || r.Frame != nil || r.Joined || r.Again || len(r.Reply) != 0 && len(r.Reply) != cookieSize {
			t.Fatalf("bit %d of byte %d: %+v, %v", bit%8, bit/8, r, err)
		}
	}
	for n := range datagram {
		refuse(t, e, datagram[:n], now, nil)
	}
	refuse(t, e, append(bytes.Clone(datagram), 0), now, nil)
}

// TestBitFlips: no message survives any change, and none spoils what the true one does afterwards.
func TestBitFlips(t *testing.T) {
	h := newHome(t, Costs{1, 1})
	hello := h.hello(t, 0)
	flips(t, h.relay, hello, 0)
	welcome := h.answer(t, hello, 0)
	flips(t, h.router, welcome, 0)
	if r, err := h.router.Receive(nil, welcome, from, 0); err != nil || !r.Joined {
		t.Fatal(err)
	}
	datagram := sealed(t, h.toRelay, 3, 0, []byte("frame"), 0)
	flips(t, h.relay, datagram, 0)
	if r, err := h.relay.Receive(nil, datagram, from, 0); err != nil || !r.Joined {
		t.Fatal(err)
	}
	for _, costs := range []Costs{{ChaCha: 1}, {AES: 1}} {
		h := newHome(t, costs)
		h.shake(t, 0)
		flips(t, h.relay, sealed(t, h.toRelay, 7, 5, make([]byte, 100), 0), 0)
	}
}

func TestReplayedHandshake(t *testing.T) {
	h := newHome(t, Costs{1, 1})
	hello := h.hello(t, 0)
	welcome := h.answer(t, hello, 0)
	if !bytes.Equal(h.answer(t, hello, 0), welcome) || len(h.relay.sessions) != 1 {
		t.Error("a copy over another link is answered otherwise")
	}
	if _, err := h.router.Receive(nil, bytes.Clone(welcome), from, 0); err != nil {
		t.Fatal(err)
	}
	refuse(t, h.router, welcome, 0, errSession)
	late := h.hello(t, 0)
	h.answer(t, late, 0)
	refuse(t, h.relay, hello, 0, errOldHello)
	last := h.hello(t, 0)
	if _, err := h.router.Receive(nil, h.answer(t, last, 0), from, 0); err != nil {
		t.Fatal(err)
	}
	h.up(t, 1, 0, 0)
	for _, old := range [][]byte{hello, late, last} {
		refuse(t, h.relay, old, 0, errOldHello)
	}
	// A relay that forgot the count takes the old hello, and the session at work goes on.
	h.up(t, 0, 0, 0)
	h.toRouter.count = 0
	h.answer(t, hello, 0)
	if r := h.up(t, 0, 1, 0); r.Joined {
		t.Error("a repeated hello made a session")
	}
	pass(t, h.toRouter, h.router, 0, 0, 0)
}

// TestWrongClock: a router whose clock jumps by years in either direction joins each time, over restarts too.
func TestWrongClock(t *testing.T) {
	h := newHome(t, Costs{1, 1})
	kept := uint64(0)
	for n, year := range []int{2026, 1970, 1850, 2100, 1970, 2026} {
		h.toRelay = NewPeer(h.relaySelf.Public(), Secret{7}, Ticket{}, kept)
		h.router = New(Config{Self: h.routerSelf, Costs: Costs{1, 1}, Random: h.random})
		for again := range 3 {
			now := time.Duration(10*n+again) * time.Second
			hello, err := h.router.Hello(nil, h.toRelay, now, time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC))
			if err != nil {
				t.Fatal(err)
			}
			if again == 0 {
				kept = h.toRelay.Count()
			} else if h.toRelay.Count() != kept {
				t.Errorf("the count is to be kept twice within seconds")
			}
			h.answer(t, hello, now)
		}
	}
}
