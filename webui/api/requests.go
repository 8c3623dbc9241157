package api

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
	"github.com/trenza-router/trenza/webui/auth"
)

// maxOpen is how many open requests a person may have.
const maxOpen = 20

func requestOf(r store.Request) (Request, error) {
	out := Request{Id: r.ID, At: r.At, Person: r.Person, Text: r.Text, State: RequestState(r.State), By: some(r.By), Answer: some(r.Answer)}
	if !r.Answered.IsZero() {
		out.Answered = &r.Answered
	}
	if r.Rule != "" {
		out.Rule = new(Rule)
		if err := json.Unmarshal([]byte(r.Rule), out.Rule); err != nil {
			return out, fmt.Errorf("reading request %d: %w", r.ID, err)
		}
	}
	return out, nil
}

// requests lists what the asker may see.
func (h *Handlers) requests(ctx context.Context) ([]Request, error) {
	see := h.sight(ctx)
	if !see.all && see.person == "" {
		return []Request{}, nil
	}
	list, err := h.store.Requests(ctx, see.person)
	if err != nil {
		return nil, err
	}
	out := []Request{}
	for _, r := range list {
		v, err := requestOf(r)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// ListRequests lists what members asked for.
func (h *Handlers) ListRequests(ctx context.Context, _ ListRequestsRequestObject) (ListRequestsResponseObject, error) {
	list, err := h.requests(ctx)
	if err != nil {
		return nil, err
	}
	return ListRequests200JSONResponse(list), nil
}

// granting is the house's rule of a request, bound to the person who asks: whatever it was written for, it is about nobody else.
func (h *Handlers) granting(r Rule, person string) (policy.Rule, error) {
	must := RuleForceMust
	r.Force = &must
	r.Who = &RuleWho{People: &[]string{person}}
	return ruleFrom(r, "")
}

// AddRequest asks for something.
func (h *Handlers) AddRequest(ctx context.Context, r AddRequestRequestObject) (AddRequestResponseObject, error) {
	p := auth.Of(ctx)
	if p.Person == "" {
		return nil, auth.ErrForbidden
	}
	list, err := h.requests(ctx)
	if err != nil {
		return nil, err
	}
	open := 0
	for _, v := range list {
		if v.State == RequestStateOpen {
			open++
		}
	}
	if open >= maxOpen {
		return nil, invalid("%d of your requests wait for an answer already", open)
	}
	n := store.Request{Person: p.Person, Text: r.Body.Text, State: string(RequestStateOpen)}
	if r.Body.Rule != nil {
		rule, err := h.granting(*r.Body.Rule, p.Person)
		if err != nil {
			return nil, err
		}
		data, err := json.Marshal(ruleOf(rule))
		if err != nil {
			return nil, err
		}
		n.Rule = string(data)
	}
	if n, err = h.store.AddRequest(ctx, n); err != nil {
		return nil, err
	}
	h.record(ctx, "request.add", fmt.Sprintf("request %d", n.ID), "", n.Text)
	out, err := requestOf(n)
	if err != nil {
		return nil, err
	}
	return AddRequest200JSONResponse(out), nil
}

// AnswerRequest accepts or declines. The rule stands before the request is closed: a request that is told as accepted is granted.
func (h *Handlers) AnswerRequest(ctx context.Context, r AnswerRequestRequestObject) (AnswerRequestResponseObject, error) {
	h.answering.Lock()
	defer h.answering.Unlock()
	find := func() (Request, error) {
		list, err := h.requests(ctx)
		for _, v := range list {
			if err == nil && v.Id == r.Id {
				return v, nil
			}
		}
		if err == nil {
			err = store.ErrNotFound
		}
		return Request{}, fmt.Errorf("request %d: %w", r.Id, err)
	}
	asked, err := find()
	if err != nil {
		return nil, err
	}
	if asked.State != RequestStateOpen {
		return nil, fmt.Errorf("request %d was answered already: %w", r.Id, store.ErrNotFound)
	}
	state := RequestStateDeclined
	if r.Body.Accept {
		state = RequestStateAccepted
		if asked.Rule != nil {
			if err := h.grant(ctx, asked); err != nil {
				return nil, err
			}
		}
	}
	if err := h.store.AnswerRequest(ctx, r.Id, string(state), auth.Of(ctx).Name, value(r.Body.Text)); err != nil {
		return nil, err
	}
	h.record(ctx, "request.answer", fmt.Sprintf("request %d", r.Id), "open", string(state))
	if asked, err = find(); err != nil {
		return nil, err
	}
	return AnswerRequest200JSONResponse(asked), nil
}

// grant puts a request's rule in force, before every other one of the house, under an id of its own.
func (h *Handlers) grant(ctx context.Context, asked Request) error {
	rule, err := h.granting(*asked.Rule, asked.Person)
	if err != nil {
		return err
	}
	compiled, version := h.engine.Rules()
	rule.ID = fmt.Sprintf("request-%d", asked.Id)
	if rule.Name == "" {
		rule.Name = asked.Text
	}
	rule.Priority = 0
	for _, r := range compiled.Policy().Main {
		if r.Force == policy.Must {
			rule.Priority = min(max(rule.Priority, r.Priority+1), 1000)
		}
	}
	e := policy.Edit(compiled.Policy())
	e.PutRule(rule)
	text, err := policy.Format(e.Policy())
	if err != nil {
		return engine.ProblemsOf(err)
	}
	before := h.engine.PolicyInForce()
	v, err := h.engine.SetPolicy(ctx, string(text), auth.Of(ctx).Name, version)
	if err != nil {
		return err
	}
	h.recordPolicy(ctx, "policy.set", fmt.Sprintf("version %d", v.Version), before)
	return nil
}
