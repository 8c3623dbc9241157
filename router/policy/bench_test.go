package policy_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/policy/policytest"
)

// large is a policy of n rules: drawn ones, and as many people and devices as a small company has.
func large(n int) policy.Policy {
	p := policytest.Policy(0, 0).Example(1)
	for i := range 200 {
		p.Devices = append(p.Devices, policy.Device{ID: fmt.Sprintf("device-%d", i)})
	}
	drawn := make([]policy.Rule, 50)
	for i := range drawn {
		drawn[i] = policytest.MainRule().Example(i)
	}
	for i := range n {
		r := drawn[i%len(drawn)]
		r.ID, r.Disabled = fmt.Sprintf("rule-%d", i), false
		if i%10 != 0 {
			r.Who = policy.Who{Devices: []string{fmt.Sprintf("device-%d", i%200)}}
		}
		p.Main = append(p.Main, r)
	}
	return p
}

func BenchmarkCompile5000(b *testing.B) {
	p := large(5000)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := policy.Compile(p, policytest.Known()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse5000(b *testing.B) {
	text, err := policy.Format(large(5000))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := policy.Parse("policy.yaml", text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFindings5000(b *testing.B) {
	c := mustCompile(b, large(5000))
	for b.Loop() {
		c.Findings()
	}
}

func BenchmarkActive5000(b *testing.B) {
	c := mustCompile(b, large(5000))
	s, at := c.Subject("device-7"), time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		c.Active(s, at)
	}
}

func BenchmarkDecide25(b *testing.B) {
	c := mustCompile(b, large(25))
	q := policy.Query{Subject: c.Subject("ana-laptop"), Target: policytest.Target().Example(3), Time: time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC)}
	b.ReportAllocs()
	for b.Loop() {
		c.Decide(q)
	}
}

func BenchmarkVerdict(b *testing.B) {
	c := mustCompile(b, policytest.Policy(14, 8).Example(5))
	s := c.Subject("ana-laptop")
	rules := c.Active(s, time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC))
	rules = slices.Clip(rules[:min(6, len(rules))])
	b.ReportAllocs()
	b.ReportMetric(float64(len(rules)), "rules")
	for b.Loop() {
		c.Verdict(s, rules)
	}
}

func BenchmarkNextChange(b *testing.B) {
	c := mustCompile(b, large(5000))
	at := time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC)
	for b.Loop() {
		c.NextChange(at)
	}
}

// BenchmarkDecideContent: a packet of 1,400 bytes that matches none of fifty rules about content, each with a keyword and an expression.
func BenchmarkDecideContent(b *testing.B) {
	p := policy.Policy{}
	for i := range 50 {
		w := policy.What{}
		patterns := []policy.Pattern{policy.Pattern(fmt.Sprintf("casino-%d", i)), policy.Pattern(fmt.Sprintf(`re:^(www\.)?bet%d[0-9]+\.`, i))}
		switch i % 4 {
		case 0:
			w.TLSNames = patterns
		case 1:
			w.HTTP.Hosts = patterns
		case 2:
			w.HTTP.Paths = patterns
		default:
			w.Payload = patterns
		}
		p.Main = append(p.Main, policy.Rule{ID: fmt.Sprintf("r%d", i), Tier: policy.Main, Force: policy.Must, What: w, Filter: &policy.Filter{Action: policy.Block}})
	}
	c, _, err := policy.Compile(p, policy.Known{})
	if err != nil {
		b.Fatal(err)
	}
	packet := policy.Content{Protocol: "http", HTTPHost: "www.shop.example", HTTPPath: "/list?page=2", Payload: bytes.Repeat([]byte("GET /list "), 140)}
	b.ReportAllocs()
	for b.Loop() {
		content := packet
		q := policy.Query{Target: policy.Target{Proto: flow.ProtoTCP, Port: 80, Content: &content}}
		if c.Decide(q).Blocked {
			b.Fatal("blocked")
		}
	}
}
