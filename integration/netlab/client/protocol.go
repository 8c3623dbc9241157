package client

import (
	"context"
	"encoding/json"
	"fmt"
)

// Job is one line to an agent.
type Job struct {
	// ID is chosen by the sender, unique among the open jobs. For a cancel it is the job to end.
	ID   uint64          `json:"id"`
	Kind Kind            `json:"kind"`
	Args json.RawMessage `json:"args,omitempty"`
}

// Kind names what a job does.
type Kind string

// The kinds of jobs and the type of their arguments.
const (
	KindSetup    Kind = "setup"  // Env; the first job, answered when the agent is ready
	KindCancel   Kind = "cancel" // none, and no answer of its own
	KindResolve  Kind = "resolve"
	KindHTTP     Kind = "http"
	KindConnect  Kind = "connect"
	KindFlood    Kind = "flood"
	KindTransfer Kind = "transfer"
	KindTicks    Kind = "ticks"
	KindPing     Kind = "ping"
	KindExec     Kind = "exec"
	KindCurl     Kind = "curl"
)

// Reply is one line from an agent.
type Reply struct {
	ID uint64 `json:"id"`
	// Event is "progress" or "done".
	Event Event `json:"event"`
	// Data is the progress or the result; a failed job may have both a result, of what it reached, and an error.
	Data  json.RawMessage `json:"data,omitempty"`
	Error string          `json:"error,omitempty"`
	Cause Cause           `json:"cause,omitempty"`
}

// Event is the kind of a reply.
type Event string

// The events.
const (
	Progress Event = "progress"
	Done     Event = "done"
)

// runner does one job, given its arguments as they came.
type runner func(ctx context.Context, args json.RawMessage, progress func(any)) (any, error)

// runners are all jobs of a client but setup and cancel.
func (c *Client) runners() map[Kind]runner {
	return map[Kind]runner{
		KindResolve:  quiet(c.Resolve),
		KindHTTP:     telling(c.HTTP),
		KindConnect:  quiet(c.Connect),
		KindFlood:    telling(c.Flood),
		KindTransfer: telling(c.Transfer),
		KindTicks:    telling(c.Ticks),
		KindPing:     quiet(c.Ping),
		KindExec:     quiet(c.Exec),
		KindCurl:     quiet(c.Curl),
	}
}

// telling makes a runner of a method that reports progress, quiet of one that does not.
func telling[A, R, P any](run func(context.Context, A, func(P)) (R, error)) runner {
	return func(ctx context.Context, args json.RawMessage, progress func(any)) (any, error) {
		var a A
		if err := json.Unmarshal(args, &a); err != nil {
			return nil, badJob("arguments: %v", err)
		}
		return run(ctx, a, func(p P) { progress(p) })
	}
}

func quiet[A, R any](run func(context.Context, A) (R, error)) runner {
	return telling(func(ctx context.Context, a A, _ func(struct{})) (R, error) { return run(ctx, a) })
}

func encode(v any) (json.RawMessage, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}
