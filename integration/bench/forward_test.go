package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/policy"
)

// arrivals counts the packets that reached the server, returns those that came back to the client.
func (p *path) arrivals() uint64 {
	var devices []string
	for i := 1; i <= uplinks; i++ {
		devices = append(devices, fmt.Sprintf("cust%d", i))
	}
	return p.server.received(devices...)
}

func (p *path) returns() uint64 { return p.client.received("eth0") }

// fullPolicies are those whose price is measured: the family's, and one of 5,000 rules.
func fullPolicies(b *testing.B) []shape {
	return []shape{
		{"family", func() policy.Policy { return family(b) }},
		{"rules5000", mixedRules},
	}
}

// BenchmarkPackets: small packets of established flows per second through our router and through a plain one, both ways.
// "ratio" is between two programs, one that sends and one that receives; "ratio-kernel" leaves out the receiving one.
func BenchmarkPackets(b *testing.B) {
	for _, s := range fullPolicies(b) {
		b.Run(s.name, func(b *testing.B) {
			ours, plain := newPath(b).trenza(s.rules()), newPath(b).plain()
			const rounds, packets = 60, 20_000
			type way struct {
				name          string
				programs, raw map[*path]func() float64
			}
			up := way{"up", map[*path]func() float64{}, map[*path]func() float64{}}
			down := way{"down", map[*path]func() float64{}, map[*path]func() float64{}}
			for _, p := range []*path{ours, plain} {
				st := newStream(p)
				up.programs[p] = func() float64 {
					return rate(b, func() (int, error) { return deliver(st.up, st.down, packets) })
				}
				down.programs[p] = func() float64 {
					return rate(b, func() (int, error) { return deliver(st.down, st.up, packets) })
				}
				up.raw[p] = func() float64 {
					return rate(b, func() (int, error) { return pump(st.up, packets, p.arrivals) })
				}
				down.raw[p] = func() float64 {
					return rate(b, func() (int, error) { return pump(st.down, packets, p.returns) })
				}
			}
			for b.Loop() {
				var all []float64
				for _, w := range []way{up, down} {
					ofOurs, ofPlain, ratios := duel(rounds, w.programs[ours], w.programs[plain])
					all = append(all, ratios...)
					b.ReportMetric(summarize(ratios).median, "ratio-"+w.name)
					b.ReportMetric(summarize(ofOurs).median/1000, "kpps-"+w.name)
					b.ReportMetric(summarize(ofPlain).median/1000, "kpps-plain-"+w.name)
				}
				summarize(all).report(b, "ratio")
				for _, p := range []*path{ours, plain} {
					sink(p.server)
					sink(p.client)
				}
				var kernel []float64
				for _, w := range []way{up, down} {
					_, _, ratios := duel(rounds, w.raw[ours], w.raw[plain])
					kernel = append(kernel, ratios...)
				}
				b.ReportMetric(summarize(kernel).median, "ratio-kernel")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkNewFlows: flows opened per second through our router and through a plain one: single datagrams to a sink, and
// whole TCP connections, opened and ended between two programs.
func BenchmarkNewFlows(b *testing.B) {
	for _, s := range fullPolicies(b) {
		b.Run(s.name+"/udp", func(b *testing.B) {
			compareFlows(b, s.rules(), flowsOfRound, func(p *path) func() float64 {
				sink(p.server)
				fd := p.socket(p.client)
				return func() float64 {
					return rate(b, func() (int, error) { return udpFlows(fd, flowsOfRound, p.arrivals) })
				}
			})
		})
		b.Run(s.name+"/tcp", func(b *testing.B) {
			compareFlows(b, s.rules(), flowsOfRound/4, func(p *path) func() float64 {
				listeners := p.listen()
				return func() (r float64) {
					p.client.Do(func() error {
						r = rate(b, func() (int, error) { return tcpFlows(listeners, flowsOfRound/4) })
						return nil
					})
					return r
				}
			})
		})
	}
}

const flowsOfRound = 10_000

func compareFlows(b *testing.B, rules policy.Policy, each int, load func(*path) func() float64) {
	ours, plain := newPath(b).trenza(rules), newPath(b).plain()
	round := func(p *path) func() float64 {
		run := load(p)
		return func() float64 {
			p.forget()
			if p.daemon != nil {
				p.daemon.settle(b)
			}
			return run()
		}
	}
	a, c := round(ours), round(plain)
	for b.Loop() {
		before := ours.daemon.cpu(b)
		const rounds = 30
		ofOurs, ofPlain, ratios := duel(rounds, a, c)
		// The daemon takes notice of flows meanwhile or later, on any processor: its time is told apart.
		ours.daemon.settle(b)
		spent := ours.daemon.cpu(b) - before
		summarize(ratios).report(b, "ratio")
		b.ReportMetric(summarize(ofOurs).median/1000, "kflows/s")
		b.ReportMetric(summarize(ofPlain).median/1000, "kflows/s-plain")
		b.ReportMetric(float64(spent.Microseconds())/float64(rounds*each), "daemon-µs/flow")
	}
	b.ReportMetric(0, "ns/op")
}

// settle waits until the daemon has little to do.
func (d *daemon) settle(b *testing.B) {
	b.Helper()
	const look = 50 * time.Millisecond
	for range 100 {
		before := d.cpu(b)
		time.Sleep(look)
		if d.cpu(b)-before <= look/4 {
			return
		}
	}
}
