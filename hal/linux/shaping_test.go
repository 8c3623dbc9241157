package linux

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
)

// smallTree has a default leaf and, on a node of its own, one more.
func smallTree(kind hal.QueueKind) hal.Shaping {
	queue := hal.Queue{Kind: kind, Bytes: 100_000}
	return hal.Shaping{Device: haltest.Devices[0], Default: 0x2000, Classes: []hal.Class{
		{ID: 0x1001, Rate: 8_000_000, Ceil: 8_000_000, Burst: 1600, CBurst: 1600},
		{ID: 0x201, Parent: 0x1001, Rate: 2_000_000, Ceil: 4_000_000, Burst: 1600, CBurst: 1600, Overhead: hal.Overhead{Bytes: 18, Min: 64}},
		{ID: 0x2010, Parent: 0x201, Rate: 1_000_000, Ceil: 4_000_000, Burst: 1600, CBurst: 1600, Quantum: 3000, Priority: 2, Queue: queue},
		{ID: 0x2000, Parent: 0x1001, Rate: 80_000, Ceil: 8_000_000, Burst: 1600, CBurst: 1600, Quantum: 1514, Priority: 3, Queue: queue},
	}}
}

func setShaping(t *testing.T, m *Machine, s hal.Shaping) {
	t.Helper()
	if err := m.SetShaping(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func wantTree(t *testing.T, m *Machine, want hal.Shaping) {
	t.Helper()
	got, err := m.Shaping(t.Context(), want.Device)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Ordered(), got); diff != "" {
		t.Errorf("what stands (-want +got):\n%s", diff)
	}
}

// The listing of `tc` must show what a hal.Shaping says: a person compares them.
func TestTCShowsShaping(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		makeDevices(t)
		setShaping(t, newMachine(t), smallTree(hal.FIFO))
		classes := words(run(t, "tc -d class show dev wan1"))
		for _, want := range []string{
			"class htb 1:1001 root rate 8Mbit", "ceil 8Mbit", "class htb 1:201 parent 1:1001 rate 2Mbit overhead 18 mpu 64 ceil 4Mbit",
			"class htb 1:2010 parent 1:201 leaf 2010: prio 2 quantum 3000 rate 1Mbit", "burst 1600b",
		} {
			// Burst and cell sizes stand between, in an order that depends on the version of tc.
			for _, part := range strings.Split(want, " overhead ") {
				if first, _, _ := strings.Cut(part, " mpu "); !strings.Contains(classes, first) {
					t.Errorf("tc does not show %q:\n%s", first, classes)
				}
			}
		}
		queues := words(run(t, "tc qdisc show dev wan1"))
		for _, want := range []string{"qdisc htb 1: root", "default 0x2000", "qdisc bfifo 2010: parent 1:2010 limit 100000b", "qdisc bfifo 2000: parent 1:2000"} {
			if !strings.Contains(queues, want) {
				t.Errorf("tc does not show %q:\n%s", want, queues)
			}
		}
	})
}

// Queues that this kernel may or may not have: either the tree stands as it was asked for, or what stood before does.
func TestUnsupportedQueue(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		makeDevices(t)
		m := newMachine(t)
		for _, kind := range []hal.QueueKind{hal.FQCoDel, hal.Cake} {
			for _, before := range []hal.Shaping{{Device: haltest.Devices[0]}, smallTree(hal.FIFO)} {
				setShaping(t, m, before)
				s := smallTree(kind)
				s.Classes[1].Rate, s.Classes[1].Overhead = 3_000_000, hal.Overhead{}
				switch err := m.SetShaping(t.Context(), s); {
				case err == nil:
					wantTree(t, m, s)
				case !errors.Is(err, hal.ErrUnsupported) || errors.Is(err, hal.ErrUnshaped):
					t.Errorf("error %v, want one that is %q", err, hal.ErrUnsupported)
				default:
					wantTree(t, m, before)
				}
			}
		}
	})
}

// What somebody else put at the root is replaced, and our own root without classes is begun anew.
func TestForeignRoot(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		makeDevices(t)
		m := newMachine(t)
		for _, foreign := range []string{"handle 5: pfifo limit 10", "handle 5: htb default 7", "handle 1: htb default 7"} {
			run(t, "tc qdisc replace dev wan1 root "+foreign)
			wantedNothing := hal.Shaping{Device: haltest.Devices[0]}
			got, err := m.Shaping(t.Context(), wantedNothing.Device)
			if err != nil || len(got.Classes) != 0 {
				t.Errorf("%s: read as %d classes, %v", foreign, len(got.Classes), err)
			}
			if shaped, err := m.Shaped(t.Context()); err != nil || len(shaped) > 0 {
				t.Errorf("%s: %v are taken for the router's, %v", foreign, shaped, err)
			}
			setShaping(t, m, smallTree(hal.FIFO))
			wantTree(t, m, smallTree(hal.FIFO))
			setShaping(t, m, wantedNothing)
		}
		// Somebody changes a class and adds one: it is made as it should be again.
		setShaping(t, m, smallTree(hal.FIFO))
		run(t, "tc class change dev wan1 classid 1:2010 htb rate 9mbit")
		run(t, "tc class add dev wan1 parent 1:1001 classid 1:77 htb rate 1mbit")
		setShaping(t, m, smallTree(hal.FIFO))
		wantTree(t, m, smallTree(hal.FIFO))
	})
}

// Packets without a class of their own are counted where they wait, and what waits in a class outlives its change.
func TestClassCounters(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		makeDevices(t)
		m := newMachine(t)
		s := smallTree(hal.FIFO)
		s.Classes[3].Rate, s.Classes[3].Ceil = 80_000, 80_000 // 10 kB/s: what is sent at once has to wait
		setShaping(t, m, s)
		run(t, "ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev wan1")
		c, err := net.Dial("udp", "192.0.2.9:9")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		const sent, size = 20, 1000
		for range sent {
			if _, err := c.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
		}
		read := func() hal.ClassCounter {
			t.Helper()
			counters, err := m.ClassCounters(t.Context(), s.Device)
			if err != nil {
				t.Fatal(err)
			}
			return counters[0x2000]
		}
		if first := read(); first.Packets == 0 || first.Bytes < size || first.Waiting == 0 || first.WaitingBytes < size {
			t.Errorf("after %d packets: %+v, want some gone and some waiting", sent, first)
		}
		s.Classes[3].Rate, s.Classes[3].Ceil, s.Classes[3].Priority = 8_000_000, 8_000_000, 1
		setShaping(t, m, s)
		deadline := time.Now().Add(20 * time.Second)
		for read().Waiting > 0 && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if last := read(); last.Packets < sent || last.Bytes < sent*size || last.Waiting > 0 || last.Dropped > 0 {
			t.Errorf("in the end: %+v, want all %d packets gone and none dropped", last, sent)
		}
	})
}

// TestQueueMessages: what is written of a queue is what is read of it.
func TestQueueMessages(t *testing.T) {
	for _, q := range []hal.Queue{
		{Kind: hal.FIFO, Bytes: 1}, {Kind: hal.FQCoDel, Bytes: 65536}, {Kind: hal.FQCoDel, Bytes: 1 << 20, Target: 71 * time.Millisecond},
		{Kind: hal.Cake, Bytes: 1 << 22}, {Kind: hal.Cake, Bytes: 1 << 22, Sources: true},
	} {
		b := queueMessage(7, hal.Class{ID: 0xffff, Queue: q})
		handle, parent, f, ok := tcMessage(message{payload: b}, 7)
		if got := readQueue(f.text(tcaKind), f.get(tcaOptions)); got != q || handle != 0x1fff0000 || parent != 0x1ffff || !ok {
			t.Errorf("%v is read as %v, handle %x, parent %x", q, got, handle, parent)
		}
	}
}

// The tree of a large house: set up from nothing, set again as it is, and with a tenth of it changed. The times are told, not judged.
func TestLargeShaping(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		makeDevices(t)
		m := newMachine(t)
		s := smallTree(hal.FIFO)
		leaf := s.Classes[2]
		for n := range 3600 {
			c := leaf
			c.ID, c.Rate = uint16(0x3000+n), 800
			s.Classes = append(s.Classes, c)
		}
		clock := func(what string) {
			begun := time.Now()
			setShaping(t, m, s)
			t.Logf("%s: %v", what, time.Since(begun).Round(time.Millisecond))
		}
		clock("built")
		clock("the same")
		for n := 10; n < len(s.Classes); n += 10 {
			s.Classes[n].Rate += 80
		}
		clock("a tenth changed")
		wantTree(t, m, s)
	})
}
