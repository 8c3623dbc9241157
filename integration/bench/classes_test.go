package bench

import (
	"fmt"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/qos"
)

// classes gives the first link of a plain router a tree as the router makes it, for devices with eight classes each on some links, and leads
// every new flow to the next leaf. It returns how many classes the tree has.
func (p *path) classes(links, devices int) (count int) {
	p.b.Helper()
	in := qos.Input{}
	for l := range links {
		in.Links = append(in.Links, qos.Link{ID: flow.LinkID(l + 1), Name: fmt.Sprint("link", l), Device: fmt.Sprint("wan", l+1), Header: 14,
			Capacity: qos.Rates{Up: qos.MaxCapacity, Down: qos.MaxCapacity}}) // so fast that nothing ever waits
	}
	for d := range devices {
		in.Devices = append(in.Devices, flow.DeviceID(d+1))
		for _, l := range in.Links {
			for a := range flow.AppClass(8) {
				in.Demands = append(in.Demands, qos.Demand{Class: qos.Class{Link: l.ID, Device: flow.DeviceID(d + 1), App: a}, Rates: qos.Rates{Up: 1e6, Down: 1e6}})
			}
		}
	}
	plan, err := qos.Build(in)
	if err != nil {
		p.b.Fatal(err)
	}
	tree := plan.Down.Shaping("wan1", 14)
	m, err := linux.New(linux.Options{})
	if err != nil {
		p.b.Fatal(err)
	}
	p.router.Do(func() error { return m.SetShaping(p.b.Context(), tree) })
	// As router/plan writes it: the mark names the class, and a map of exactly those that stand leads to it.
	var elements, marks []string
	for _, c := range tree.Classes {
		if c.Leaf() {
			elements = append(elements, fmt.Sprintf("%#x : 1:%x", c.ID, c.ID))
			if len(marks) < flowsOfStream && flow.Mark(c.ID).Device() != 0 {
				marks = append(marks, fmt.Sprintf("%d : %#x", len(marks), c.ID))
			}
		}
	}
	p.router.nft(fmt.Sprintf(`table inet classes {
	map leaves { type mark : classid; elements = { %s }; }
	chain pick {
		type filter hook prerouting priority mangle; policy accept;
		iifname lan0 ct state new ct mark set numgen inc mod %d map { %s }
	}
	chain lead {
		type filter hook postrouting priority mangle; policy accept;
		oifname wan1 meta priority set ct mark & 0xffff map @leaves
	}
}
`, strings.Join(elements, ", "), len(marks), strings.Join(marks, ", ")))
	return len(tree.Classes)
}

// BenchmarkClasses: small packets of established flows per second through the tree of a hundred devices with eight classes on four
// links, and through that of a home with four devices.
func BenchmarkClasses(b *testing.B) {
	large, small := newPath(b).plain(), newPath(b).plain()
	n, home := large.classes(4, 100), small.classes(1, 4)
	run := func(p *path) func() float64 {
		s := newStream(p)
		return func() float64 {
			return rate(b, func() (int, error) { return deliver(s.up, s.down, 5_000) })
		}
	}
	first, second := run(large), run(small)
	for b.Loop() {
		ofLarge, ofSmall, ratios := duel(40, first, second)
		summarize(ratios).report(b, "ratio")
		b.ReportMetric(summarize(ofLarge).median/1000, "kpps")
		b.ReportMetric(summarize(ofSmall).median/1000, "kpps-home")
	}
	for _, p := range []*path{large, small} {
		p.usedClasses()
	}
	b.ReportMetric(float64(n), "classes")
	b.ReportMetric(float64(home), "classes-home")
	b.ReportMetric(0, "ns/op")
}

// usedClasses fails unless the load went through leaves of devices, and not past the tree.
func (p *path) usedClasses() {
	p.b.Helper()
	m, err := linux.New(linux.Options{})
	if err != nil {
		p.b.Fatal(err)
	}
	var counters map[uint16]hal.ClassCounter
	p.router.Do(func() (err error) {
		counters, err = m.ClassCounters(p.b.Context(), "wan1")
		return err
	})
	used := 0
	for id, c := range counters {
		if k := flow.Mark(id); c.Packets > 1000 && k.Link() != 0 && k.Device() != 0 {
			used++
		}
	}
	if used != flowsOfStream {
		p.b.Fatalf("%d leaves carried the load, want %d", used, flowsOfStream)
	}
}
