package api

import (
	"context"
	"slices"

	"github.com/trenza-router/trenza/router/store"
)

// ListBlocked answers with what the filter did not let pass.
func (h *Handlers) ListBlocked(ctx context.Context, r ListBlockedRequestObject) (ListBlockedResponseObject, error) {
	p := r.Params
	q := store.BlockQuery{Device: value(p.Device), Person: value(p.Person), Rule: value(p.Rule), Limit: value(p.Limit)}
	see := h.sight(ctx)
	if !see.all {
		if q.Person != "" && q.Person != see.person || see.person == "" {
			return ListBlocked200JSONResponse{}, nil
		}
		q.Person = see.person
	}
	list, err := h.engine.Blocked(ctx, q)
	if err != nil {
		return nil, err
	}
	// What a device did while it was another person's stays theirs, and what it did before it was given away is not the new owner's.
	list = slices.DeleteFunc(list, func(b store.Block) bool { return !see.device(b.Device) })
	return ListBlocked200JSONResponse(each(list, blocked)), nil
}

func blocked(b store.Block) Blocked {
	return Blocked{
		At: b.At, Count: b.Count, How: BlockedHow(b.How), Device: b.Device, Person: some(b.Person), Rule: b.Rule, RuleName: b.Name,
		Tier: b.Tier, Proto: b.Proto, To: b.To, Host: b.Host, App: b.App, Silent: b.Silent, Text: b.Text,
	}
}
