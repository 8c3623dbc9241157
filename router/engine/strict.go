package engine

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/classify"
	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/lru"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/steer"
)

const (
	// strictPause is how long a flow that was reset once is left alone when it comes again: a program whose flows cannot be led right must work even so.
	strictPause = 10 * time.Minute
	// maxStrict bounds the resets that are remembered.
	maxStrict = 4096
)

// strictness remembers which flows were reset for being on a wrong link. It belongs to the task that reads names.
type strictness struct{ reset *lru.Map[attempt, time.Time] }

// attempt is what a program does again when its flow was reset.
type attempt struct {
	device flow.DeviceID
	to     netip.AddrPort
	host   string
}

func newStrictness() *strictness { return &strictness{lru.New[attempt, time.Time](maxStrict)} }

// once is true the first time in strictPause.
func (s *strictness) once(a attempt, now time.Time) bool {
	if last := s.reset.Get(a); last != nil && now.Sub(*last) < strictPause {
		return false
	}
	s.reset.Put(a, now)
	return true
}

// holdToRules resets a TCP flow of which its own hello proves that it took a link that a strict rule does not take for it. What it is was taught before,
// so that its next try is judged by it.
func (e *Engine) holdToRules(ctx context.Context, s *strictness, m flow.Mark, f dpi.Finding) {
	d, known := e.hosts.ByNumber(m.Device())
	if f.Key.Proto != flow.ProtoTCP || !f.NamesServer() || !known || !m.Judged() || m.Inbound() || m.Blocked() || !e.policy.current().IsStrict() {
		return
	}
	now := e.now()
	j := e.decide(d.ID, f.Key, now)
	if j.identity.Confidence < classify.Proven || j.decision.Blocked || !j.decision.Steer.Strict || e.takes(j.decision.Steer, f.Key, m.Link()) ||
		!s.once(attempt{d.Number, f.Key.Dst, j.target.Host}, now) {
		return
	}
	e.tell(ctx, e.names.LearnNext(d.Number, f, now))
	e.blockFlows(ctx, []hal.MarkChange{{Connection: hal.Connection{Orig: f.Key}, Mark: flow.ResetBoth, Mask: blockedMask}})
	r, _ := deciding(j.decision, policy.AspectSteer)
	e.event(observe.Info, "steer", d.ID, fmt.Sprintf("%s: a flow to %s had taken %s before it was known; it was reset once: %s",
		cmp.Or(d.Name, f.Key.Src.Addr().String()), j.target.Host, e.linkName(m.Link()), r.Text))
}

// takes tells whether flows of a decision may be on a link as the links are now.
func (e *Engine) takes(s policy.Steer, key flow.Key, on flow.LinkID) bool {
	var conditions []steer.LinkCondition
	for _, l := range e.planLinks() {
		conditions = append(conditions, l.Condition(hal.FamilyOf(key.Dst.Addr()) == hal.IPv6))
	}
	return slices.ContainsFunc(steer.Resolve(s, conditions).Buckets, func(b steer.Bucket) bool { return b.Link == on })
}
