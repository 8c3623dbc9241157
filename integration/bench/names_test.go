package bench

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/plan"
)

// BenchmarkLearnedName: how long the daemon holds a DNS answer until the kernel knows the name. A host asks for names never
// asked before: an address, of which the kernel must be told, and a text, of which it must not, in turns. Both take the
// same way (client, daemon, upstream server, daemon, client), so that the difference is the hold.
func BenchmarkLearnedName(b *testing.B) {
	p := newPath(b)
	p.serveDNS()
	p.trenza(family(b))
	var conn net.Conn
	p.client.Do(func() (err error) {
		conn, err = net.Dial("udp4", "10.77.0.1:53")
		return err
	})
	defer conn.Close()
	c := &dns.Conn{Conn: conn}
	ask := func(name string, qtype uint16) (time.Duration, *dns.Msg) {
		q := new(dns.Msg)
		q.SetQuestion(name, qtype)
		began := time.Now()
		_ = conn.SetDeadline(began.Add(10 * time.Second)) // a socket has deadlines
		if err := c.WriteMsg(q); err != nil {
			b.Fatal(err)
		}
		m, err := c.ReadMsg()
		if err != nil {
			b.Fatalf("asking for %s: %v", name, err)
		}
		if len(m.Answer) != 1 {
			b.Fatalf("asking for %s: %d answers", name, len(m.Answer))
		}
		return time.Since(began), m
	}
	p.awaitLearning(b, ask)
	for b.Loop() {
		const rounds = 500
		var with, without, hold []float64
		for i := range rounds {
			a, m := ask(fmt.Sprintf("name-%d.example.", i), dns.TypeA)
			t, _ := ask(fmt.Sprintf("name-%d.example.", i), dns.TypeTXT)
			with, without = append(with, milliseconds(a)...), append(without, milliseconds(t)...)
			hold = append(hold, milliseconds(a-t)...)
			if i%50 == 0 && !p.knows(m.Answer[0].(*dns.A).A) {
				b.Fatalf("the answer for %s came before the kernel knew the name", m.Question[0].Name)
			}
		}
		summarize(hold).report(b, "ms-hold")
		b.ReportMetric(summarize(with).median, "ms-address")
		b.ReportMetric(summarize(without).median, "ms-text")
	}
	b.ReportMetric(0, "ns/op")
}

// awaitLearning asks until the daemon knows the asking host: a stranger's names are not learned.
func (p *path) awaitLearning(b *testing.B, ask func(string, uint16) (time.Duration, *dns.Msg)) {
	b.Helper()
	for i := range 600 {
		if _, m := ask(fmt.Sprintf("first-%d.example.", i), dns.TypeA); p.knows(m.Answer[0].(*dns.A).A) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.Fatal("the daemon did not learn a name within a minute")
}

// knows tells whether the kernel's map has an address for the path's client.
func (p *path) knows(addr net.IP) bool {
	p.b.Helper()
	out, err := p.router.Command("nft", "list", "map", "inet", plan.Table, plan.MapNames4).Output()
	if err != nil {
		p.b.Fatalf("reading the kernel's map: %v", err)
	}
	return strings.Contains(string(out), " . "+addr.String()+" ")
}

// BenchmarkSetElement: the kernel's part of a learned name, one element put into a map that holds a household's.
func BenchmarkSetElement(b *testing.B) {
	h := newHouse(b)
	h.put(h.plan(h.input(family(b))))
	m := h.machine
	ctx := context.Background()
	element := func(i int) hal.Element {
		a := netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)})
		return hal.Element{Key: hal.ElementKey(uint32(16), a), Value: 1 << 31, Timeout: time.Hour, Comment: fmt.Sprintf("name-%d.example", i)}
	}
	var held []hal.Element
	for i := range 5000 {
		held = append(held, element(1<<20+i))
	}
	if err := m.SetElements(ctx, plan.MapNames4, held); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		const rounds = 2000
		var took []float64
		for i := range rounds {
			began := time.Now()
			if err := m.SetElements(ctx, plan.MapNames4, []hal.Element{element(i)}); err != nil {
				b.Fatal(err)
			}
			took = append(took, milliseconds(time.Since(began))...)
		}
		summarize(took).report(b, "ms")
	}
	b.ReportMetric(0, "ns/op")
}
