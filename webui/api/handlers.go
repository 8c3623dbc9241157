package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/trenza-router/trenza/router/backup"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
	"github.com/trenza-router/trenza/router/support"
	"github.com/trenza-router/trenza/webui/auth"
	"github.com/trenza-router/trenza/webui/localca"
)

// Handlers answers the interface's requests from the engine.
type Handlers struct {
	engine  *engine.Engine
	auth    *auth.Service
	store   *store.Store
	log     *slog.Logger
	ca      *localca.Authority
	tlsPort int
	drafts  drafts
	backups *backup.Keeper
	recent  *support.Recent
	closed  <-chan struct{} // ends the live streams
	streams chan struct{}   // one entry for each live stream

	answering sync.Mutex // one request of a member is answered at a time
}

// Options are what Handlers are made of. All fields but the last three are required.
type Options struct {
	Engine  *engine.Engine
	Auth    *auth.Service
	Store   *store.Store
	Backups *backup.Keeper
	Log     *slog.Logger
	Closed  <-chan struct{} // closing it ends the live streams
	// Recent are the latest lines of the log, for who helps; nil: there are none.
	Recent *support.Recent
	// Authority is whose certificate the page has with TLS on TLSPort; nil when it has none.
	Authority *localca.Authority
	TLSPort   int
}

// maxStreams is how many may watch at once: more than a household has screens.
const maxStreams = 64

// NewHandlers answers requests that have passed Register's checks.
func NewHandlers(o Options) *Handlers {
	return &Handlers{engine: o.Engine, auth: o.Auth, store: o.Store, log: o.Log, ca: o.Authority, tlsPort: o.TLSPort,
		backups: o.Backups, recent: o.Recent, closed: o.Closed, streams: make(chan struct{}, maxStreams)}
}

// TLSPort is where the page is with TLS; 0 for nowhere.
func (h *Handlers) TLSPort() int { return h.tlsPort }

var _ StrictServerInterface = (*Handlers)(nil)

// GetStatus answers with the router at a glance.
func (h *Handlers) GetStatus(ctx context.Context, _ GetStatusRequestObject) (GetStatusResponseObject, error) {
	return GetStatus200JSONResponse(status(h.sight(ctx).status(h.engine.Status()))), nil
}

// ListLinks answers with every link and its history.
func (h *Handlers) ListLinks(ctx context.Context, _ ListLinksRequestObject) (ListLinksResponseObject, error) {
	return ListLinks200JSONResponse(each(h.sight(ctx).links(h.engine.Links()), link)), nil
}

// ListDevices answers with every device that the asker may see.
func (h *Handlers) ListDevices(ctx context.Context, _ ListDevicesRequestObject) (ListDevicesResponseObject, error) {
	return ListDevices200JSONResponse(each(h.sight(ctx).deviceViews(h.engine.Devices()), device)), nil
}

// ListFlows answers with running flows.
func (h *Handlers) ListFlows(ctx context.Context, r ListFlowsRequestObject) (ListFlowsResponseObject, error) {
	p := r.Params
	f := engine.FlowFilter{Device: value(p.Device), Link: value(p.Link), App: value(p.App), Limit: value(p.Limit)}
	return ListFlows200JSONResponse(each(h.sight(ctx).flows(f), flowOf)), nil
}

// GetWhy explains a flow.
func (h *Handlers) GetWhy(ctx context.Context, r GetWhyRequestObject) (GetWhyResponseObject, error) {
	p := r.Params
	proto, err := flow.ParseProto(value(p.Proto))
	if err != nil {
		return nil, invalid("proto: %v", err)
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
	// A device of others is answered like one that does not exist: even that it exists is not theirs to know.
	if see := h.sight(ctx); err == nil && !see.device(a.Device.ID) || !see.all && errors.Is(err, engine.ErrUnknownDevice) {
		return nil, fmt.Errorf("%w: you have no device %q", engine.ErrUnknownDevice, q.Device)
	}
	if err != nil {
		return nil, err
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
	if err != nil {
		return nil, err
	}
	if err := h.mayChange(); err != nil {
		return nil, err
	}
	before := h.engine.PolicyInForce()
	p, err := h.engine.SetPolicy(ctx, text, author(ctx, value(r.Params.By)), value(r.Params.Version))
	if err != nil {
		return nil, err
	}
	h.recordPolicy(ctx, "policy.set", fmt.Sprintf("version %d", p.Version), before)
	return PutPolicy200JSONResponse(policyOf(p)), nil
}

// author is who changes something: who signed in. Only the command line on the router may speak for another.
func author(ctx context.Context, stated string) string {
	p := auth.Of(ctx)
	if p.Root && stated != "" {
		return stated
	}
	return p.Name
}

// CheckPolicy checks a policy and changes nothing.
func (h *Handlers) CheckPolicy(ctx context.Context, r CheckPolicyRequestObject) (CheckPolicyResponseObject, error) {
	out := PolicyCheck{Problems: []string{}, Warnings: []string{}, Findings: []string{}, Changes: []Change{}}
	text, err := readPolicy(r.Body)
	if err != nil {
		return nil, err
	}
	compiled, warnings, changes, err := h.engine.CheckPolicy(ctx, text)
	var problems engine.Problems
	switch {
	case errors.As(err, &problems):
		out.Problems = problems
		return CheckPolicy200JSONResponse(out), nil
	case err != nil:
		return nil, err
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
func (h *Handlers) ListEvents(ctx context.Context, r ListEventsRequestObject) (ListEventsResponseObject, error) {
	limit := 100
	if r.Params.Limit != nil {
		limit = *r.Params.Limit
	}
	return ListEvents200JSONResponse(each(h.sight(ctx).events(limit), event)), nil
}

// groups is what usage is told apart by: everything, unless the question says less.
func groups(by *[]GetUsageParamsBy) store.Group {
	if by == nil {
		return store.Group{Time: true, Device: true, App: true, Link: true}
	}
	var g store.Group
	for _, b := range *by {
		switch b {
		case GetUsageParamsByTime:
			g.Time = true
		case GetUsageParamsByDevice:
			g.Device = true
		case GetUsageParamsByApp:
			g.App = true
		case GetUsageParamsByLink:
			g.Link = true
		}
	}
	return g
}

// GetUsage answers with what was used; by default the last day by the hour.
func (h *Handlers) GetUsage(ctx context.Context, r GetUsageRequestObject) (GetUsageResponseObject, error) {
	p := r.Params
	q := store.UsageQuery{Resolution: store.Hour, To: time.Now(), Device: value(p.Device), Link: value(p.Link), By: groups(p.By)}
	switch value(p.Span) {
	case GetUsageParamsSpanMinute:
		q.Resolution = store.Minute
	case GetUsageParamsSpanDay:
		q.Resolution = store.Day
	case GetUsageParamsSpanHour:
	}
	if p.To != nil {
		q.To = *p.To
	}
	q.From = q.To.Add(-24 * time.Hour)
	if p.From != nil {
		q.From = *p.From
	}
	if !q.From.Before(q.To) {
		return nil, invalid("from: must be earlier than to")
	}
	sight := h.sight(ctx)
	if !sight.all {
		q.By.Device = true // what a member may see is told by the device
	}
	list, err := h.engine.Usage(ctx, q)
	if err != nil {
		return nil, err
	}
	return GetUsage200JSONResponse(each(sight.usage(list), usage)), nil
}
