package link

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// Change says that a link's state is another one.
type Change struct {
	ID       flow.LinkID
	Name     string
	From, To State
	At       time.Time
	Reason   string
}

// Snapshot is a link as people and steering see it.
type Snapshot struct {
	ID     flow.LinkID
	Name   string
	State  State
	Since  time.Time
	Reason string
	Stats
}

// Options are what a Monitor works with.
type Options struct {
	Sockets hal.Sockets
	Via     hal.Via // the link's device and mark
	Log     *slog.Logger
	// Assumed is the state until probes have spoken: Down, or Up for a link that carried flows when the daemon stopped.
	Assumed State
	// OnChange is called on the Run goroutine, without locks. It must not block for long: the next probe waits for it.
	OnChange func(Change)
	// Received reads the device's count of received packets, 0 when it is not known. May be nil.
	Received func() uint64
}

// Monitor watches one link: it sends the probes that its Machine asks for and tells changes of state.
type Monitor struct {
	config  Config
	options Options
	wake    chan struct{} // capacity 1: the machine has been told something

	mu      sync.Mutex
	prober  Prober
	machine *Machine
	told    State // last state given to OnChange
}

// NewMonitor makes the monitor of a link. It fails when the probes cannot be as configured.
func NewMonitor(c Config, o Options) (*Monitor, error) {
	c.Probes = c.Probes.WithDefaults()
	if err := c.Probes.Validate(); err != nil {
		return nil, fmt.Errorf("link %s: %w", c.Name, err)
	}
	if o.Received == nil {
		o.Received = func() uint64 { return 0 }
	}
	return &Monitor{
		config:  c,
		options: o,
		prober:  Prober{Sockets: o.Sockets, Via: o.Via},
		wake:    make(chan struct{}, 1),
		machine: NewMachine(c.Probes, o.Assumed, time.Now()),
		told:    o.Assumed,
	}, nil
}

// String names the task.
func (m *Monitor) String() string { return "link " + m.config.Name }

// SetPhysical takes in carrier and addresses; a loss acts at once. Several tasks learn of them and may call it side by side: read is
// called under the monitor's lock, so that what was read last counts. It must not call the monitor.
func (m *Monitor) SetPhysical(read func() Physical) {
	m.tell(func(now time.Time) { m.machine.SetPhysical(now, read()) })
}

// SetIdle says whether no new flow takes the link at present. A well and idle link is probed rarely, which spares metered data; when
// it is needed again, it is looked at once.
func (m *Monitor) SetIdle(idle bool) {
	m.tell(func(time.Time) { m.machine.SetIdle(idle) })
}

// SetVia leads the probes over another device: the link's hardware was plugged in, or is another one.
func (m *Monitor) SetVia(v hal.Via) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.prober.Via = v
}

func (m *Monitor) tell(f func(now time.Time)) {
	m.mu.Lock()
	f(time.Now())
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default: // Run has not taken the last one yet and will see both
	}
}

// Snapshot is the link at present.
func (m *Monitor) Snapshot() Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.machine.Verdict()
	return Snapshot{ID: m.config.ID, Name: m.config.Name, State: v.State, Since: v.Since, Reason: v.Reason, Stats: m.machine.Stats()}
}

// History copies the probes of the last five minutes and the sums by the minute of the last day.
func (m *Monitor) History() ([]Sample, []Minute) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.history.Samples(time.Now()), m.machine.history.Minutes()
}

// answer is a Result on its way from a probe to the machine.
type answer struct {
	round  uint64
	result Result
}

// Run probes until the context ends, and returns when its last probe has. It is called once.
func (m *Monitor) Run(ctx context.Context) error {
	answers := make(chan answer)
	var probes sync.WaitGroup
	defer probes.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-answers:
			m.mu.Lock()
			m.machine.Done(time.Now(), a.round, a.result, m.options.Received())
			m.mu.Unlock()
			m.logResult(a.result)
		case <-m.wake:
		case <-timer.C:
		}
		m.announce()
		round, targets := m.due()
		for _, t := range targets {
			probes.Go(func() { m.probe(ctx, round, t, answers) })
		}
		if at, ok := m.next(); ok {
			timer.Reset(time.Until(at))
		} else {
			timer.Stop()
		}
	}
}

// due begins a round if it is time for one.
func (m *Monitor) due() (uint64, []Target) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if at, ok := m.machine.Next(now); !ok || at.After(now) {
		return 0, nil
	}
	return m.machine.Begin(now, m.options.Received())
}

func (m *Monitor) next() (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.Next(time.Now())
}

func (m *Monitor) probe(ctx context.Context, round uint64, t Target, answers chan<- answer) {
	probe, cancel := context.WithTimeout(ctx, m.config.Probes.Timeout)
	defer cancel()
	m.mu.Lock()
	prober := m.prober
	m.mu.Unlock()
	res := prober.Probe(probe, t)
	if res.Err != nil && probe.Err() == nil && !m.pause(probe) {
		return
	}
	select {
	case answers <- answer{round, res}:
	case <-ctx.Done():
	}
}

// pause lets a probe that failed at once (no route, refused) fail when its time is over: an error of a moment, as
// a route is replaced, must not bring a link down faster than silence does. It is false when the monitor ends.
func (m *Monitor) pause(probe context.Context) bool {
	<-probe.Done()
	return probe.Err() == context.DeadlineExceeded
}

// announce tells a change of state.
func (m *Monitor) announce() {
	m.mu.Lock()
	v, from := m.machine.Verdict(), m.told
	m.told = v.State
	m.mu.Unlock()
	if v.State == from {
		return
	}
	m.options.Log.Info("link "+v.State.String(), "link", m.config.Name, "was", from.String(), "reason", v.Reason)
	if m.options.OnChange != nil {
		m.options.OnChange(Change{ID: m.config.ID, Name: m.config.Name, From: from, To: v.State, At: v.Since, Reason: v.Reason})
	}
}

func (m *Monitor) logResult(r Result) {
	if r.Err != nil {
		m.options.Log.Debug("probe failed", "link", m.config.Name, "target", r.Target.String(), "error", r.Err)
	}
}
