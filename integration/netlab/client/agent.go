package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// Agent is a LAN host's client process. Its methods are those of Client. It is safe for concurrent use.
type Agent struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed when the process has ended and its output is read

	// Writes have their own lock: reading goes on while a write waits for room in the pipe, so both ends never wait
	// for each other.
	writing sync.Mutex

	mu   sync.Mutex
	stop func() bool
	next uint64
	open map[uint64]*call
	why  error // set when ended
}

// call is a job that is under way. Its replies are handed over in order; done is closed after the last.
type call struct {
	progress func(json.RawMessage)
	reply    Reply
	done     chan struct{}
}

// How long an agent may take to end, and a cancelled job to hand over what it reached.
const (
	closeWait  = 5 * time.Second
	cancelWait = 5 * time.Second
)

// ErrEnded says that the agent's process is no more.
var ErrEnded = errors.New("the host's agent has ended")

// Start starts cmd, whose process must come to call Serve with its standard input and output, and returns when it is
// ready. The agent ends with Close, or when ctx ends. Its standard error is the caller's to set.
func Start(ctx context.Context, cmd *exec.Cmd, env Env) (*Agent, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start agent: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start agent: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start agent: %w", err)
	}
	a := &Agent{cmd: cmd, stdin: stdin, ended: make(chan struct{}), open: make(map[uint64]*call)}
	go a.read(stdout)
	a.mu.Lock()
	a.stop = context.AfterFunc(ctx, func() { _ = a.Close() })
	a.mu.Unlock()
	if _, err := do[struct{}](ctx, a, KindSetup, env, ignore); err != nil {
		return nil, fmt.Errorf("start agent: %w", errors.Join(err, a.Close()))
	}
	return a, nil
}

// Close ends the agent and all its jobs, and waits for the process. Closing twice is fine.
func (a *Agent) Close() error {
	a.mu.Lock()
	stop := a.stop
	a.mu.Unlock()
	if stop != nil {
		stop()
	}
	_ = a.stdin.Close() // closed already, or the process is gone: either is the aim
	select {
	case <-a.ended:
	case <-time.After(closeWait):
		_ = a.cmd.Process.Kill()
		<-a.ended
		return fmt.Errorf("the agent did not end within %v and was killed", closeWait)
	}
	if exit := new(exec.ExitError); errors.As(a.why, &exit) {
		return a.why
	}
	return nil
}

// Ended is closed when the process has ended.
func (a *Agent) Ended() <-chan struct{} { return a.ended }

// read hands replies to their calls until the process ends.
func (a *Agent) read(stdout io.Reader) {
	lines := json.NewDecoder(stdout)
	var failed error
	for {
		var r Reply
		if failed = lines.Decode(&r); failed != nil {
			break
		}
		a.mu.Lock()
		c := a.open[r.ID]
		if c != nil && r.Event == Done {
			delete(a.open, r.ID)
		}
		a.mu.Unlock()
		switch {
		case c == nil:
		case r.Event == Done:
			c.reply = r
			close(c.done)
		case c.progress != nil:
			c.progress(r.Data)
		}
	}
	if !errors.Is(failed, io.EOF) {
		// Not our protocol: whatever runs there must not block on a full pipe.
		_ = a.cmd.Process.Kill()
	}
	why := a.cmd.Wait()
	if why == nil && !errors.Is(failed, io.EOF) {
		why = failed
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.why = why
	close(a.ended)
}

// do runs one job and decodes its result. When ctx ends it cancels the job and returns what that had reached, with ctx's
// error. The progress function runs on the agent's reading goroutine: it must be quick and start no job itself.
func do[R, A, P any](ctx context.Context, a *Agent, kind Kind, args A, progress func(P)) (R, error) {
	var result R
	raw, err := encode(args)
	if err != nil {
		return result, err
	}
	c := &call{done: make(chan struct{})}
	if progress != nil {
		c.progress = func(data json.RawMessage) {
			var p P
			if json.Unmarshal(data, &p) == nil {
				progress(p)
			}
		}
	}
	a.mu.Lock()
	a.next++
	id := a.next
	a.open[id] = c
	a.mu.Unlock()
	if err := a.write(Job{ID: id, Kind: kind, Args: raw}); err != nil {
		a.forget(id)
		return result, fmt.Errorf("%s: %w: %w", kind, ErrEnded, err)
	}
	var canceled error
	select {
	case <-c.done:
	case <-a.ended:
	case <-ctx.Done():
		canceled = ctx.Err()
		_ = a.write(Job{ID: id, Kind: KindCancel}) // a process that is gone is cancelled
		select {
		case <-c.done:
		case <-a.ended:
		case <-time.After(cancelWait):
		}
	}
	select {
	case <-c.done: // also when the process ended right after it
	default:
		a.forget(id)
		if canceled != nil {
			return result, fmt.Errorf("%s: %w", kind, canceled)
		}
		return result, fmt.Errorf("%s: %w: %w", kind, ErrEnded, a.reason())
	}
	if len(c.reply.Data) > 0 {
		if err := json.Unmarshal(c.reply.Data, &result); err != nil {
			return result, fmt.Errorf("%s: decode result: %w", kind, err)
		}
	}
	switch {
	case c.reply.Error == "":
		return result, nil
	case canceled != nil:
		return result, fmt.Errorf("%s: %w", kind, canceled)
	default:
		return result, &Error{Text: fmt.Sprintf("%s: %s", kind, c.reply.Error), Cause: c.reply.Cause}
	}
}

func (a *Agent) write(job Job) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	return json.NewEncoder(a.stdin).Encode(job)
}

func (a *Agent) forget(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, id)
}

func (a *Agent) reason() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.why != nil {
		return a.why
	}
	return errors.New("its process ended without an error")
}

// Resolve asks the host's resolver one question.
func (a *Agent) Resolve(ctx context.Context, job Resolve) (Resolved, error) {
	return do[Resolved](ctx, a, KindResolve, job, ignore)
}

// HTTP makes one request; HTTPS unless job.Plain.
func (a *Agent) HTTP(ctx context.Context, job HTTP, progress func(Moved)) (HTTPAnswer, error) {
	return do[HTTPAnswer](ctx, a, KindHTTP, job, progress)
}

// Connect opens one TCP connection or sends one datagram.
func (a *Agent) Connect(ctx context.Context, job Connect) (Connected, error) {
	return do[Connected](ctx, a, KindConnect, job, ignore)
}

// Flood opens many connections and counts the sources that the server saw.
func (a *Agent) Flood(ctx context.Context, job Flood, progress func(Flooded)) (Flooded, error) {
	return do[Flooded](ctx, a, KindFlood, job, progress)
}

// Transfer moves one checked stream.
func (a *Agent) Transfer(ctx context.Context, job Transfer, progress func(Moved)) (Transferred, error) {
	return do[Transferred](ctx, a, KindTransfer, job, progress)
}

// Ticks runs an echo or game loop.
func (a *Agent) Ticks(ctx context.Context, job Ticks, progress func(Ticked)) (Ticked, error) {
	return do[Ticked](ctx, a, KindTicks, job, progress)
}

// Ping sends ICMP echo requests.
func (a *Agent) Ping(ctx context.Context, job Ping) (Pinged, error) {
	return do[Pinged](ctx, a, KindPing, job, ignore)
}

// Exec runs a program.
func (a *Agent) Exec(ctx context.Context, job Exec) (Executed, error) {
	return do[Executed](ctx, a, KindExec, job, ignore)
}

// Curl makes a request with the curl program.
func (a *Agent) Curl(ctx context.Context, job Curl) (Executed, error) {
	return do[Executed](ctx, a, KindCurl, job, ignore)
}

// ignore is the progress function of jobs that report none.
func ignore(struct{}) {}
