package bench

import (
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// askers is how many queries of the load are under way: as many sockets of one host, one query of each at a time.
const askers = 32

// BenchmarkAnswers: how many names a second the router tells, against dnsmasq, the name server of most routers of its kind. Both stand at the
// same time, in front of the same upstream server, and get queries alike in turns. Ours also teaches the kernel each name for the asking host.
func BenchmarkAnswers(b *testing.B) {
	ours, theirs := newPath(b), newPath(b)
	ours.serveDNS()
	theirs.serveDNS()
	ours.trenza(family(b))
	theirs.plain().dnsmasq()
	load := [2]*askingHost{newAskingHost(ours), newAskingHost(theirs)}
	for _, h := range load {
		h.awaitServer()
	}
	ours.awaitLearning(b, load[0].one)
	b.Run("cached", func(b *testing.B) {
		name := func(i int) string { return fmt.Sprintf("kept-%d.example.", i%200) }
		for _, h := range load {
			h.ask(b, 200, name)
		}
		duelOfAnswers(b, load, 20_000, func(int) func(int) string { return name })
	})
	b.Run("uncached", func(b *testing.B) {
		duelOfAnswers(b, load, 2000, func(turn int) func(int) string {
			return func(i int) string { return fmt.Sprintf("new-%d-%d.example.", turn, i) }
		})
	})
}

// duelOfAnswers gives both as many queries in turns; names makes a turn's list.
func duelOfAnswers(b *testing.B, load [2]*askingHost, queries int, names func(turn int) func(i int) string) {
	var rounds, waits [2][]float64
	var ratios []float64
	turn := 0
	work := func(i int) func() float64 {
		return func() float64 {
			turn++
			began := time.Now()
			waits[i] = append(waits[i], milliseconds(load[i].ask(b, queries, names(turn))...)...)
			return float64(queries) / time.Since(began).Seconds()
		}
	}
	for b.Loop() {
		rounds[0], rounds[1], ratios = duel(20, work(0), work(1))
	}
	summarize(ratios).report(b, "ratio")
	for i, who := range []string{"trenza", "dnsmasq"} {
		b.ReportMetric(summarize(rounds[i]).median, who+"-answers/s")
		b.ReportMetric(summarize(waits[i]).median, who+"-ms")
	}
	b.ReportMetric(0, "ns/op")
}

// dnsmasq runs in the path's router until the benchmark ends, with a cache as large as ours.
func (p *path) dnsmasq() {
	p.b.Helper()
	cmd := p.router.Command("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=",
		"--listen-address=10.77.0.1", "--bind-interfaces", "--server="+serverDNS, "--cache-size=10000", "--dns-forward-max=1000")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		p.b.Fatalf("starting dnsmasq (package dnsmasq-base): %v", err)
	}
	p.b.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // gone already: Wait says so
		_ = cmd.Wait()
	})
}

// askingHost is the path's client with its sockets.
type askingHost struct {
	b     *testing.B
	conns []*dns.Conn
}

func newAskingHost(p *path) *askingHost {
	h := &askingHost{b: p.b}
	for range askers {
		p.client.Do(func() error {
			conn, err := net.Dial("udp4", "10.77.0.1:53")
			if err == nil {
				h.conns = append(h.conns, &dns.Conn{Conn: conn})
				p.b.Cleanup(func() { conn.Close() })
			}
			return err
		})
	}
	return h
}

// exchange asks on one socket; it passes over answers to earlier questions.
func exchange(c *dns.Conn, name string, qtype uint16, patience time.Duration) (*dns.Msg, error) {
	q := new(dns.Msg).SetQuestion(name, qtype)
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	for {
		m, err := c.ReadMsg()
		if err != nil || m.Id == q.Id {
			return m, err
		}
	}
}

// awaitServer asks until there is an answer.
func (h *askingHost) awaitServer() {
	h.b.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if m, err := exchange(h.conns[0], "first.example.", dns.TypeA, time.Second); err == nil && len(m.Answer) == 1 {
			return
		}
	}
	h.b.Fatal("no name server answered within a minute")
}

// one asks one question, and says how long the answer took.
func (h *askingHost) one(name string, qtype uint16) (time.Duration, *dns.Msg) {
	began := time.Now()
	m, err := exchange(h.conns[0], name, qtype, 10*time.Second)
	if err != nil {
		h.b.Fatalf("asking for %s: %v", name, err)
	}
	return time.Since(began), m
}

// ask asks for the addresses of as many names, askers of them at a time, and returns how long each answer took.
func (h *askingHost) ask(b *testing.B, queries int, name func(i int) string) []time.Duration {
	b.Helper()
	took := make([]time.Duration, queries)
	var next atomic.Int64
	var all sync.WaitGroup
	for _, c := range h.conns {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < queries; i = int(next.Add(1)) - 1 {
				began := time.Now()
				m, err := exchange(c, name(i), dns.TypeA, 10*time.Second)
				if err != nil || len(m.Answer) != 1 {
					b.Errorf("asking for %s: %v, %v", name(i), err, m)
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	all.Wait()
	return took
}
