package api

import (
	"context"
	"strings"

	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
	"github.com/trenza-router/trenza/webui/auth"
)

// record notes who changed what. What was changed stands, even if the note cannot be kept; the log tells of it.
func (h *Handlers) record(ctx context.Context, action, object, before, after string) {
	h.recordAs(ctx, auth.Of(ctx), action, object, before, after)
}

func (h *Handlers) recordAs(ctx context.Context, p auth.Principal, action, object, before, after string) {
	peer := ""
	if a := auth.VisitOf(ctx).Peer; a.IsValid() {
		peer = a.String()
	}
	a := store.Audit{Actor: p.Name, Peer: peer, Action: action, Object: object, Before: before, After: after}
	if err := h.store.AddAudit(context.WithoutCancel(ctx), a); err != nil {
		h.log.Error("a change could not be recorded", "actor", p.Name, "action", action, "object", object, "error", err)
	}
}

// maxRecord is how much of a policy's differences is kept with one change, in bytes on each side.
const maxRecord = 16 << 10

// recordPolicy notes a change of the policy, field by field.
func (h *Handlers) recordPolicy(ctx context.Context, action, object string, before policy.Policy) {
	var was, is strings.Builder
	for _, c := range policy.Diff(before, h.engine.PolicyInForce()) {
		name := c.Entry + " " + c.ID
		switch c.Kind {
		case policy.Added:
			is.WriteString(name + " added\n")
		case policy.Removed:
			was.WriteString(name + " removed\n")
		case policy.Changed:
		}
		for _, f := range c.Fields {
			if f.Before != "" {
				was.WriteString(name + " " + f.Field + ": " + f.Before + "\n")
			}
			if f.After != "" {
				is.WriteString(name + " " + f.Field + ": " + f.After + "\n")
			}
		}
	}
	cut := func(b *strings.Builder) string {
		if b.Len() > maxRecord {
			return strings.ToValidUTF8(b.String()[:maxRecord], "") + "…"
		}
		return b.String()
	}
	h.record(ctx, action, object, cut(&was), cut(&is))
}

// ListAudit lists who changed what.
func (h *Handlers) ListAudit(ctx context.Context, r ListAuditRequestObject) (ListAuditResponseObject, error) {
	p := r.Params
	list, err := h.store.Audit(ctx, store.AuditQuery{Actor: value(p.Actor), Action: value(p.Action), Object: value(p.Object),
		From: value(p.From), To: value(p.To), Before: value(p.Before), Limit: value(p.Limit)})
	if err != nil {
		return nil, err
	}
	return ListAudit200JSONResponse(each(list, func(a store.Audit) AuditEntry {
		return AuditEntry{Id: a.ID, At: a.At, Actor: a.Actor, Peer: a.Peer, Action: a.Action, Object: a.Object, Before: a.Before, After: a.After}
	})), nil
}
