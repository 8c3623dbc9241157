package bench

import (
	"fmt"
	"testing"

	"github.com/trenza-router/trenza/router/policy"
)

// filtered is the family's policy with a thousand blocked names and fifty rules that look into everyone's flows, none of which the benchmark's match.
func filtered(b *testing.B) policy.Policy {
	p := family(b)
	block := func(id string, w policy.What) {
		p.Main = append(p.Main, main(id, policy.Must, w, policy.Rule{Filter: &policy.Filter{Action: policy.Block}}))
	}
	for i := range 1000 {
		block(fmt.Sprintf("name-%d", i), policy.What{Domains: domain("blocked-%d.example", i)})
	}
	for i := range 50 {
		pattern := []policy.Pattern{policy.Pattern(fmt.Sprintf("casino-%d", i)), policy.Pattern(fmt.Sprintf(`re:^(www\.)?bet%d[0-9]+\.`, i))}
		switch i % 5 {
		case 0:
			block(fmt.Sprintf("content-%d", i), policy.What{HTTP: policy.HTTPSelect{Hosts: pattern}})
		case 1:
			block(fmt.Sprintf("content-%d", i), policy.What{HTTP: policy.HTTPSelect{Paths: pattern}})
		case 2:
			block(fmt.Sprintf("content-%d", i), policy.What{Payload: pattern})
		case 3:
			block(fmt.Sprintf("content-%d", i), policy.What{Protocols: []string{"bittorrent"}, Payload: pattern})
		default:
			block(fmt.Sprintf("content-%d", i), policy.What{TLSNames: pattern})
		}
	}
	return p
}

// BenchmarkContent: packets of established flows per second, and connections opened and ended per second, with a thousand blocked names and fifty rules
// about content, to those without: both through our router.
func BenchmarkContent(b *testing.B) {
	with, without := newPath(b).trenza(filtered(b)), newPath(b).trenza(family(b))
	const rounds, packets = 60, 20_000
	b.Run("packets", func(b *testing.B) {
		stream := func(p *path) func() float64 {
			st := newStream(p)
			return func() float64 {
				return rate(b, func() (int, error) { return deliver(st.up, st.down, packets) })
			}
		}
		x, y := stream(with), stream(without)
		for b.Loop() {
			ofWith, ofWithout, ratios := duel(rounds, x, y)
			summarize(ratios).report(b, "ratio")
			b.ReportMetric(summarize(ofWith).median/1000, "kpps")
			b.ReportMetric(summarize(ofWithout).median/1000, "kpps-without")
		}
		b.ReportMetric(0, "ns/op")
	})
	b.Run("connections", func(b *testing.B) {
		open := func(p *path) func() float64 {
			listeners := p.listen()
			return func() (r float64) {
				p.forget()
				p.daemon.settle(b)
				p.client.Do(func() error {
					r = rate(b, func() (int, error) { return tcpFlows(listeners, flowsOfRound/4) })
					return nil
				})
				return r
			}
		}
		x, y := open(with), open(without)
		for b.Loop() {
			ofWith, ofWithout, ratios := duel(rounds/4, x, y)
			summarize(ratios).report(b, "ratio")
			b.ReportMetric(summarize(ofWith).median/1000, "kflows/s")
			b.ReportMetric(summarize(ofWithout).median/1000, "kflows/s-without")
		}
		b.ReportMetric(0, "ns/op")
	})
}
