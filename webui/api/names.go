package api

import (
	"cmp"
	"context"

	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/webui/auth"
)

// ListPeople lists the people of the policy with their devices.
func (h *Handlers) ListPeople(ctx context.Context, _ ListPeopleRequestObject) (ListPeopleResponseObject, error) {
	see := h.sight(ctx)
	devices := map[string][]string{}
	for _, d := range h.engine.Devices() {
		devices[d.Owner] = append(devices[d.Owner], d.ID)
	}
	users := map[string]string{}
	if auth.Of(ctx).Role == auth.Admin {
		for _, u := range h.auth.Users() {
			users[u.Person] = u.Name
		}
	}
	out := ListPeople200JSONResponse{}
	for _, p := range h.engine.PolicyInForce().People {
		if see.all || p.ID == see.person {
			out = append(out, Person{Id: p.ID, Name: cmp.Or(p.Name, p.ID), Devices: append([]string{}, devices[p.ID]...), User: some(users[p.ID])})
		}
	}
	return out, nil
}

// ListApps names applications and categories.
func (h *Handlers) ListApps(_ context.Context, r ListAppsRequestObject) (ListAppsResponseObject, error) {
	language := cmp.Or(value(r.Params.Language), "en")
	c := h.engine.Applications()
	return ListApps200JSONResponse{
		Apps: each(c.Apps(), func(a catalog.App) App { return App{Id: a.ID, Name: a.Names.In(language), Category: a.Category} }),
		Categories: each(c.Categories(), func(k catalog.Category) Category {
			return Category{Id: k.ID, Name: k.Names.In(language)}
		}),
	}, nil
}
