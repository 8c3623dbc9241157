package linux

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/flow"
)

const logRules = `table inet test {
	chain input {
		type filter hook input priority 0
		udp dport 9 ct mark set 0x12345 meta mark set ct mark log prefix "from outside" group 77
	}
	chain output {
		type filter hook output priority 0
		udp dport 7 meta mark set 0x2000 log prefix "own" group 77
		udp dport 5555 log group 77
	}
}`

// copies collects what WatchPackets hands out.
type copies struct {
	mu  sync.Mutex
	all []hal.PacketCopy
}

func (c *copies) take(p hal.PacketCopy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.Packet = append([]byte(nil), p.Packet...)
	c.all = append(c.all, p)
}

func (c *copies) find(fits func(hal.PacketCopy) bool) (p hal.PacketCopy, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.all {
		if fits(p) {
			return p, true
		}
	}
	return p, false
}

// watchPackets listens to group 77 until the test ends, and returns when copies come.
func watchPackets(t *testing.T, m *Machine, f func(hal.PacketCopy)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	var once sync.Once
	arrived := make(chan struct{})
	go func() {
		done <- m.WatchPackets(ctx, 77, func(p hal.PacketCopy) {
			once.Do(func() { close(arrived) })
			f(p)
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("WatchPackets returned %v", err)
		}
	})
	knock, err := net.Dial("udp", "127.0.0.1:5555")
	if err != nil {
		t.Fatal(err)
	}
	defer knock.Close()
	eventually(t, "the first copy", func() bool {
		_, _ = knock.Write([]byte("knock"))
		select {
		case <-arrived:
			return true
		default:
			return false
		}
	})
}

func TestWatchPackets(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		n := home(t, "wan1", "192.0.2", "2001:db8")
		n.Run("ip link set isp address 02:00:00:00:00:09")
		nft(t, logRules)
		m := newMachine(t)
		var got copies
		watchPackets(t, m, got.take)

		began := time.Now().Add(-time.Second)
		long := strings.Repeat("long ", 280)
		for _, to := range []string{"192.0.2.2:9", "[2001:db8::2]:9"} {
			n.Do(func() error {
				c, err := net.Dial("udp", to)
				if err != nil {
					return err
				}
				defer c.Close()
				_, err = c.Write([]byte("hello " + long))
				return err
			})
		}
		own, err := m.Dial(t.Context(), hal.Via{}, "udp", netip.MustParseAddrPort("192.0.2.1:7"))
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		exchange(t, own)

		for _, c := range []struct {
			prefix  string
			version byte
			want    hal.PacketCopy
			text    string
		}{
			{"from outside", 4, hal.PacketCopy{Mark: 0x12345, InDev: "wan1", SrcMAC: flow.MAC{2, 0, 0, 0, 0, 9}}, "hello " + long},
			{"from outside", 6, hal.PacketCopy{Mark: 0x12345, InDev: "wan1", SrcMAC: flow.MAC{2, 0, 0, 0, 0, 9}}, "hello " + long},
			{"own", 4, hal.PacketCopy{Mark: 0x2000, OutDev: "wan1"}, "word"},
		} {
			t.Run(fmt.Sprint(c.prefix, c.version), func(t *testing.T) {
				var p hal.PacketCopy
				eventually(t, "the copy", func() (ok bool) {
					p, ok = got.find(func(p hal.PacketCopy) bool { return p.Prefix == c.prefix && p.Packet[0]>>4 == c.version })
					return ok
				})
				if p.Arrived.Before(began) || p.Arrived.After(time.Now().Add(time.Second)) {
					t.Errorf("arrived at %v", p.Arrived)
				}
				header := map[byte]int{4: 20, 6: 40}[c.version] + 8
				if len(p.Packet) != header+len(c.text) || string(p.Packet[header:]) != c.text {
					t.Errorf("packet of %d bytes, want the whole of %d", len(p.Packet), header+len(c.text))
				}
				p.Packet, p.Prefix, p.Arrived = nil, "", time.Time{}
				if diff := cmp.Diff(c.want, p); diff != "" {
					t.Error("copy (-want +got):", diff)
				}
			})
		}

		if err := m.WatchPackets(t.Context(), 77, func(hal.PacketCopy) {}); !errors.Is(err, hal.ErrExists) {
			t.Errorf("a second listener to the group: %v, want hal.ErrExists", err)
		}
	})
}

// A receiver that stands still while many more packets come than fit loses copies, and nothing else.
func TestWatchPacketsOverload(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		nft(t, logRules)
		m := newMachine(t)
		var mu sync.Mutex
		received, last := 0, false
		hold := make(chan struct{})
		watchPackets(t, m, func(p hal.PacketCopy) {
			if strings.HasSuffix(string(p.Packet), "flood") {
				<-hold
				mu.Lock()
				received++
				mu.Unlock()
			}
			if strings.HasSuffix(string(p.Packet), "after") {
				mu.Lock()
				last = true
				mu.Unlock()
			}
		})
		sink, err := net.ListenPacket("udp", "127.0.0.1:5555") // nobody reads it; without it every second packet would be refused
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		c, err := net.Dial("udp", "127.0.0.1:5555")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		const flood = 30000
		text := []byte(strings.Repeat("x", 1300) + "flood")
		for range flood {
			if _, err := c.Write(text); err != nil {
				t.Fatal(err)
			}
		}
		close(hold)
		eventually(t, "a copy after the flood", func() bool {
			_, _ = c.Write([]byte("after"))
			mu.Lock()
			defer mu.Unlock()
			return last
		})
		mu.Lock()
		defer mu.Unlock()
		t.Logf("%d of %d copies came", received, flood)
		if received == 0 || received >= flood {
			t.Errorf("%d of %d copies came; want those that fitted", received, flood)
		}
	})
}
