package engine_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/flow"
)

const (
	classRealtime   = flow.AppClass(1) // as policy.ClassNames has them
	classBulk       = flow.AppClass(5)
	classBackground = flow.AppClass(6)
	classOwn        = flow.AppClass(7) // the first rule's own
)

// shapedHouse is the house with its fiber shaped to a fixed rate.
func shapedHouse(t *testing.T, policy string) *enginetest.House {
	t.Helper()
	h := enginetest.Start(t, policy, func(c *config.Config) {
		for i := range c.Links {
			if c.Links[i].Name == "fiber" {
				c.Links[i].Shape.Mode = config.ShapeFixed
			}
		}
	})
	enginetest.Eventually(t, "the class trees", func() bool { return len(tree(t, h, "wan1")) > 0 && len(tree(t, h, hal.DownloadDevice)) > 0 })
	return h
}

// tree lists the leaves that stand on a device.
func tree(t *testing.T, h *enginetest.House, device string) (leaves []uint16) {
	t.Helper()
	s, err := h.Machine.Shaping(t.Context(), device)
	if err != nil && device != hal.DownloadDevice {
		t.Fatal(err)
	}
	for _, c := range s.Classes {
		if c.Leaf() {
			leaves = append(leaves, c.ID)
		}
	}
	return leaves
}

// run lets a flow of a device run over the fiber, in a class.
func run(h *enginetest.House, device flow.Mark, class flow.AppClass, from, to string) flow.Key {
	key := flow.Key{Proto: flow.ProtoTCP, Src: netip.MustParseAddrPort(from), Dst: netip.MustParseAddrPort(to)}
	h.Machine.SetConnection(hal.Connection{
		Orig: key, Reply: key.Reverse(), Mark: device | class.Mark() | flow.LinkID(1).Mark() | flow.JudgedBit, Seen: true, Start: time.Now(),
	})
	return key
}

func markOf(t *testing.T, h *enginetest.House, key flow.Key) (m flow.Mark) {
	t.Helper()
	if err := h.Machine.Connections(t.Context(), 0, 0, func(c hal.Connection) {
		if c.Orig == key {
			m = c.Mark
		}
	}); err != nil {
		t.Fatal(err)
	}
	return m
}

// allLeaves tells whether a flow's class stands on the way up and down, and flows are led to it.
func allLeaves(t *testing.T, h *enginetest.House, m flow.Mark) bool {
	t.Helper()
	elements, err := h.Machine.Elements(t.Context(), "class")
	return err == nil && slices.Contains(tree(t, h, "wan1"), m.ClassID()) && slices.Contains(tree(t, h, hal.DownloadDevice), m.ClassID()) &&
		slices.ContainsFunc(elements, func(e hal.Element) bool { return e.Key[0] == uint32(m.ClassID()) })
}

// TestPolicyMovesRunningFlows: when a change of the rules is answered, running flows are in the class that it gives them, which stands,
// and nothing else of their marks has changed.
func TestPolicyMovesRunningFlows(t *testing.T) {
	h := shapedHouse(t, enginetest.Policy)
	laptop := deviceMark(t, h, "laptop")
	server := run(h, laptop, 0, "10.77.0.20:50001", "198.51.100.10:22")
	web := run(h, laptop, classBulk, "10.77.0.20:50002", "198.51.100.10:443")
	stranger := run(h, 0, 0, "10.77.0.20:50003", "198.51.100.10:22")
	tablet := run(h, deviceMark(t, h, "tablet"), classBulk, "10.77.0.21:50004", "198.51.100.10:443")
	rules := func(class, extra string) string {
		return strings.Replace(enginetest.Policy, "house:\n", `house:
  - {id: shell, name: Shells first, force: must, who: {devices: [laptop]}, what: {services: [tcp/22]}, qos: {class: `+class+extra+"}}\n", 1)
	}
	want := func(when string, key flow.Key, class flow.AppClass) {
		t.Helper()
		m := markOf(t, h, key)
		if m != m&^flow.AppMask|class.Mark() || m.Link() != 1 || !m.Judged() || m.Device() == 0 {
			t.Errorf("%s: %s has mark %s, want class %d", when, key, m, class)
		}
		if class != 0 && !allLeaves(t, h, m) {
			t.Errorf("%s: no class for %s", when, m)
		}
	}
	apply := func(text string) {
		t.Helper()
		if _, err := h.SetPolicy(t.Context(), text, "ana", 0); err != nil {
			t.Fatal(err)
		}
	}
	apply(rules("realtime", ""))
	want("a class of the usual ones", server, classRealtime)
	want("a class of the usual ones", stranger, classRealtime)
	want("a class that no rule gives any more", web, 0)
	want("a class that no rule gives any more", tablet, 0)
	apply(rules("realtime", ", guarantee: {down: 10mbit, up: 10mbit}"))
	want("a class of the rule's own", server, classOwn)
	apply(rules("bulk", ""))
	want("another class", server, classBulk)
	apply(enginetest.Policy)
	want("no rule", server, 0)
	calls := 0
	for _, c := range h.Machine.Calls() {
		if strings.HasPrefix(c, "DeleteConnection") {
			calls++
		}
	}
	if calls > 0 {
		t.Errorf("%d connections were deleted for a change of class", calls)
	}
}

// TestFlowNamesItself: a flow that was judged by its address alone changes class when it has told what it is.
func TestFlowNamesItself(t *testing.T) {
	h := shapedHouse(t, enginetest.Policy+`
    - {id: work-first, name: Work first, what: {domains: [work.example]}, qos: {class: realtime}}
`)
	laptop := deviceMark(t, h, "laptop")
	key := run(h, laptop, 0, "10.77.0.20:49152", "198.51.100.77:80")
	h.Machine.LogPacket(77, hal.PacketCopy{Mark: markOf(t, h, key), Packet: request(enginetest.Laptop, key.Dst.Addr(), "work.example")})
	enginetest.Eventually(t, "the flow in its class", func() bool { return markOf(t, h, key).App() == classRealtime })
	if m := markOf(t, h, key); !allLeaves(t, h, m) {
		t.Errorf("no class for %s", m)
	}
	// What its rule goes by is forgotten when the next rule comes: that is no reason to leave the class.
	old := run(h, laptop, classRealtime, "10.77.0.20:50009", "198.51.100.99:443")
	if _, err := h.SetPolicy(t.Context(), h.Policy().Text+"\n# later\n", "ana", 0); err != nil {
		t.Fatal(err)
	}
	if m := markOf(t, h, old); m.App() != classRealtime {
		t.Errorf("a flow of which nothing is known any more: %s", m)
	}
}

// TestClassComesWithFirstPacket: a class is made when the first packets of a flow ask for it, not at the next measurement.
func TestClassComesWithFirstPacket(t *testing.T) {
	h := shapedHouse(t, enginetest.Policy)
	m := deviceMark(t, h, "tablet") | flow.LinkID(1).Mark() | flow.JudgedBit
	if allLeaves(t, h, m) {
		t.Fatal("the class stands already")
	}
	before := len(tree(t, h, "wan1"))
	began := time.Now()
	h.Machine.LogPacket(77, hal.PacketCopy{Mark: m, Packet: request(enginetest.Tablet, netip.MustParseAddr("198.51.100.10"), "x.example")})
	enginetest.Eventually(t, "the class", func() bool { return allLeaves(t, h, m) })
	t.Logf("%d leaves before; the class stood %v after the packet", before, time.Since(began))
}

// TestHealsShaping: a tree or detour that another program takes away comes back.
func TestHealsShaping(t *testing.T) {
	h := shapedHouse(t, enginetest.Policy)
	h.Machine.RemoveShaping("wan1")
	enginetest.Eventually(t, "the tree", func() bool { return len(tree(t, h, "wan1")) > 0 })
	h.Machine.RemoveInterface(hal.DownloadDevice)
	enginetest.Eventually(t, "the tree of downloads and the way there", func() bool {
		d, err := h.Machine.Detour(t.Context())
		return err == nil && !d.Broken && d.Device != "" && len(tree(t, h, hal.DownloadDevice)) > 0
	})
}

// TestClassMetrics: what classes do can be scraped, also while two of them have the same name.
func TestClassMetrics(t *testing.T) {
	h := shapedHouse(t, strings.Replace(enginetest.Policy, "house:\n",
		"house:\n  - {id: background, name: Copies, force: must, what: {services: [tcp/22]}, qos: {guarantee: {up: 10mbit}}}\n", 1))
	laptop := deviceMark(t, h, "laptop") | flow.LinkID(1).Mark()
	for _, class := range []flow.AppClass{classBackground, classOwn} {
		h.Machine.LogPacket(77, hal.PacketCopy{Mark: laptop | class.Mark() | flow.JudgedBit, Packet: request(enginetest.Laptop, netip.MustParseAddr("198.51.100.10"), "x.example")})
		enginetest.Eventually(t, "the class", func() bool { return allLeaves(t, h, laptop|class.Mark()) })
		h.Machine.Count("wan1", (laptop | class.Mark()).ClassID(), hal.ClassCounter{Packets: 10, Bytes: 5000, Dropped: 2, WaitingBytes: 300})
	}
	enginetest.Eventually(t, "the bytes of both", func() bool {
		families, err := h.Metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				labels := map[string]string{}
				for _, l := range m.GetLabel() {
					labels[l.GetName()] = l.GetValue()
				}
				if f.GetName() == "trenza_class_bytes_total" && labels["device"] == "laptop" && labels["class"] == "background" && labels["direction"] == "up" {
					return m.GetCounter().GetValue() == 10_000
				}
			}
		}
		return false
	})
}

// TestFloodOnTheWayDown: while more comes over a link than it is shaped to, the router is stricter, and a guarantee stays whole.
func TestFloodOnTheWayDown(t *testing.T) {
	h := shapedHouse(t, strings.Replace(enginetest.Policy, "house:\n",
		"house:\n  - {id: sure, name: Sure, force: must, who: {devices: [laptop]}, qos: {guarantee: {down: 300mbit}}}\n", 1))
	laptop := deviceMark(t, h, "laptop") | flow.LinkID(1).Mark() | flow.JudgedBit
	h.Machine.LogPacket(77, hal.PacketCopy{Mark: laptop, Packet: request(enginetest.Laptop, netip.MustParseAddr("198.51.100.10"), "x.example")})
	top := func() (rate, sure uint64) {
		s, err := h.Machine.Shaping(t.Context(), hal.DownloadDevice)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range s.Classes {
			switch {
			case c.ID == 0x1001:
				rate = c.Rate
			case !c.Leaf():
				sure = max(sure, c.Rate)
			}
		}
		return rate, sure
	}
	enginetest.Eventually(t, "the class", func() bool { return allLeaves(t, h, laptop) })
	whole, _ := top()
	last := time.Now()
	enginetest.Eventually(t, "a stricter rate", func() bool {
		// A little more than the link carries, as it comes.
		h.Machine.Carry("wan1", uint64(time.Since(last).Seconds()*650e6/8), 0)
		last = time.Now()
		rate, sure := top()
		if sure < 300_000_000 {
			t.Fatalf("%d bit/s of 300 Mbit/s are sure", sure)
		}
		return rate < whole*9/10
	})
	enginetest.Eventually(t, "all of the rate", func() bool { rate, _ := top(); return rate == whole })
}

// TestDelaysAcrossRestart: the history of a link's delays outlives the daemon; what cannot be read is begun anew.
func TestDelaysAcrossRestart(t *testing.T) {
	h := shapedHouse(t, "")
	for link, text := range map[string]string{
		"fiber": `[{"at":"2027-03-01T08:00:00Z","idle":12000000,"loaded":90000000,"idle_probes":3000,"loaded_probes":500}]`, "wifi": `[{"at":`,
	} {
		if err := h.Store.PutSetting(t.Context(), "qos/delays/"+link, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	again := startedAgain(t, h)
	links := again.QoS().Links
	want := []engine.DelayHour{{
		At: time.Date(2027, 3, 1, 8, 0, 0, 0, time.UTC), Idle: 12 * time.Millisecond, Loaded: 90 * time.Millisecond, IdleProbes: 3000, LoadedProbes: 500,
	}}
	if diff := cmp.Diff(want, links[0].History); diff != "" {
		t.Errorf("fiber (-want +got):\n%s", diff)
	}
	if len(links[1].History) != 0 {
		t.Errorf("wifi: %v", links[1].History)
	}
}
