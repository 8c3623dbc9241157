package resolver

import (
	"context"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// A name that one client may not be given is given to another; who is refused learns why, and nothing of it is kept.
func TestRefusedName(t *testing.T) {
	child, parent := netip.MustParseAddrPort("10.77.0.30:5000"), netip.MustParseAddrPort("10.77.0.31:5000")
	refuses := true
	cfg := Config{Refuse: func(_ context.Context, client netip.AddrPort, host string) (string, bool) {
		return "the house's rule \"No games\" blocks the flow.", refuses && client == child && host == "game.example"
	}}
	r := prepare(t, cfg, newUpstream(t, "fiber", zone(t, "game.example. 60 IN A 203.0.113.1", "work.example. 60 IN A 203.0.113.2")))
	ask := func(client netip.AddrPort, name string) *dns.Msg {
		q := new(dns.Msg).SetQuestion(name, dns.TypeA)
		q.SetEdns0(1232, false)
		return r.Answer(t.Context(), client, q)
	}
	if m := ask(parent, "game.example."); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
		t.Errorf("another client: %v", m)
	}
	m := ask(child, "Game.example.")
	if m.Rcode != dns.RcodeNameError || len(m.Answer)+len(m.Ns) != 0 {
		t.Errorf("the refused one: %v", m)
	}
	told := false
	for _, o := range m.IsEdns0().Option {
		if e, ok := o.(*dns.EDNS0_EDE); ok {
			told = e.InfoCode == dns.ExtendedErrorCodeBlocked && e.ExtraText != ""
		}
	}
	if !told {
		t.Errorf("no reason is told: %v", m)
	}
	if m := ask(child, "work.example."); len(m.Answer) != 1 {
		t.Errorf("another name: %v", m)
	}
	if refuses = false; len(ask(child, "game.example.").Answer) != 1 {
		t.Error("a rule that was lifted goes on to count")
	}
	if n := r.Stats().Blocked; n != 1 {
		t.Errorf("%d names counted", n)
	}
}
