package plan

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/trenza-router/trenza/router/flow"
)

// nftMachine walks the chains of a ruleset as the kernel does, for the part of the nft language that the diagrams
// use. A rule that it does not know fails the test, so that a new kind of rule cannot slip by.
type nftMachine struct {
	t      failer
	chains map[string][]string
}

// packet is the first packet of a flow with the marks that it carries on the way.
type packet struct {
	daddr netip.Addr
	proto flow.Proto
	dport uint16
	dscp  uint8
	ct    uint32
	meta  uint32

	dropped bool
	logs    []string // prefixes of the log statements that it passed
	choice  string   // the choose_ chain that it reached
}

// failer is a test or a sample of a property.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func newMachine(t failer, r Ruleset) *nftMachine {
	m := &nftMachine{t: t, chains: map[string][]string{}}
	for _, c := range r.Chains {
		m.chains[c.Name] = c.Rules
	}
	return m
}

var (
	vmapRule   = regexp.MustCompile(`^(.+) vmap \{ (.+) \}$`)
	guardRule  = regexp.MustCompile(`^ct mark & (0x[0-9a-f]+) != 0 return$`)
	setMaskOr  = regexp.MustCompile(`^(?:counter )?ct mark set ct mark & (0x[0-9a-f]+) \| (0x[0-9a-f]+)$`)
	setOr      = regexp.MustCompile(`^(?:counter )?ct mark set ct mark \| (0x[0-9a-f]+)$`)
	logRule    = regexp.MustCompile(`^limit rate .* log prefix "(.*)" group 78 .*$`)
	maskedExpr = regexp.MustCompile(`^(meta|ct) mark & (0x[0-9a-f]+)$`)
)

type ending int

const (
	fellThrough ending = iota // the chain's end, or return: the caller goes on
	finished                  // a verdict
)

// run walks a chain. A goto ends the chain that it stands in.
func (m *nftMachine) run(chain string, p *packet) ending {
	m.t.Helper()
	if strings.HasPrefix(chain, "choose_") {
		p.choice = chain
		return fellThrough
	}
	rules, ok := m.chains[chain]
	if !ok {
		m.t.Fatalf("no chain %q", chain)
	}
	for _, r := range rules {
		switch verdict := m.rule(r, p); {
		case verdict == "":
		case verdict == "return":
			return fellThrough
		case verdict == "drop":
			p.dropped = true
			return finished
		case strings.HasPrefix(verdict, "goto "):
			return m.run(verdict[5:], p)
		case strings.HasPrefix(verdict, "jump "):
			if m.run(verdict[5:], p) == finished {
				return finished
			}
		}
	}
	return fellThrough
}

// rule is the verdict of one rule: "" to go on.
func (m *nftMachine) rule(r string, p *packet) string {
	m.t.Helper()
	switch {
	case r == "return", strings.HasPrefix(r, "goto "), strings.HasPrefix(r, "jump "):
		return r
	case r == "counter drop":
		return "drop"
	}
	if g := logRule.FindStringSubmatch(r); g != nil {
		p.logs = append(p.logs, g[1])
		return ""
	}
	if g := guardRule.FindStringSubmatch(r); g != nil {
		if p.ct&hexNumber(g[1]) != 0 {
			return "return"
		}
		return ""
	}
	if g := setMaskOr.FindStringSubmatch(r); g != nil {
		p.ct = p.ct&hexNumber(g[1]) | hexNumber(g[2])
		return ""
	}
	if g := setOr.FindStringSubmatch(r); g != nil {
		p.ct |= hexNumber(g[1])
		return ""
	}
	if g := vmapRule.FindStringSubmatch(r); g != nil {
		return m.vmap(g[1], strings.Split(g[2], ", "), p)
	}
	m.t.Fatalf("unknown rule %q", r)
	return ""
}

func (m *nftMachine) vmap(expr string, elements []string, p *packet) string {
	m.t.Helper()
	value, ok := m.value(expr, p)
	if !ok {
		return ""
	}
	found := ""
	for _, e := range elements {
		key, verdict, ok := strings.Cut(e, " : ")
		if !ok {
			m.t.Fatalf("element %q of %q", e, expr)
		}
		if value.in(key) {
			if found != "" {
				m.t.Fatalf("%s: two elements hold %v", expr, value)
			}
			found = verdict
		}
	}
	return found
}

// value reads an expression; false where the kernel's load would fail and the rule not match.
func (m *nftMachine) value(expr string, p *packet) (operand, bool) {
	m.t.Helper()
	switch expr {
	case "ip daddr":
		return operand{addr: p.daddr}, p.daddr.Is4()
	case "ip6 daddr":
		return operand{addr: p.daddr}, p.daddr.Is6()
	case "meta l4proto":
		return operand{word: nftProto(p.proto)}, true
	case "th dport":
		return operand{number: uint64(p.dport)}, true
	case "ip dscp":
		return operand{number: uint64(p.dscp)}, p.daddr.Is4()
	case "ip6 dscp":
		return operand{number: uint64(p.dscp)}, p.daddr.Is6()
	}
	if g := maskedExpr.FindStringSubmatch(expr); g != nil {
		mark := p.ct
		if g[1] == "meta" {
			mark = p.meta
		}
		return operand{number: uint64(mark & hexNumber(g[2]))}, true
	}
	m.t.Fatalf("unknown expression %q", expr)
	return operand{}, false
}

type operand struct {
	addr   netip.Addr
	word   string
	number uint64
}

func (o operand) in(key string) bool {
	if o.word != "" {
		return o.word == key
	}
	first, last, isRange := strings.Cut(key, "-")
	if !isRange {
		last = first
	}
	if o.addr.IsValid() {
		return netip.MustParseAddr(first).Compare(o.addr) <= 0 && o.addr.Compare(netip.MustParseAddr(last)) <= 0
	}
	return number(first) <= o.number && o.number <= number(last)
}

func hexNumber(s string) uint32 { return uint32(number(s)) }

func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		panic(fmt.Sprintf("number %q: %v", s, err))
	}
	return n
}
