package engine_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/store"
)

const refusingPolicy = `
people: [{id: ana, name: Ana}, {id: leo, name: Leo}]
devices:
  - {id: laptop, owner: ana, macs: ["02:00:00:00:77:01"]}
  - {id: tablet, owner: leo, macs: ["02:00:00:00:77:02"]}
house:
  - {id: own-dns, name: Our own name server, force: must, who: {people: [leo]}, what: {apps: [encrypted-dns]}, filter: {block: true}}
personal:
  leo: [{id: no-bank, name: No bank, what: {domains: [bank.example]}, filter: {block: true}}]
`

// askName asks the household's name server for the addresses of a name as one of its devices.
func askName(t *testing.T, h *enginetest.House, device netip.Addr, name string) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(name, dns.TypeA)
	q.SetEdns0(1232, false)
	var m *dns.Msg
	enginetest.Eventually(t, "an answer for "+name, func() bool {
		m = h.AnswerTo(t.Context(), netip.AddrPortFrom(device, 40000), q)
		return m != nil && m.Rcode != dns.RcodeServerFailure // the upstreams may not be known yet
	})
	return m
}

func reasonIn(m *dns.Msg) string {
	for _, o := range m.IsEdns0().Option {
		if e, ok := o.(*dns.EDNS0_EDE); ok && e.InfoCode == dns.ExtendedErrorCodeBlocked {
			return e.ExtraText
		}
	}
	return ""
}

// A name that a rule blocks for one device is refused to that one with the rule's words, told to others and to the router itself, and noted.
func TestNamesRefusedPerDevice(t *testing.T) {
	h := enginetest.Start(t, refusingPolicy, func(c *config.Config) { c.Resolver.RefuseBlocked = true })
	if m := askName(t, h, enginetest.Laptop, "bank.example."); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
		t.Errorf("a device without such a rule: %v", m)
	}
	if m := askName(t, h, netip.MustParseAddr("127.0.0.1"), "bank.example."); len(m.Answer) != 1 {
		t.Errorf("the router itself: %v", m)
	}
	for name, rule := range map[string]string{"bank.example.": "No bank", "dns.google.": "Our own name server", "abc.dns.nextdns.io.": "Our own name server"} {
		m := askName(t, h, enginetest.Tablet, name)
		if m.Rcode != dns.RcodeNameError || len(m.Answer) != 0 || !strings.Contains(reasonIn(m), rule) {
			t.Errorf("%s: want a refusal by %q: %v", name, rule, m)
		}
	}
	enginetest.Eventually(t, "the refused name in the log", func() bool {
		list, err := h.Blocked(t.Context(), store.BlockQuery{Rule: "own-dns"})
		if err != nil || len(list) != 2 {
			return false
		}
		b := list[0]
		if b.How != store.BlockedName || b.Device != "tablet" || b.Person != "leo" || b.Tier != "main" || b.App != "encrypted-dns" {
			t.Fatalf("%+v", b)
		}
		return true
	})
}

// Without the option every name is told: the flow itself is refused.
func TestNamesToldUnlessAsked(t *testing.T) {
	h := enginetest.Start(t, refusingPolicy, nil)
	if m := askName(t, h, enginetest.Tablet, "bank.example."); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
		t.Errorf("%v", m)
	}
}

// A program that has the address of an encrypted name server built in asks for no name: the address tells what it is.
func TestEncryptedDNSRefusedByAddress(t *testing.T) {
	h := enginetest.Start(t, refusingPolicy, nil)
	for _, to := range []string{"8.8.8.8:443", "[2606:4700:4700::1111]:853", "9.9.9.9:443", "45.90.28.7:443"} {
		at := netip.MustParseAddrPort(to)
		for device, blocked := range map[string]bool{"laptop": false, "tablet": true} {
			why, err := h.Why(t.Context(), engine.Question{Device: device, To: at.Addr().String(), Port: at.Port(), Proto: flow.ProtoTCP})
			if err != nil {
				t.Fatal(err)
			}
			if why.Decision.Blocked != blocked {
				t.Errorf("%s to %s: blocked %v, want %v", device, to, why.Decision.Blocked, blocked)
			}
		}
	}
}
