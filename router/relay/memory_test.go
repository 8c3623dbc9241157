package relay_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/bond/carrier"
	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/router/relay"
)

// stillMachine is a machine that forwards nothing: the devices of these tests are memory.
type stillMachine struct{}

func (stillMachine) Sysctl(string) (string, error)                 { return "", nil }
func (stillMachine) SetSysctl(string, string) error                { return nil }
func (stillMachine) Load(context.Context, string) error            { return nil }
func (stillMachine) ReplaceRoute(context.Context, hal.Route) error { return nil }
func (stillMachine) DeleteRoute(context.Context, hal.Route) error  { return nil }

// pair is a relay and a router in one process. Packets go between the two ends of memory over sockets of the loopback.
type pair struct {
	t       *testing.T
	cfg     relay.Config
	router  *tunnel.Router
	inside  *carrier.Memory // the other end of the router's device
	outside *carrier.Memory // the other end of the relay's
}

// newPair starts both with a relay's configuration, in which %s is its directory.
func newPair(t *testing.T, config string) *pair {
	t.Helper()
	p := &pair{t: t}
	dir := t.TempDir()
	var err error
	if p.cfg, err = relay.Parse("relay.yaml", fmt.Appendf(nil, config, dir)); err != nil {
		t.Fatal(err)
	}
	state, err := relay.OpenState(p.cfg.State)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() })
	a, err := relay.MakeInvite(&p.cfg, state, relay.InviteRequest{Name: "home", Life: time.Hour}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	kept, err := tunnel.Enrol(t.TempDir(), a.Code)
	if err != nil {
		t.Fatal(err)
	}
	var near, far *carrier.Memory
	if far, p.outside, err = carrier.NewMemory(); err != nil {
		t.Fatal(err)
	}
	if near, p.inside, err = carrier.NewMemory(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = p.outside.Close(), p.inside.Close() })
	r, err := relay.New(relay.Options{Config: p.cfg, State: state, Machine: stillMachine{}, Open: far.Open, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p.run(r.Run)
	if p.router, err = tunnel.NewRouter(tunnel.Options{
		State: kept, Open: near.Open, Paths: []tunnel.Path{{ID: 1, Name: "lo"}}, Log: slog.New(slog.DiscardHandler),
	}); err != nil {
		t.Fatal(err)
	}
	p.run(p.router.Run)
	return p
}

// run runs one of the two until the test ends.
func (p *pair) run(f func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- f(ctx) }()
	p.t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			p.t.Error(err)
		}
	})
}

// until waits until the router's status is as wished.
func (p *pair) until(what string, f func(tunnel.Status) bool) (s tunnel.Status) {
	p.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var err error
		if s, err = p.router.Status(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
		if f(s) {
			return s
		}
	}
	p.t.Fatalf("not within a minute: %s: %+v", what, s)
	return s
}

func joined(s tunnel.Status) bool {
	return s.Joined && s.IPv4.IsValid() && len(s.Paths) == 1 && s.Paths[0].Up && s.Paths[0].Round > 0
}

var elsewhere = netip.MustParseAddr("203.0.113.1")

// datagram is an IPv4 packet with a number in it; nobody here looks at its sums.
func datagram(src, dst netip.Addr, number uint32) []byte {
	b := make([]byte, 600)
	b[0], b[8], b[9] = 0x45, 64, 253 // a protocol for experiments (RFC 3692)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	binary.BigEndian.PutUint32(b[20:], number)
	return b
}

// crosses sends packets from one end until one of them has come out at the other.
func (p *pair) crosses(from, to *carrier.Memory, src, dst netip.Addr) error {
	for n := uint32(1); n < 6000; n++ {
		if err := errors.Join(from.Write(datagram(src, dst, n)), from.Flush()); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
		came := false
		err := to.Read(func(b []byte) {
			if len(b) == 600 && netip.AddrFrom4([4]byte(b[12:])) == src && binary.BigEndian.Uint32(b[20:]) <= n {
				came = true
			}
		})
		if err != nil || came {
			return err
		}
	}
	return errors.New("no packet came out")
}

// TestMemory: a whole bond between two devices that are memory: it joins, its machine gets the addresses, and packets cross both ways.
func TestMemory(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		p := newPair(t, "listen: [\"127.0.0.1:51900\"]\nstate: %s\n")
		s := p.until("the router has joined", joined)
		if mtu, addrs := p.inside.Configured(); mtu < tunnel.LeastMTU || len(addrs) != 2 || addrs[0].Addr() != s.IPv4 {
			t.Errorf("the router's device has %v and MTU %d, want %v", addrs, mtu, s.IPv4)
		}
		if err := p.crosses(p.inside, p.outside, s.IPv4, elsewhere); err != nil {
			t.Errorf("from the router: %v", err)
		}
		if err := p.crosses(p.outside, p.inside, elsewhere, s.IPv4); err != nil {
			t.Errorf("to the router: %v", err)
		}
	})
}
