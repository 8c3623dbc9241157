package api

import (
	"context"
	"slices"

	"github.com/trenza-router/trenza/router/engine"
)

// GetQoS answers with how the links are shaped.
func (h *Handlers) GetQoS(ctx context.Context, _ GetQoSRequestObject) (GetQoSResponseObject, error) {
	return GetQoS200JSONResponse(h.qos(ctx)), nil
}

func (h *Handlers) qos(ctx context.Context) QoS {
	v, s := h.engine.QoS(), h.sight(ctx)
	out := QoS{Links: []QoSLink{}, Warnings: slices.Clone(v.Warnings)}
	if out.Warnings == nil || !s.all {
		out.Warnings = []string{} // they name rules of everybody
	}
	for _, l := range v.Links {
		l.Classes = slices.DeleteFunc(l.Classes, func(c engine.QoSClass) bool { return !s.device(c.Device) })
		out.Links = append(out.Links, qosLink(l))
	}
	return out
}

func qosLink(l engine.QoSLink) QoSLink {
	return QoSLink{
		Name: l.Name, Mode: QoSLinkMode(l.Mode), State: l.State, ShapedDown: whole(l.Shaped.Down), ShapedUp: whole(l.Shaped.Up),
		CapacityDown: whole(l.Capacity.Down), CapacityUp: whole(l.Capacity.Up), QueueDownMs: ms(l.QueueDown), QueueUpMs: ms(l.QueueUp),
		IdleMs: ms(l.Idle), LoadedMs: ms(l.Loaded),
		History: each(l.History, func(d engine.DelayHour) QoSHour {
			return QoSHour{At: d.At, IdleMs: ms(d.Idle), LoadedMs: ms(d.Loaded), IdleProbes: d.IdleProbes, LoadedProbes: d.LoadedProbes}
		}),
		Classes: each(l.Classes, func(c engine.QoSClass) QoSClass {
			return QoSClass{Device: c.Device, Class: c.Class, Priority: c.Priority, Down: qosWay(c.Down), Up: qosWay(c.Up)}
		}),
	}
}

func qosWay(w engine.QoSWay) QoSWay {
	return QoSWay{Promised: whole(w.Promised), Most: whole(w.Most), Rate: whole(w.Rate), Waiting: whole(w.Waiting), Dropped: whole(w.Dropped), DelayMs: ms(w.Delay)}
}
