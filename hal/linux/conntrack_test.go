package linux

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/flow"
)

// trackAll makes the kernel track and mark what the namespace sends: TCP 0x2000, UDP 0x4000,
// ICMP 0x6000.
const trackAll = `table inet test {
	chain output {
		type route hook output priority mangle
		ct state new meta l4proto tcp ct mark set 0x2000
		ct state new meta l4proto udp ct mark set 0x4000
		ct state new meta l4proto { icmp, ipv6-icmp } ct mark set 0x6000
	}
}`

// echoServers answers TCP and UDP on the neighbour's addresses, port 7.
func echoServers(t *testing.T, n *neighbour, addrs ...string) {
	t.Helper()
	for _, a := range addrs {
		n.Do(func() error {
			l, err := net.Listen("tcp", net.JoinHostPort(a, "7"))
			if err != nil {
				return err
			}
			u, err := net.ListenPacket("udp", net.JoinHostPort(a, "7"))
			if err != nil {
				l.Close()
				return err
			}
			t.Cleanup(func() { l.Close(); u.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer c.Close()
						b := make([]byte, 1500)
						for {
							n, err := c.Read(b)
							if err != nil {
								return
							}
							_, _ = c.Write(b[:n])
						}
					}()
				}
			}()
			go func() {
				b := make([]byte, 1500)
				for {
					n, from, err := u.ReadFrom(b)
					if err != nil {
						return
					}
					_, _ = u.WriteTo(b[:n], from)
				}
			}()
			return nil
		})
	}
}

// exchange sends a word over a connection and waits for its echo.
func exchange(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write([]byte("word")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	if n, err := c.Read(b); err != nil || string(b[:n]) != "word" {
		t.Fatalf("echo %q, %v", b[:n], err)
	}
}

// home joins the namespace to a neighbour with both families.
func home(t *testing.T, device, net4, net6 string) *neighbour {
	t.Helper()
	n := newNeighbour(t, device, "isp")
	run(t, fmt.Sprintf("ip address add %s.2/24 dev %s", net4, device))
	run(t, fmt.Sprintf("ip address add %s::2/64 dev %s nodad", net6, device))
	n.Run(fmt.Sprintf("ip address add %s.1/24 dev isp", net4))
	n.Run(fmt.Sprintf("ip address add %s::1/64 dev isp nodad", net6))
	echoServers(t, n, net4+".1", net6+"::1")
	return n
}

func list(t *testing.T, m *Machine, mark, mask flow.Mark) (out []hal.Connection) {
	t.Helper()
	if err := m.Connections(t.Context(), mark, mask, func(c hal.Connection) { out = append(out, c) }); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(out, func(a, b hal.Connection) int {
		if c := int(a.Mark) - int(b.Mark); c != 0 {
			return c
		}
		return a.Orig.Src.Addr().Compare(b.Orig.Src.Addr())
	})
	return out
}

func TestConnections(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		home(t, "wan1", "192.0.2", "2001:db8")
		writeSysctl(t, "net/netfilter/nf_conntrack_acct", "1")
		writeSysctl(t, "net/netfilter/nf_conntrack_timestamp", "1")
		nft(t, trackAll)
		m := newMachine(t)
		began := time.Now().Add(-time.Second)

		dial := func(network, to string) hal.Conn {
			c, err := m.Dial(t.Context(), hal.Via{}, network, netip.MustParseAddrPort(to))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			exchange(t, c)
			return c
		}
		conns := map[string]hal.Conn{}
		for _, network := range []string{"tcp", "udp"} {
			conns[network+"4"] = dial(network, "192.0.2.1:7")
			conns[network+"6"] = dial(network, "[2001:db8::1]:7")
		}
		for _, to := range []string{"192.0.2.1", "2001:db8::1"} {
			if _, err := m.Ping(t.Context(), hal.Via{}, netip.MustParseAddr(to)); err != nil {
				t.Fatal(err)
			}
		}

		// Neighbour discovery is tracked as well in some kernels; what was marked here is what is compared.
		marked := append(list(t, m, 0x2000, 0xffff), append(list(t, m, 0x4000, 0xffff), list(t, m, 0x6000, 0xe000)...)...)
		type line struct {
			Orig, Reply, State string
			Mark               flow.Mark
			Packets, Replies   bool
			Seen               bool
		}
		var got []line
		for _, c := range marked {
			if c.Orig.Proto == flow.ProtoICMP || c.Orig.Proto == flow.ProtoICMPv6 {
				if c.Orig.Src.Port() == 0 || c.Orig.Src.Port() != c.Orig.Dst.Port() || c.Reply.Src.Port() != c.Orig.Src.Port() {
					t.Errorf("%s has no identifier in its ports", c.Orig)
				}
				c.Orig.Src, c.Orig.Dst = addrPort(c.Orig.Src.Addr(), 1), addrPort(c.Orig.Dst.Addr(), 1)
				c.Reply.Src, c.Reply.Dst = addrPort(c.Reply.Src.Addr(), 1), addrPort(c.Reply.Dst.Addr(), 1)
			}
			got = append(got, line{
				Orig: c.Orig.String(), Reply: c.Reply.String(), State: c.TCPState, Mark: c.Mark, Seen: c.Seen,
				Packets: c.OrigPackets > 0 && c.OrigBytes >= 20*c.OrigPackets,
				Replies: c.ReplyPackets > 0 && c.ReplyBytes >= 20*c.ReplyPackets,
			})
			if c.Start.Before(began) || c.Start.After(time.Now().Add(time.Second)) {
				t.Errorf("%s started at %v", c.Orig, c.Start)
			}
			if c.Timeout <= 0 || c.ID == 0 {
				t.Errorf("%s: timeout %v, id %d", c.Orig, c.Timeout, c.ID)
			}
		}
		var want []line
		for _, network := range []string{"tcp4", "tcp6", "udp4", "udp6"} {
			c := conns[network]
			proto, mark, state := "tcp", flow.Mark(0x2000), "ESTABLISHED"
			if network[0] == 'u' {
				proto, mark, state = "udp", 0x4000, ""
			}
			want = append(want, line{
				Orig:  fmt.Sprintf("%s %s -> %s", proto, c.LocalAddr(), c.RemoteAddr()),
				Reply: fmt.Sprintf("%s %s -> %s", proto, c.RemoteAddr(), c.LocalAddr()),
				State: state, Mark: mark, Packets: true, Replies: true, Seen: true,
			})
		}
		want = append(want,
			line{Orig: "icmp 192.0.2.2:1 -> 192.0.2.1:1", Reply: "icmp 192.0.2.1:1 -> 192.0.2.2:1", Mark: 0x6000, Packets: true, Replies: true, Seen: true},
			line{Orig: "icmpv6 [2001:db8::2]:1 -> [2001:db8::1]:1", Reply: "icmpv6 [2001:db8::1]:1 -> [2001:db8::2]:1", Mark: 0x6000, Packets: true, Replies: true, Seen: true},
		)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error("connections (-want +got):", diff)
		}

		tcp := list(t, m, 0x2000, 0xe000)
		if len(tcp) != 2 {
			t.Fatalf("%d connections of mark 0x2000/0xe000, want 2", len(tcp))
		}
		if !tcp[0].Assured {
			t.Error("an established connection with traffic is not assured")
		}
		for _, c := range marked {
			other := c
			other.ID++
			if err := m.DeleteConnection(t.Context(), other); !errors.Is(err, hal.ErrNotFound) {
				t.Errorf("delete %s with another id: %v, want hal.ErrNotFound", c.Orig, err)
			}
		}
		var changes []hal.MarkChange
		for _, c := range marked {
			changes = append(changes, hal.MarkChange{Connection: c, Mark: 0xfff5, Mask: 0x1f})
		}
		gone := hal.Connection{Orig: flow.Key{Proto: flow.ProtoTCP, Src: tcp[0].Orig.Src, Dst: netip.MustParseAddrPort("192.0.2.1:8")}}
		changes = append(changes, hal.MarkChange{Connection: gone, Mark: 5, Mask: 0x1f})
		if n, err := m.MarkConnections(t.Context(), changes); err != nil || n != len(marked) {
			t.Errorf("%d of %d connections were found, %v", n, len(marked), err)
		}
		for _, c := range marked {
			if !slices.ContainsFunc(list(t, m, 0x15, 0x1fff), func(o hal.Connection) bool { return o.Orig == c.Orig && o.Mark == c.Mark|0x15 }) {
				t.Errorf("%s has not the mark %#x", c.Orig, uint32(c.Mark|0x15))
			}
		}
		for network, c := range conns { // also to its packets nothing happened
			exchange(t, c)
			if t.Failed() {
				t.Fatal(network)
			}
		}
		if _, err := m.MarkConnections(t.Context(), []hal.MarkChange{{Connection: tcp[0], Mark: 5}}); !errors.Is(err, hal.ErrRefused) {
			t.Errorf("a mask of 0: %v, want hal.ErrRefused", err)
		}
		for _, c := range append(tcp, list(t, m, 0x6000, 0xe000)...) {
			if err := m.DeleteConnection(t.Context(), c); err != nil {
				t.Error(err)
			}
			if err := m.DeleteConnection(t.Context(), c); !errors.Is(err, hal.ErrNotFound) {
				t.Errorf("delete %s twice: %v, want hal.ErrNotFound", c.Orig, err)
			}
		}
		if left := append(list(t, m, 0x2000, 0xe000), list(t, m, 0x6000, 0xe000)...); len(left) != 0 {
			t.Errorf("left after deletion: %v", left)
		}
		if n := len(list(t, m, 0x4000, 0xe000)); n != 2 {
			t.Errorf("%d UDP connections left, want 2", n)
		}

		if err := m.FlushConnections(t.Context(), 0x4000, 0); !errors.Is(err, hal.ErrRefused) {
			t.Errorf("flush with mask 0: %v, want hal.ErrRefused", err)
		}
		dial("tcp", "192.0.2.1:7")
		if err := m.FlushConnections(t.Context(), 0x4000, 0xe000); err != nil {
			t.Fatal(err)
		}
		if n := len(list(t, m, 0x4000, 0xe000)); n != 0 {
			t.Errorf("%d UDP connections left after the flush", n)
		}
		if n := len(list(t, m, 0x2000, 0xe000)); n != 1 {
			t.Errorf("%d TCP connections left after the flush of UDP, want 1", n)
		}
	})
}

func TestWatchConnections(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		home(t, "wan1", "192.0.2", "2001:db8")
		writeSysctl(t, "net/netfilter/nf_conntrack_acct", "1")
		nft(t, trackAll)
		m := newMachine(t)

		var mu sync.Mutex
		var events []hal.ConnectionEvent
		lost := 0
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- m.WatchConnections(ctx, func(e hal.ConnectionEvent) {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, e)
			}, func() {
				mu.Lock()
				defer mu.Unlock()
				lost++
			})
		}()
		locked := func(f func() bool) func() bool {
			return func() bool { mu.Lock(); defer mu.Unlock(); return f() }
		}
		eventually(t, "the subscription", locked(func() bool { return lost == 1 }))

		const flows = 200
		var conns []hal.Conn
		for i := range flows {
			to := []string{"192.0.2.1:7", "[2001:db8::1]:7"}[i%2]
			c, err := m.Dial(t.Context(), hal.Via{}, "tcp", netip.MustParseAddrPort(to))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			exchange(t, c)
			conns = append(conns, c)
		}
		if err := m.FlushConnections(t.Context(), 0x2000, 0xe000); err != nil {
			t.Fatal(err)
		}
		count := func(k hal.ConnectionEventKind, fits func(hal.Connection) bool) (n int) {
			for _, e := range events {
				if e.Kind == k && e.Connection.Orig.Proto == flow.ProtoTCP && fits(e.Connection) {
					n++
				}
			}
			return n
		}
		eventually(t, "an end with counters for each connection", locked(func() bool {
			return flows == count(hal.ConnectionDestroyed, func(c hal.Connection) bool {
				return c.Mark == 0x2000 && c.OrigPackets >= 3 && c.OrigBytes > 60 && c.ReplyPackets >= 2
			})
		}))
		mu.Lock()
		defer mu.Unlock()
		if n := count(hal.ConnectionNew, func(c hal.Connection) bool { return c.Mark == 0x2000 && c.ID != 0 }); n < flows {
			t.Errorf("%d of %d connections were announced as new", n, flows)
		}
		if n := count(hal.ConnectionUpdated, func(c hal.Connection) bool { return c.TCPState == "ESTABLISHED" }); n < flows {
			t.Errorf("%d of %d connections were announced as established", n, flows)
		}
		first := fmt.Sprintf("tcp %s -> %s", conns[0].LocalAddr(), conns[0].RemoteAddr())
		if events[0].Kind != hal.ConnectionNew || !slices.ContainsFunc(events, func(e hal.ConnectionEvent) bool { return e.Connection.Orig.String() == first }) {
			t.Errorf("the events do not begin with a new connection, or do not hold %s", first)
		}
		if lost != 1 {
			t.Errorf("lost was called %d times, want once: at the start", lost)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("WatchConnections returned %v", err)
		}
	})
}
