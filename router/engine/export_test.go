package engine

import (
	"context"
	"net/netip"

	"github.com/miekg/dns"
)

// AnswerTo is what the household's name server tells a client: a test cannot send from an address of the fake machine's LAN.
func (e *Engine) AnswerTo(ctx context.Context, client netip.AddrPort, query *dns.Msg) *dns.Msg {
	return e.resolver.Load().Answer(ctx, client, query)
}

// ExamineServices looks for services in the way, as Run does at its start.
func (e *Engine) ExamineServices(ctx context.Context) error { return e.examineServices(ctx) }
