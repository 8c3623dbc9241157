package relay_test

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/blake2s"

	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/bond/seal"
	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/router/relay"
)

// detour stands between routers and the relay and gives every datagram to mangle, which returns what goes on.
type detour struct {
	relay  netip.AddrPort
	mangle func(datagram []byte) [][]byte

	mu    sync.Mutex
	doors map[netip.AddrPort]*net.UDPConn // towards the relay, by who sent
}

const detourAddr = relayAddr + ":51901"

func (w *world) detour(mangle func(datagram []byte) [][]byte) {
	w.t.Helper()
	front, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(detourAddr)))
	if err != nil {
		w.t.Fatal(err)
	}
	d := &detour{relay: netip.MustParseAddrPort(relayAddr + ":51900"), mangle: mangle, doors: map[netip.AddrPort]*net.UDPConn{}}
	w.t.Cleanup(func() {
		front.Close()
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, c := range d.doors {
			c.Close()
		}
	})
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := front.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			door, err := d.door(front, from)
			if err != nil {
				return
			}
			d.pass(buf[:n], func(b []byte) { _, _ = door.Write(b) })
		}
	}()
}

// pass gives on what becomes of a datagram.
func (d *detour) pass(b []byte, send func([]byte)) {
	d.mu.Lock()
	out := d.mangle(append([]byte(nil), b...))
	d.mu.Unlock()
	for _, b := range out {
		send(b)
	}
}

func (d *detour) door(front *net.UDPConn, from netip.AddrPort) (*net.UDPConn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.doors[from]; c != nil {
		return c, nil
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(d.relay))
	if err != nil {
		return nil, err
	}
	d.doors[from] = c
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			d.pass(buf[:n], func(b []byte) { _, _ = front.WriteToUDPAddrPort(b, from) })
		}
	}()
	return c, nil
}

// TestHostileWay: somebody on the way repeats, turns round, cuts and changes datagrams, and puts strange ones between. What comes out of the
// tunnel is what went in, once.
func TestHostileWay(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		w := newWorld(t, reference()...)
		random := mathrand.New(mathrand.NewPCG(1, 2))
		var kept [][]byte // of long ago
		var held []byte   // waits to come after the next one
		w.detour(func(b []byte) [][]byte {
			out := [][]byte{b}
			switch random.IntN(12) {
			case 0: // twice
				out = append(out, b)
			case 1: // again, much later
				if len(kept) > 0 {
					out = append(out, kept[random.IntN(len(kept))])
				}
			case 2: // after the next one
				if held == nil {
					held = b
					return nil
				}
			case 3: // cut off
				out = append(out, b[:random.IntN(len(b))])
			case 4: // a bit of a copy that comes first is another one
				c := append([]byte(nil), b...)
				c[random.IntN(len(c))] ^= 1 << random.IntN(8)
				out = [][]byte{c, b}
			case 5: // a stranger's, for the right session, with what looks like good news
				c := append([]byte(nil), b[:min(len(b), 8)]...)
				for range random.IntN(200) {
					c = append(c, byte(random.Uint32()))
				}
				out = append(out, c)
			}
			if held != nil {
				out, held = append(out, held), nil
			}
			if len(kept) < 4096 {
				kept = append(kept, b)
			} else {
				kept[random.IntN(len(kept))] = b
			}
			return out
		})
		code := w.inviteTo("home", detourAddr)
		w.join(code)
		share, stall := w.load(8 * time.Second) // looks at every byte
		t.Logf("%.3f of the sum, longest stall %v", share, stall)
		if share == 0 {
			t.Error("nothing came through")
		}
		// Datagrams that the tunnel numbers twice would be answered twice.
		out := w.home.Run("ping -c 50 -i 0.02 -W 2 203.0.113.1")
		if strings.Contains(out, "DUP!") || strings.Contains(out, "duplicates") {
			t.Errorf("an echo came twice:\n%s", out)
		}
		if s := w.relayStatus(); s.Strange.Refused == 0 {
			t.Errorf("the relay noticed nothing: %+v", s.Strange)
		}
	})
}

// inviteTo is invite for a router that shall come by that address.
func (w *world) inviteTo(name, address string) string {
	w.t.Helper()
	var a relay.InviteAnswer
	w.until("the relay answers", func() error {
		return relay.Ask(w.t.Context(), &w.cfg, "/invite", relay.InviteRequest{Name: name, Life: time.Hour, Addresses: []netip.AddrPort{netip.MustParseAddrPort(address)}}, &a)
	})
	return a.Code
}

func (w *world) relayStatus() (s relay.Status) {
	w.t.Helper()
	if err := relay.Ask(w.t.Context(), &w.cfg, "/status", nil, &s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// second starts another router beside the first, with what it has in its state directory, and returns that directory.
func (w *world) second(name, code string) string {
	w.t.Helper()
	dir := filepath.Join(w.dir, name)
	w.start(w.within("router", w.file(name+".yaml", fmt.Sprintf("state: %s\ndevice: %s\ncode: %s\nroutes: [192.0.2.250/32]\npaths: [{device: wan0}, {device: wan1}]\n", dir, name, code))))
	return dir
}

// TestStolenInvite: who comes second with a code is not let in, and told what to do; a copy of a router's key is noticed.
func TestStolenInvite(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		w := newWorld(t, reference()...)
		code := w.invite("home")
		w.join(code)
		thief := w.second("thief", code)
		w.until("the second router is told", func() error {
			s, err := tunnel.AskStatus(t.Context(), thief)
			if err == nil && (s.Joined || !strings.Contains(s.Trouble, "new code")) {
				err = fmt.Errorf("%+v", s)
			}
			return err
		})
		w.settled()
		w.home.Run("ping -c 1 -W 5 203.0.113.1")
		if n := len(w.relayStatus().Routers); n != 1 {
			t.Errorf("%d routers with one code", n)
		}
		text, err := os.ReadFile(filepath.Join(w.dir, "bond", "bond.json"))
		if err == nil {
			err = os.Mkdir(filepath.Join(w.dir, "copy"), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(w.dir, "copy", "bond.json"), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		dirs := []string{filepath.Join(w.dir, "bond"), w.second("copy", code)}
		w.until("one of the two is told", func() error {
			told := 0
			for _, dir := range dirs {
				s, err := tunnel.AskStatus(t.Context(), dir)
				if err != nil {
					return err
				}
				if strings.Contains(s.Trouble, "uses this one's key") {
					told++
				}
			}
			if told == 0 && w.relayStatus().Strange.Rivals == 0 {
				return fmt.Errorf("nobody noticed: %+v", w.relayStatus())
			}
			return nil
		})
	})
}

// mac1 is as docs/BOND.md has it.
func mac1(t *testing.T, reader seal.Key, b ...[]byte) []byte {
	t.Helper()
	key := blake2s.Sum256(append([]byte("trenza bond mac1"), reader[:]...))
	h, err := blake2s.New128(key[:])
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range b {
		h.Write(b)
	}
	return h.Sum(nil)
}

// knocks makes hellos of a stranger who knows the relay's public key, with a version.
func knocks(t *testing.T, reader seal.Key, version byte) []byte {
	t.Helper()
	b := make([]byte, 137, 169)
	_, _ = rand.Read(b) // never fails
	b[0], b[1] = 1, version
	b = append(b, mac1(t, reader, b)...)
	return append(b, make([]byte, 16)...)
}

// TestOtherVersion: a relay and a router of different versions say so to their people.
func TestOtherVersion(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		w := newWorld(t, reference()...)
		i, err := tunnel.ParseInvite(w.invite("home"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("udp", relayAddr+":51900")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		w.until("the relay notices a router of another version", func() error {
			if _, err := c.Write(knocks(t, i.Relay, seal.Version+1)); err != nil {
				return err
			}
			if s := w.relayStatus(); s.Strange.Versions == 0 {
				return fmt.Errorf("%+v", s.Strange)
			}
			return nil
		})
		// A relay of another version, as the router sees it: whoever knows the public key can say so much, and no more.
		far, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(detourAddr)))
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		go func() {
			buf := make([]byte, 2048)
			for {
				n, from, err := far.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				if n == 169 && buf[0] == 1 {
					head := []byte{4, buf[2], buf[3], buf[4], seal.Version + 1}
					_, _ = far.WriteToUDPAddrPort(append(head, mac1(t, i.Relay, head, buf[137:153])...), from)
				}
			}
		}()
		dir := w.second("old", w.inviteTo("old", detourAddr))
		w.until("the router tells of the relay's version", func() error {
			s, err := tunnel.AskStatus(t.Context(), dir)
			if err == nil && (s.Joined || !strings.Contains(s.Trouble, "version")) {
				err = fmt.Errorf("%+v", s)
			}
			return err
		})
	})
}

// TestFlood: thousands of strangers who know the relay's public key and address greet it at once. Who is in stays in, and who has a code
// gets in.
func TestFlood(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		w := newWorld(t, reference()...)
		code := w.invite("home")
		i, err := tunnel.ParseInvite(code)
		if err != nil {
			t.Fatal(err)
		}
		w.join(code)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		flooded := make(chan int)
		go func() {
			c, err := net.Dial("udp", relayAddr+":51900")
			if err != nil {
				t.Error(err)
				close(flooded)
				return
			}
			defer c.Close()
			n := 0
			for tick := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-tick.C {
				for range 20 { // 2,000 a second
					_, _ = c.Write(knocks(t, i.Relay, seal.Version))
					n++
				}
			}
			flooded <- n
		}()
		dir := w.second("late", w.invite("late"))
		w.until("a router with a code gets in", func() error {
			s, err := tunnel.AskStatus(t.Context(), dir)
			if err == nil && !s.Joined {
				err = fmt.Errorf("%+v", s)
			}
			return err
		})
		w.home.Run("ping -c 5 -i 0.2 -W 5 203.0.113.1")
		stop()
		t.Logf("%d greetings of strangers, of which the relay refused %d", <-flooded, w.relayStatus().Strange.Refused)
	})
}

// soakVariable says for how long TestFlapping goes on; `make soak` sets it.
const soakVariable = "TRENZA_SOAK"

// TestFlapping: links die and come back every second or two, in turns and without a sign, under a download of which every byte is looked at. It
// lives as long as one link does, and neither end's memory grows: twenty seconds in every run, an hour by `make soak`.
func TestFlapping(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		length := 20 * time.Second
		if long := os.Getenv(soakVariable); long != "" {
			var err error
			if length, err = time.ParseDuration(long); err != nil {
				t.Fatal(err)
			}
		}
		w := newWorld(t, reference()...)
		w.join(w.invite("home"))
		w.load(4 * time.Second)
		before := [2]int{resident(t, w.relay.Process.Pid), resident(t, w.router.Process.Pid)}
		ctx, stop := context.WithCancel(t.Context())
		var over sync.WaitGroup
		over.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				l := w.links[n%2]
				_ = l.Cut(n%4 < 2)
				pause(ctx, time.Second)
				_ = l.Heal()
				pause(ctx, 1500*time.Millisecond)
			}
		})
		over.Go(func() {
			for n := 1; ; n++ {
				if pause(ctx, time.Minute); ctx.Err() != nil {
					return
				}
				t.Logf("minute %d: resident memory of relay and router %d and %d kB", n, resident(t, w.relay.Process.Pid), resident(t, w.router.Process.Pid))
			}
		})
		share, stall := w.load(length)
		stop()
		over.Wait()
		t.Logf("%.3f of the sum, longest stall %v", share, stall)
		after := [2]int{resident(t, w.relay.Process.Pid), resident(t, w.router.Process.Pid)}
		t.Logf("resident memory of relay and router, before and after: %d and %d kB, %d and %d kB", before[0], after[0], before[1], after[1])
		for i, end := range []string{"relay", "router"} {
			if after[i] > before[i]+32<<10 {
				t.Errorf("the %s's memory grew from %d to %d kB", end, before[i], after[i])
			}
		}
	})
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// resident is a process's memory in kB.
func resident(t *testing.T, pid int) (kb int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			return kb
		}
	}
	t.Fatalf("process %d has no memory", pid)
	return 0
}
