package seal

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

// TestFlood: first messages that know the relay's key cost a bounded number of multiplications, and a router with a cookie gets in.
func TestFlood(t *testing.T) {
	h := newHome(t, Costs{1, 1})
	const hellos, seconds = 3000, 3
	cookies := 0
	for n := range hellos {
		now := time.Duration(n) * seconds * time.Second / hellos
		hello := h.hello(t, now)
		r, err := h.relay.Receive(nil, hello, from, now)
		if len(r.Reply) == cookieSize && errors.Is(err, errFlood) {
			cookies++
		}
	}
	const perHandshake = 4 // es, ss, ee, se
	if most := (seconds + 1) * unprovedRate * perHandshake; h.work > most || h.work < perHandshake*unprovedRate {
		t.Errorf("%d multiplications for %d first messages, at most %d", h.work, hellos, most)
	}
	if cookies < hellos-(seconds+1)*unprovedRate {
		t.Errorf("%d cookies", cookies)
	}

	now := 3 * time.Second
	hello := h.hello(t, now)
	for h.relay.door.unproved.take(unprovedRate, unprovedRate, now) { // others knock as well
	}
	r, err := h.relay.Receive(nil, hello, from, now)
	if len(r.Reply) != cookieSize {
		t.Fatalf("%+v, %v", r, err)
	}
	cookie := r.Reply
	flips(t, h.router, cookie, now)
	if r, err = h.router.Receive(nil, cookie, from, now); err != nil || !r.Again {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err = h.router.Receive(nil, cookie, from, now); err != nil || r.Again {
		t.Errorf("a repeated cookie: %+v, %v", r, err)
	}
	// The cookie serves its own address alone.
	proved := h.hello(t, now)
	work := h.work
	for _, a := range []string{"198.51.100.7:4001", "198.51.100.8:4000", "[2001:db8::1]:4000"} {
		if r, _ := h.relay.Receive(nil, proved, netip.MustParseAddrPort(a), now); len(r.Reply) != cookieSize || h.work != work {
			t.Errorf("from %s: %d bytes, %d multiplications", a, len(r.Reply), h.work-work)
		}
	}
	h.answer(t, proved, now)

	// One address with a cookie is bounded too, and hears nothing more.
	work = h.work
	for range 200 {
		hello := h.hello(t, now)
		if r, err := h.relay.Receive(nil, hello, from, now); err != nil && r.Reply != nil {
			t.Fatalf("an answer of %d bytes", len(r.Reply))
		}
	}
	if done := h.work - work; done > eachBurst*perHandshake {
		t.Errorf("%d multiplications for one address", done)
	}
	if h.work == work {
		t.Error("no handshake at all with a cookie")
	}
}

// TestFloodOfAddresses: whoever owns many addresses is bounded by the sum.
func TestFloodOfAddresses(t *testing.T) {
	h := newHome(t, Costs{1, 1})
	hello := h.hello(t, 0)
	if err := h.relay.door.rotate(0); err != nil {
		t.Fatal(err)
	}
	admitted := 0
	for n := range 3 * provedRate {
		who := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 1)
		cookie := cookieOf(h.relay.door.secrets[0], who)
		m := keyedMAC(cookie[:], hello[:len(hello)-macSize])
		copy(hello[len(hello)-macSize:], m[:])
		v, err := h.relay.door.judge(hello, who, 0)
		if err != nil {
			t.Fatal(err)
		}
		if v == admit {
			admitted++
		}
	}
	if admitted != provedRate {
		t.Errorf("%d of %d admitted, want %d", admitted, 3*provedRate, provedRate)
	}
}

// TestCookieAge: a cookie lives as long as the secret it was made from and the one after.
func TestCookieAge(t *testing.T) {
	h := newHome(t, Costs{1, 1})
	hello := h.hello(t, 0)
	door := &h.relay.door
	if err := door.rotate(0); err != nil {
		t.Fatal(err)
	}
	cookie := cookieOf(door.secrets[0], from)
	m := keyedMAC(cookie[:], hello[:len(hello)-macSize])
	copy(hello[len(hello)-macSize:], m[:])
	for _, c := range []struct {
		at   time.Duration
		want verdict
	}{{0, admit}, {cookieLife, admit}, {2*cookieLife - 1, admit}, {2 * cookieLife, demand}, {9 * cookieLife, demand}} {
		if v, err := door.judge(hello, from, c.at); err != nil || v != c.want {
			t.Errorf("at %v: %v, %v; want %v", c.at, v, err, c.want)
		}
	}
	fresh := newDoorkeeper(h.random, h.relaySelf.Public())
	fresh.secrets = door.secrets
	fresh.drawn, fresh.any = 0, true
	if err := fresh.rotate(5 * cookieLife); err != nil {
		t.Fatal(err)
	}
	if fresh.secrets[1] == door.secrets[0] || fresh.secrets[0] == fresh.secrets[1] {
		t.Error("after a long silence an old secret is still good")
	}
}

func TestNetwork(t *testing.T) {
	for a, want := range map[string]string{
		"198.51.100.7": "198.51.100.7/32", "::ffff:198.51.100.7": "198.51.100.7/32",
		"2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := network(netip.MustParseAddr(a)).String(); got != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
}
