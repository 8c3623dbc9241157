package seal

import (
	"bytes"
	"testing"
)

// FuzzReceive: nothing that a stranger sends gets in, harms a session or crashes either end.
func FuzzReceive(f *testing.F) {
	h := joined(f, Costs{1, 1})
	hello := h.hello(f, 0)
	f.Add(hello)
	f.Add(h.answer(f, hello, 0))
	f.Add(sealed(f, h.toRelay, 0, 1, []byte("frame"), 0))
	f.Add([]byte{refusalKind, 20: 0})
	f.Add([]byte{cookieKind, cookieSize - 1: 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		h := seededHome(t, Costs{1, 1}, 9) // not the keys of the seeds
		h.shake(t, 0)
		h.up(t, 0, 0, 0)
		h.hello(t, 0)
		for _, e := range []*Endpoint{h.relay, h.router} {
			if r, err := e.Receive(nil, bytes.Clone(b), from, 0); err == nil && r.Frame == nil || r.Again || r.Rival {
				t.Fatalf("%+v, %v", r, err)
			}
		}
		if !h.toRouter.Ready(0) || !h.toRelay.Ready(0) {
			t.Fatal("the session is gone")
		}
		h.up(t, 6, 0, 0)
	})
}

// FuzzKnock: what comes from one who knows the relay's key, with macs in order.
func FuzzKnock(f *testing.F) {
	h := newHome(f, Costs{1, 1})
	f.Add(h.hello(f, 0))
	f.Add([]byte{helloKind, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < helloHead+2*macSize {
			return
		}
		h := newHome(t, Costs{1, 1})
		h.toRouter.count = 1<<64 - 1
		m := keyedMAC(h.relay.macKey[:], b[:len(b)-2*macSize])
		copy(mac1Of(b), m[:])
		r, err := h.relay.Receive(nil, b, from, 0)
		if err == nil || r.Joined || len(r.Reply) > len(b) {
			t.Fatalf("%+v, %v", r, err)
		}
	})
}

func FuzzParseHello(f *testing.F) {
	f.Add(make([]byte, helloBody))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parseHello(b); err == nil && !bytes.Equal(m.append(nil), b) {
			t.Fatalf("%x reads as %+v", b, m)
		}
	})
}

func FuzzParseWelcome(f *testing.F) {
	f.Add(append([]byte{0, 0, 1, 1}, make([]byte, 8)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parseWelcome(b); err == nil && !bytes.Equal(m.append(nil), b) {
			t.Fatalf("%x reads as %+v", b, m)
		}
	})
}
