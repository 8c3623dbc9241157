package seal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// joined is a home whose handshake is done at both ends.
func joined(t testing.TB, costs Costs) *home {
	t.Helper()
	h := newHome(t, costs)
	h.shake(t, 0)
	h.up(t, 0, 0, 0)
	return h
}

func TestReplayAndOrder(t *testing.T) {
	h := joined(t, Costs{1, 1})
	var all [][]byte
	const most = Window + 1000
	for n := range uint64(most) {
		all = append(all, sealed(t, h.toRelay, 1, n, []byte{byte(n)}, 0))
	}
	open := func(n int) error {
		r, err := h.relay.Receive(nil, bytes.Clone(all[n]), from, 0)
		if err == nil && (r.Number != uint64(n) || !bytes.Equal(r.Frame, []byte{byte(n)})) {
			t.Fatalf("number %d came as %d with %v", n, r.Number, r.Frame)
		}
		return err
	}
	if err := open(most - 1); err != nil {
		t.Fatal(err)
	}
	edge := most - Window // the oldest that may still come
	for _, c := range []struct {
		n    int
		want error
	}{{edge - 1, errReplay}, {0, errReplay}, {edge, nil}, {edge, errReplay}, {most - 2, nil}, {most - 1, errReplay}} {
		if err := open(c.n); !errors.Is(err, c.want) {
			t.Errorf("number %d: %v, want %v", c.n, err, c.want)
		}
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm(most)
	for _, n := range order {
		seen := n < edge || n == edge || n >= most-2
		if err := open(n); seen != errors.Is(err, errReplay) || !seen && err != nil {
			t.Fatalf("number %d: %v", n, err)
		}
	}
	for _, n := range order[:500] {
		if err := open(n); !errors.Is(err, errReplay) {
			t.Fatalf("number %d again: %v", n, err)
		}
	}
}

// TestForgedNumberMovesNothing: only what proved to be true moves the window.
func TestForgedNumberMovesNothing(t *testing.T) {
	h := joined(t, Costs{1, 1})
	late := sealed(t, h.toRelay, 0, 1, []byte("late"), 0)
	forged := bytes.Clone(late)
	forged[5] = 0x7f
	refuse(t, h.relay, forged, 0, errForged)
	if r, err := h.relay.Receive(nil, late, from, 0); err != nil || r.Number != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestPathsShareNothing: a datagram of one path is nothing on another, and equal numbers encrypt differently.
func TestPathsShareNothing(t *testing.T) {
	h := joined(t, Costs{1, 1})
	a, b := sealed(t, h.toRelay, 1, 9, make([]byte, 64), 0), sealed(t, h.toRelay, 2, 9, make([]byte, 64), 0)
	if bytes.Equal(a[dataHead:dataHead+64], b[dataHead:dataHead+64]) {
		t.Error("two paths share a nonce")
	}
	moved := bytes.Clone(a)
	moved[0] = dataKind | 2
	refuse(t, h.relay, moved, 0, errForged)
	for n, d := range [][]byte{a, b} {
		if r, err := h.relay.Receive(nil, d, from, 0); err != nil || r.Path != uint8(n+1) {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	h := joined(t, Costs{1, 1})
	for _, c := range []struct {
		path   uint8
		number uint64
		now    time.Duration
		want   error
	}{
		{0, 0, 0, ErrNumber}, // sent by joined
		{0, 7, 0, nil},
		{0, 7, 0, ErrNumber},
		{0, 6, 0, ErrNumber},
		{MaxPaths, 0, 0, ErrNumber},
		{1, 1<<64 - 1, 0, ErrNumber},
		{1, 0, lifetime - 1, nil},
		{1, 1, lifetime, ErrNoSession},
	} {
		prefix := []byte("before")
		b, err := h.toRelay.Seal(prefix, c.path, c.number, []byte("x"), c.now)
		if !errors.Is(err, c.want) || !bytes.HasPrefix(b, prefix) || err != nil && len(b) != len(prefix) {
			t.Errorf("path %d number %d at %v: %q, %v; want %v", c.path, c.number, c.now, b, err, c.want)
		}
	}
	h = joined(t, Costs{1, 1})
	h.toRelay.current.sealed = rekeyCount
	if !h.toRelay.Due(helloEvery) {
		t.Error("no new handshake after many datagrams")
	}
	h.toRelay.current.sealed = mostSealed
	if _, err := h.toRelay.Seal(nil, 0, 1, nil, 0); !errors.Is(err, ErrNoSession) {
		t.Errorf("a key used too often: %v", err)
	}
}

// TestWrap: the 32 bits of the wire are completed over many wraps, in any order within half their range.
func TestWrap(t *testing.T) {
	h := joined(t, Costs{1, 1})
	steps := []uint64{1<<31 - 2, 1<<32 - 2, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1<<32 + 1<<31, 1<<33 - 1, 1 << 33, 1<<33 + 1<<31 - 1}
	for _, n := range steps {
		h.up(t, 4, n, 0)
	}
	var late []byte
	h.toRelay.counts.next[5] = 0
	h.up(t, 5, 1<<31-1, 0)
	late = sealed(t, h.toRelay, 5, 1<<32-1, []byte("late"), 0)
	h.up(t, 5, 1<<32, 0)
	if r, err := h.relay.Receive(nil, late, from, 0); err != nil || r.Number != 1<<32-1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCompleteProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		next := rapid.Uint64Range(0, 1<<62).Draw(t, "next")
		n := next + rapid.Uint64Range(0, 1<<31-1).Draw(t, "ahead")
		if back := rapid.Uint64Range(0, 1<<31-1).Draw(t, "behind"); rapid.Bool().Draw(t, "late") {
			n = next - min(back, next)
		}
		if got := complete(next, uint32(n)); got != n {
			t.Fatalf("next %d: %d was taken for %d", next, n, got)
		}
	})
}

// TestWindowProperty: the window is what a set of numbers and a limit would be.
func TestWindowProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		seen := map[uint64]bool{}
		at := rapid.SampledFrom([]uint64{0, 63, 1 << 32, 1 << 60}).Draw(t, "start")
		for range rapid.IntRange(1, 300).Draw(t, "datagrams") {
			jump := rapid.SampledFrom([]uint64{1, 2, 64, 65, 500, Window - 1, Window, Window + 1, ringWords * 64, 100_000}).Draw(t, "jump")
			n := at + jump
			if rapid.Bool().Draw(t, "back") {
				n = at - min(at, jump)
			}
			want := !seen[n] && (w.next <= n || w.next-1-n < Window)
			if got := w.fresh(n); got != want {
				t.Fatalf("%d is fresh: %v, want %v; next %d", n, got, want, w.next)
			}
			if want {
				w.arrived(n)
				seen[n] = true
				at = max(at, n)
			}
		}
	})
}

// TestRekey: while one session follows another, whatever arrives in whatever order arrives once, and the numbers go on.
func TestRekey(t *testing.T) {
	h := joined(t, Costs{1, 1})
	pass(t, h.toRouter, h.router, 1, 0, 0)
	if h.toRelay.Due(rekeyAfter - 1) {
		t.Error("a new handshake too early")
	}
	now := rekeyAfter
	if !h.toRelay.Due(now) {
		t.Error("no new handshake")
	}
	var late [][]byte
	for n := uint64(1); n < 50; n++ {
		late = append(late, sealed(t, h.toRelay, 0, n, []byte("old"), now))
	}
	if r := h.shake(t, now); r.Fresh {
		t.Error("the router's numbers begin again")
	}
	if h.toRelay.Due(now) {
		t.Error("a handshake after the handshake")
	}
	// The relay goes on with the old key until it hears the new one.
	pass(t, h.toRouter, h.router, 0, 0, now)
	for n := uint64(50); n < 100; n++ {
		late = append(late, sealed(t, h.toRelay, 0, n, []byte("new"), now))
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(late), func(i, j int) { late[i], late[j] = late[j], late[i] })
	joins := 0
	var got []uint64
	for _, d := range late {
		r, err := h.relay.Receive(nil, bytes.Clone(d), from, now)
		if err != nil || r.Fresh || r.Rival {
			t.Fatalf("%+v, %v", r, err)
		}
		if r.Joined {
			joins++
		}
		got = append(got, r.Number)
	}
	slices.Sort(got)
	if joins != 1 || got[0] != 1 || got[98] != 99 || len(slices.Compact(got)) != 99 {
		t.Errorf("%d joins, %d numbers from %d to %d", joins, len(got), got[0], got[len(got)-1])
	}
	for _, d := range late {
		refuse(t, h.relay, d, now, errReplay)
	}
	pass(t, h.toRouter, h.router, 0, 1, now)
	if len(h.relay.sessions) != 2 || len(h.router.sessions) != 2 {
		t.Errorf("%d and %d sessions", len(h.relay.sessions), len(h.router.sessions))
	}
	// The old key ends by itself, and opens nothing any more before it is forgotten.
	h.toRouter.counts.windows[0] = nil
	refuse(t, h.relay, late[slices.IndexFunc(late, func(d []byte) bool { return uint24(d[1:]) == h.toRouter.previous.index })], lifetime, errSession)
	h.relay.Expire(lifetime)
	h.router.Expire(lifetime)
	if len(h.relay.sessions) != 1 || h.toRouter.previous != nil || !h.toRouter.Ready(lifetime) {
		t.Error("the old session outlives its key")
	}
	h.relay.Expire(now + lifetime)
	h.router.Expire(now + lifetime)
	if len(h.relay.sessions)+len(h.router.sessions) != 0 || h.toRouter.Ready(now+lifetime) {
		t.Error("sessions outlive their keys")
	}
}

// TestRekeyProperty: handshakes whose messages are lost or late, restarts of either end and datagrams in any order never make one arrive
// twice or be taken for another, and both ends agree on when numbers begin again.
func TestRekeyProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := joined(t, Costs{1, 1})
		now := time.Duration(0)
		type sent struct {
			datagram []byte
			number   uint64
			life     epoch // the relay's name of the router's life then
		}
		var flight []sent
		number := uint64(1)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			now += time.Duration(rapid.IntRange(0, 40).Draw(rt, "seconds")) * time.Second
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0: // a whole handshake
				r, err := h.router.Receive(nil, h.answer(t, h.hello(t, now), now), from, now)
				if err != nil {
					rt.Fatal(err)
				}
				if r.Fresh {
					number = 0
				}
				if rapid.Bool().Draw(rt, "heard") { // what the router sends at once says that both ends agree
					got := h.up(t, 0, number, now)
					if number++; !got.Joined || h.toRouter.counts.local != h.toRelay.counts.remote {
						rt.Fatalf("%+v", got)
					}
				}
			case 1: // its answer is lost
				h.answer(t, h.hello(t, now), now)
			case 2: // the relay forgets, as after a restart
				h.relay.Forget(h.toRouter)
				h.toRouter.counts = nil
			case 3:
				h.router.Expire(now)
				h.relay.Expire(now)
			case 4, 5, 6:
				if h.toRelay.Ready(now) {
					flight = append(flight, sent{sealed(t, h.toRelay, 0, number, []byte("x"), now), number, h.toRelay.current.counts.remote})
					number++
				}
			default:
				if len(flight) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(flight)-1).Draw(rt, "which")
				f := flight[i]
				r, err := h.relay.Receive(nil, bytes.Clone(f.datagram), from, now)
				if err == nil && (r.Number != f.number || h.toRouter.counts.local != f.life) {
					rt.Fatalf("number %d came as %d, life %x as %x", f.number, r.Number, f.life, h.toRouter.counts.local)
				}
				if _, err := h.relay.Receive(nil, bytes.Clone(f.datagram), from, now); err == nil {
					rt.Fatalf("number %d came twice", f.number)
				}
			}
		}
	})
}

// TestRestart: an end that begins a new life begins its numbers at 0, and the other one is told to do the same.
func TestRestart(t *testing.T) {
	t.Run("of the router", func(t *testing.T) {
		h := joined(t, Costs{1, 1})
		h.up(t, 0, 1000, 0)
		old := sealed(t, h.toRelay, 0, 1001, []byte("old"), 0)
		h.router = New(Config{Self: h.routerSelf, Costs: Costs{1, 1}, Random: h.random})
		h.toRelay = NewPeer(h.relaySelf.Public(), Secret{7}, Ticket{}, h.toRelay.Count())
		if r := h.shake(t, time.Second); !r.Fresh {
			t.Error("the router's numbers go on")
		}
		if r := h.up(t, 0, 0, time.Second); !r.Fresh || r.Rival {
			t.Errorf("the relay's result is %+v", r)
		}
		refuse(t, h.relay, old, time.Second, errSession)
	})
	t.Run("of the relay", func(t *testing.T) {
		h := joined(t, Costs{1, 1})
		for wrap := uint64(1); wrap <= 4; wrap++ {
			h.up(t, 0, wrap<<31, 0)
		}
		find := h.relay.find
		h.relay = New(Config{Self: h.relaySelf, Costs: Costs{1, 1}, Random: h.random, Find: find})
		h.toRouter = NewPeer(h.routerSelf.Public(), Secret{7}, Ticket{}, h.toRouter.Count())
		refuse(t, h.relay, sealed(t, h.toRelay, 0, 1<<33+1, nil, 0), 0, errSession)
		if r := h.shake(t, time.Second); !r.Fresh {
			t.Error("the router's numbers go on")
		}
		if r := h.up(t, 0, 0, time.Second); !r.Fresh {
			t.Errorf("the relay's result is %+v", r)
		}
	})
	t.Run("after a long silence", func(t *testing.T) {
		h := joined(t, Costs{1, 1})
		h.up(t, 0, 1000, 0)
		if r := h.shake(t, lifetime); !r.Fresh {
			t.Error("the router's numbers go on")
		}
		if r := h.up(t, 0, 0, lifetime); !r.Fresh {
			t.Errorf("the relay's result is %+v", r)
		}
	})
}

// TestTwoRoutersOneKey: each displaces the other without harm to what is encrypted, and the relay learns of it.
func TestTwoRoutersOneKey(t *testing.T) {
	h := joined(t, Costs{1, 1})
	twin := *h
	twin.router = New(Config{Self: h.routerSelf, Costs: Costs{1, 1}, Random: h.random})
	twin.toRelay = NewPeer(h.relaySelf.Public(), Secret{7}, Ticket{}, 0)
	now := time.Second
	twin.shake(t, now)
	if r := twin.up(t, 0, 0, now); !r.Fresh || r.Rival {
		t.Errorf("the first displacement: %+v", r)
	}
	refuse(t, h.relay, sealed(t, h.toRelay, 0, 5, nil, now), now, errSession)
	now += time.Second
	if r := h.shake(t, now); !r.Fresh {
		t.Error("the displaced router's numbers go on")
	}
	if r := h.up(t, 0, 0, now); !r.Fresh || !r.Rival {
		t.Errorf("the return: %+v", r)
	}
}

// TestSilence: a relay that does not answer, since it was started anew, hears a hello soon; one that answers does not.
func TestSilence(t *testing.T) {
	h := joined(t, Costs{1, 1})
	pass(t, h.toRouter, h.router, 0, 0, 0)
	if h.toRelay.Due(time.Minute) {
		t.Error("a hello after a silence in which nothing was sent")
	}
	now := time.Minute
	for n := uint64(1); n < 30; n++ {
		sealed(t, h.toRelay, 0, n, nil, now+time.Duration(n)*100*time.Millisecond)
	}
	if h.toRelay.Due(now+answerMost) || !h.toRelay.Due(now+answerMost+100*time.Millisecond) {
		t.Error("the hello does not come three seconds after the first datagram")
	}
	pass(t, h.toRouter, h.router, 0, 1, now)
	if h.toRelay.Due(now + answerMost + 100*time.Millisecond) {
		t.Error("a hello although the relay answers")
	}
	sealed(t, h.toRelay, 0, 30, nil, now)
	h.shake(t, now+answerMost)
	if h.toRelay.Due(now + answerMost + helloEvery) {
		t.Error("a hello right after the handshake")
	}
}

func TestForget(t *testing.T) {
	h := joined(t, Costs{1, 1})
	h.answer(t, h.hello(t, time.Second), time.Second)
	h.relay.Forget(h.toRouter)
	if len(h.relay.sessions) != 0 || h.toRouter.Ready(0) {
		t.Error("a revoked router has a session")
	}
	refuse(t, h.relay, sealed(t, h.toRelay, 0, 9, nil, 0), 0, errSession)
	h.router.Forget(h.toRelay)
	if len(h.router.sessions)+len(h.router.waiting) != 0 {
		t.Error("a forgotten relay is waited for")
	}
}

func TestAllocations(t *testing.T) {
	for _, costs := range []Costs{{ChaCha: 1}, {AES: 1}} {
		h := joined(t, costs)
		frame, buf := make([]byte, 1400), make([]byte, 0, 1400+Overhead)
		number := uint64(1)
		if n := testing.AllocsPerRun(1000, func() {
			b, err := h.toRelay.Seal(buf, 0, number, frame, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.relay.Receive(nil, b, from, 0); err != nil {
				t.Fatal(err)
			}
			number++
		}); n != 0 {
			t.Errorf("%v: %v allocations for a datagram sealed and opened", h.toRelay.Cipher(), n)
		}
	}
}
