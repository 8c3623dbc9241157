package engine

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/host"
	"github.com/trenza-router/trenza/router/inspect"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/plan"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
)

// blockedMask are the bits of the mark that change when a running flow is blocked: it is judged no more, and no choice of a link calls it back.
const blockedMask = flow.BlockedBit | flow.JudgedBit | flow.ChoiceMask | flow.AppMask

// blockedMark is what they become.
func blockedMark(d policy.Decision) flow.Mark {
	if d.Silent {
		return flow.SilentlyBlocked
	}
	return flow.BlockedBit
}

// inspectFlows is the task that looks into flows that a rule about content means. Where the kernel holds packets a flow ends at the packet that shows
// what it is, before its server has seen that packet. Elsewhere copies come up, and the flow ends at its next packet, whichever side sends it.
func (e *Engine) inspectFlows(ctx context.Context) error {
	reader := inspect.NewReader()
	if e.queue.Load() {
		return e.machine.JudgePackets(ctx, plan.DeepGroup, func(c hal.PacketCopy) hal.PacketVerdict {
			j, seen, blocked := e.inspect(reader, c)
			if !blocked {
				return hal.PacketVerdict{}
			}
			return hal.PacketVerdict{Mark: seen.Mark&^blockedMask | blockedMark(j.decision)}
		})
	}
	return e.machine.WatchPackets(ctx, plan.DeepGroup, func(c hal.PacketCopy) {
		if j, seen, blocked := e.inspect(reader, c); blocked {
			e.blockFlows(ctx, []hal.MarkChange{{Connection: hal.Connection{Orig: seen.Key}, Mark: blockedMark(j.decision), Mask: blockedMask}})
		}
	})
}

// inspect reads a packet of a flow and asks the rules when that tells more of it. It is true when the flow must not go on, which it has noted.
func (e *Engine) inspect(reader *inspect.Reader, c hal.PacketCopy) (j judged, seen inspect.Seen, blocked bool) {
	var p dpi.Packet
	now := e.now()
	if err := dpi.Decode(c.Packet, &p); err != nil {
		return j, seen, false
	}
	seen, more := reader.Read(&p, c.Mark, now)
	if !more {
		return j, seen, false
	}
	device, _ := e.hosts.ByNumber(seen.Mark.Device())
	j = e.decideWith(device.ID, seen.Key, &seen.Content, now)
	if !j.decision.Blocked {
		return j, seen, false
	}
	e.noteContent(j, device, seen.Key)
	return j, seen, true
}

// noteContent keeps a refusal for what was read in a flow, and tells people of it.
func (e *Engine) noteContent(j judged, device host.Device, key flow.Key) {
	e.noteBlock(store.BlockedContent, device, key, j)
	r, _ := deciding(j.decision, policy.AspectFilter)
	e.event(observe.Info, "filter", device.ID, fmt.Sprintf("%s: %s to %s was ended for what is in it: %s",
		cmp.Or(device.Name, key.Src.Addr().String()), key.Proto, cmp.Or(j.target.Host, key.Dst.String()), r.Text))
}

// blockFlows ends running flows.
func (e *Engine) blockFlows(ctx context.Context, changes []hal.MarkChange) {
	if len(changes) == 0 {
		return
	}
	if _, err := e.machine.MarkConnections(ctx, changes); err != nil && ctx.Err() == nil {
		e.log.Error("flows that a rule blocks could not be ended", "error", err)
	}
}

// contentOf is what is known of what a running flow said.
func (e *Engine) contentOf(key flow.Key, now time.Time) *policy.Content {
	said, ok := e.names.Said(key, now)
	if !ok {
		return nil
	}
	c := &policy.Content{}
	inspect.Told(c, said)
	return c
}
