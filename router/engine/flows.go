package engine

import (
	"context"
	"errors"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// judgeAgain looks at every running flow by the policy now in force. A flow that is not allowed any more ends at once: its entry
// is deleted, and its next packet is judged and refused as a new one's would be. A flow that is still allowed
// stays on its link, even where new flows take another one; only a link that its rule now forbids is left. Its class changes at once.
func (e *Engine) judgeAgain(ctx context.Context) {
	var stop []hal.Connection
	var move, end []hal.MarkChange
	// What was ended for its content is looked into anew.
	if err := e.machine.FlushConnections(ctx, flow.BlockedBit, flow.BlockedBit); err != nil && ctx.Err() == nil {
		e.log.Error("flows that were blocked could not be judged by the new rules", "error", err)
	}
	p := e.policy.current()
	now := e.now()
	err := e.machine.Connections(ctx, flow.JudgedBit, flow.JudgedBit|flow.InboundBit, func(c hal.Connection) {
		d, known := e.hosts.ByNumber(c.Mark.Device())
		if c.Mark.Device() == 0 {
			// Judged as a stranger's: now it is known whose it is. It is not ended for that alone, since a client that
			// waits for its server to speak first would wait for ever.
			d, known = e.hosts.ByAddr(c.Orig.Src.Addr())
		}
		if !known {
			return
		}
		j := e.decide(d.ID, c.Orig, now)
		if content := e.contentOf(c.Orig, now); content != nil && !j.decision.Blocked {
			// The kernel would let it pass when it looked at it again: it does not know what the flow said.
			if j := e.decideWith(d.ID, c.Orig, content, now); j.decision.Blocked {
				e.noteContent(j, d, c.Orig)
				end = append(end, hal.MarkChange{Connection: c, Mark: blockedMark(j.decision), Mask: blockedMask})
				return
			}
		}
		if j.decision.Blocked || !e.mayStay(c, j) {
			stop = append(stop, c)
		} else if change, differs := reclass(p, c, d.Number, j); differs {
			move = append(move, change)
		}
	})
	if err != nil && ctx.Err() == nil {
		e.log.Error("running flows could not be judged by the new rules", "error", err)
	}
	for _, c := range stop {
		if err := e.machine.DeleteConnection(ctx, c); err != nil && !errors.Is(err, hal.ErrNotFound) && ctx.Err() == nil {
			e.log.Warn("a flow could not be called back", "flow", c.Orig, "error", err)
		}
	}
	if len(stop) > 0 {
		e.log.Info("flows called back", "why", "the rules have changed", "count", len(stop))
	}
	e.blockFlows(ctx, end)
	e.moveFlows(ctx, move)
}

// mayStay tells whether a running flow's link is among those that its decision may ever use.
func (e *Engine) mayStay(c hal.Connection, j judged) bool {
	s := j.decision.Steer
	w := e.wanByID(c.Mark.Link())
	if w == nil || len(s.Use) == 0 || !s.KillSwitch && s.Mode != policy.Fixed {
		return true
	}
	for _, u := range s.Use {
		if u.Link == w.config.Name {
			return true
		}
	}
	return false
}
