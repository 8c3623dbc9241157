package api

import (
	"context"
	"time"

	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/loadtest"
)

// ListLoadTests answers with the test that runs and those before it.
func (h *Handlers) ListLoadTests(context.Context, ListLoadTestsRequestObject) (ListLoadTestsResponseObject, error) {
	now, past := h.engine.LoadTests()
	out := LoadTests{Past: each(past, loadTestOf)}
	if now != nil {
		t := loadTestOf(*now)
		out.Now = &t
	}
	return ListLoadTests200JSONResponse(out), nil
}

// StartLoadTest begins a test.
func (h *Handlers) StartLoadTest(ctx context.Context, r StartLoadTestRequestObject) (StartLoadTestResponseObject, error) {
	b := value(r.Body)
	t, err := h.engine.StartLoadTest(engine.LoadTestQuery{Link: b.Link, Server: b.Server, Upload: value(b.Upload),
		Length: time.Duration(value(b.Seconds)) * time.Second, Costs: value(b.Costs)})
	if err != nil {
		return nil, err
	}
	h.record(ctx, "qos.test", t.Link, "", t.Server)
	return StartLoadTest202JSONResponse(loadTestOf(t)), nil
}

// StopLoadTest ends the test that runs.
func (h *Handlers) StopLoadTest(context.Context, StopLoadTestRequestObject) (StopLoadTestResponseObject, error) {
	if err := h.engine.StopLoadTest(); err != nil {
		return nil, err
	}
	return StopLoadTest204Response{}, nil
}

func loadTestOf(t engine.LoadTest) LoadTest {
	r := t.Result
	out := LoadTest{
		Link: t.Link, Server: t.Server, At: t.At, State: LoadTestState(t.State), Problem: some(t.Problem),
		ShapedDown: whole(t.ShapedDown), ShapedUp: whole(t.ShapedUp), Grade: r.Grade, Probes: r.Probes,
		Idle: loadPhase(r.Idle), Down: loadPhase(r.Down), Up: loadPhase(r.Up),
		Points: each(r.Points, func(p loadtest.Point) LoadPoint {
			return LoadPoint{AtMs: ms(p.At), Phase: LoadPointPhase(p.Phase), Rate: whole(p.Rate), DelayMs: ms(p.Delay), WorstMs: ms(p.Worst), Lost: p.Lost}
		}),
	}
	if r.Grade != "" {
		out.AddedMs = ms(r.Added())
	}
	return out
}

func loadPhase(l loadtest.Load) LoadPhase {
	return LoadPhase{Rate: whole(l.Rate), MedianMs: ms(l.Median), P95Ms: ms(l.P95), Pings: l.Pings, Lost: l.LostPart}
}
