package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
)

// Handlers answers the interface's requests from the engine.
type Handlers struct {
	engine  *engine.Engine
	closed  <-chan struct{} // ends the live streams
	streams chan struct{}   // one entry for each live stream
}

// maxStreams is how many may watch at once: more than a household has screens.
const maxStreams = 64

// NewHandlers answers from e; live streams last until closed is closed. Requests must have passed Register's checks.
func NewHandlers(e *engine.Engine, closed <-chan struct{}) *Handlers {
	return &Handlers{engine: e, closed: closed, streams: make(chan struct{}, maxStreams)}
}

var _ StrictServerInterface = (*Handlers)(nil)

// errTooLarge: nothing that large is a policy.
var errTooLarge = fmt.Errorf("the policy is too large: it may have %d MiB", policy.MaxDocument>>20)

// failure turns an error into a status and what to say. What a person can mend is 4xx.
func failure(err error) (int, Error) {
	e := Error{Message: err.Error()}
	var problems engine.Problems
	switch {
	case errors.As(err, &problems):
		list := []string(problems)
		e.Message, e.Problems = "the policy cannot be used", &list
		return http.StatusUnprocessableEntity, e
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge, e
	case errors.Is(err, engine.ErrConflict):
		return http.StatusConflict, e
	case errors.Is(err, engine.ErrUnknownDevice):
		return http.StatusNotFound, e
	case errors.Is(err, engine.ErrBadQuestion):
		return http.StatusBadRequest, e
	}
	return http.StatusInternalServerError, e
}

// GetStatus answers with the router at a glance.
func (h *Handlers) GetStatus(context.Context, GetStatusRequestObject) (GetStatusResponseObject, error) {
	return GetStatus200JSONResponse(status(h.engine.Status())), nil
}

// ListLinks answers with every link and its history.
func (h *Handlers) ListLinks(context.Context, ListLinksRequestObject) (ListLinksResponseObject, error) {
	return ListLinks200JSONResponse(each(h.engine.Links(), link)), nil
}

// ListDevices answers with every device.
func (h *Handlers) ListDevices(context.Context, ListDevicesRequestObject) (ListDevicesResponseObject, error) {
	return ListDevices200JSONResponse(each(h.engine.Devices(), device)), nil
}

// ListFlows answers with running flows.
func (h *Handlers) ListFlows(_ context.Context, r ListFlowsRequestObject) (ListFlowsResponseObject, error) {
	p := r.Params
	f := engine.FlowFilter{Device: value(p.Device), Link: value(p.Link), App: value(p.App), Limit: value(p.Limit)}
	return ListFlows200JSONResponse(each(h.engine.Flows(f), flowOf)), nil
}

// GetWhy explains a flow.
func (h *Handlers) GetWhy(ctx context.Context, r GetWhyRequestObject) (GetWhyResponseObject, error) {
	p := r.Params
	proto, err := flow.ParseProto(value(p.Proto))
	if err != nil {
		return GetWhydefaultJSONResponse{StatusCode: http.StatusBadRequest, Body: Error{Message: err.Error()}}, nil
	}
	if proto == flow.ProtoAny {
		proto = flow.ProtoTCP
	}
	q := engine.Question{Device: p.Device, To: p.To, Proto: proto, At: value(p.At), DSCP: uint8(value(p.Dscp))}
	switch {
	case p.Port != nil:
		q.Port = uint16(*p.Port)
	case proto.HasPorts():
		q.Port = 443
	}
	a, err := h.engine.Why(ctx, q)
	if err != nil {
		code, body := failure(err)
		return GetWhydefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	return GetWhy200JSONResponse(answer(a)), nil
}

// GetPolicy answers with the policy in force.
func (h *Handlers) GetPolicy(context.Context, GetPolicyRequestObject) (GetPolicyResponseObject, error) {
	return GetPolicy200JSONResponse(policyOf(h.engine.Policy())), nil
}

// PutPolicy puts a policy in force.
func (h *Handlers) PutPolicy(ctx context.Context, r PutPolicyRequestObject) (PutPolicyResponseObject, error) {
	text, err := readPolicy(r.Body)
	if err == nil {
		var p engine.PolicyView
		if p, err = h.engine.SetPolicy(ctx, text, value(r.Params.By), value(r.Params.Version)); err == nil {
			return PutPolicy200JSONResponse(policyOf(p)), nil
		}
	}
	code, body := failure(err)
	return PutPolicydefaultJSONResponse{StatusCode: code, Body: body}, nil
}

// CheckPolicy checks a policy and changes nothing.
func (h *Handlers) CheckPolicy(ctx context.Context, r CheckPolicyRequestObject) (CheckPolicyResponseObject, error) {
	out := PolicyCheck{Problems: []string{}, Warnings: []string{}, Findings: []string{}, Changes: []Change{}}
	text, err := readPolicy(r.Body)
	if err != nil {
		code, body := failure(err)
		return CheckPolicydefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	compiled, warnings, changes, err := h.engine.CheckPolicy(ctx, text)
	var problems engine.Problems
	switch {
	case errors.As(err, &problems):
		out.Problems = problems
		return CheckPolicy200JSONResponse(out), nil
	case err != nil:
		code, body := failure(err)
		return CheckPolicydefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	for _, w := range warnings {
		out.Warnings = append(out.Warnings, w.String())
	}
	for _, f := range compiled.Findings() {
		out.Findings = append(out.Findings, f.Text)
	}
	out.Changes = Changes(changes)
	return CheckPolicy200JSONResponse(out), nil
}

// readPolicy reads what policy.Parse would read.
func readPolicy(body io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(body, policy.MaxDocument+1))
	if err != nil {
		return "", fmt.Errorf("reading the policy: %w", err)
	}
	if len(text) > policy.MaxDocument {
		// A client that is still sending when the connection is closed never sees the answer: take some more.
		_, _ = io.CopyN(io.Discard, body, policy.MaxDocument) // whatever comes of it, the answer is the same
		return "", errTooLarge
	}
	return string(text), nil
}

// Changes is a difference between two policies as the interface tells it.
func Changes(changes []policy.Change) []Change {
	return each(changes, func(c policy.Change) Change {
		return Change{
			What: ChangeWhat(c.Kind.String()), Entry: c.Entry, Id: c.ID, Name: c.Name,
			Fields: each(c.Fields, func(f policy.FieldChange) FieldChange {
				return FieldChange{Field: f.Field, Before: f.Before, After: f.After}
			}),
		}
	})
}

// ListEvents answers with what happened.
func (h *Handlers) ListEvents(_ context.Context, r ListEventsRequestObject) (ListEventsResponseObject, error) {
	limit := 100
	if r.Params.Limit != nil {
		limit = *r.Params.Limit
	}
	return ListEvents200JSONResponse(each(h.engine.Events(limit), event)), nil
}

// GetUsage answers with what was used; by default the last day by the hour.
func (h *Handlers) GetUsage(ctx context.Context, r GetUsageRequestObject) (GetUsageResponseObject, error) {
	p := r.Params
	q := store.UsageQuery{Resolution: store.Hour, To: time.Now(), By: store.Group{Time: true, Device: true, App: true, Link: true}}
	switch value(p.Span) {
	case Minute:
		q.Resolution = store.Minute
	case Day:
		q.Resolution = store.Day
	case Hour:
	}
	if p.To != nil {
		q.To = *p.To
	}
	q.From = q.To.Add(-24 * time.Hour)
	if p.From != nil {
		q.From = *p.From
	}
	if !q.From.Before(q.To) {
		return GetUsagedefaultJSONResponse{StatusCode: http.StatusBadRequest, Body: Error{Message: "from: must be earlier than to"}}, nil
	}
	list, err := h.engine.Usage(ctx, q)
	if err != nil {
		code, body := failure(err)
		return GetUsagedefaultJSONResponse{StatusCode: code, Body: body}, nil
	}
	return GetUsage200JSONResponse(each(list, usage)), nil
}
