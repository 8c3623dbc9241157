package link

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

var wan = hal.Via{Device: "wan1", Mark: flow.LinkID(3).Mark()}

// wire is a hal.Sockets whose far end answers pings after 20 ms while it lives.
type wire struct {
	dead   atomic.Bool
	broken atomic.Bool // fails at once, as without a route
	pings  atomic.Int64
	open   atomic.Int64
	astray atomic.Bool // a probe took another way
}

func (w *wire) Ping(ctx context.Context, via hal.Via, to netip.Addr) (time.Duration, error) {
	w.open.Add(1)
	defer w.open.Add(-1)
	w.pings.Add(1)
	w.astray.Store(w.astray.Load() || via != wan)
	if w.broken.Load() {
		return 0, hal.ErrNotFound
	}
	if w.dead.Load() {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	select {
	case <-time.After(20 * ms):
		return 20 * ms, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (w *wire) Dial(ctx context.Context, _ hal.Via, _ string, _ netip.AddrPort) (hal.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// watch runs a monitor in a bubble of virtual time.
func watch(t *testing.T, w *wire, assumed State, f func(m *Monitor, changes func() []string)) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		start := time.Now()
		m, err := NewMonitor(Config{Name: "fiber", ID: 3, Probes: Probes{Targets: []Target{pingA, pingB}}}, Options{
			Sockets: w, Via: wan, Log: slog.New(slog.DiscardHandler), Assumed: assumed,
			OnChange: func(c Change) {
				if c.ID != 3 || c.Name != "fiber" || c.Reason == "" {
					t.Errorf("%+v", c)
				}
				log = append(log, time.Since(start).Round(10*ms).String()+" "+c.From.String()+">"+c.To.String())
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		f(m, func() []string { synctest.Wait(); return log })
		if w.astray.Load() {
			t.Errorf("a probe did not go via %+v", wan)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := w.open.Load(); n != 0 {
			t.Errorf("%d probes outlive the monitor", n)
		}
	})
}

func TestMonitorFollowsTheLine(t *testing.T) {
	w := &wire{}
	watch(t, w, Down, func(m *Monitor, changes func() []string) {
		time.Sleep(10*sec + 500*ms)
		w.dead.Store(true)
		time.Sleep(20 * sec)
		w.dead.Store(false)
		time.Sleep(20 * sec)
		log := changes()
		if len(log) != 3 || log[0] != "20ms down>up" || !strings.HasSuffix(log[1], " up>down") || !strings.HasSuffix(log[2], " down>up") {
			t.Fatalf("changes %q", log)
		}
		for i, limit := range []time.Duration{0, 10*sec + 500*ms + m.config.Probes.Detection(), 30*sec + 500*ms + 4*sec} {
			word, _, _ := strings.Cut(log[i], " ")
			if at, err := time.ParseDuration(word); err != nil || i > 0 && at > limit {
				t.Errorf("change %q is later than %s (%v)", log[i], limit, err)
			}
		}
		s := m.Snapshot()
		if s.State != Up || s.RTT != 20*ms || s.Jitter != 0 || s.Loss == 0 || time.Since(s.Since) < 15*sec {
			t.Errorf("snapshot %+v", s)
		}
		samples, minutes := m.History()
		if len(samples) < 40 || len(minutes) == 0 || minutes[0].Min != 20*ms || minutes[0].Lost == 0 {
			t.Errorf("%d samples, minutes %+v", len(samples), minutes)
		}
	})
}

func TestMonitorActsOnCarrierAtOnce(t *testing.T) {
	w := &wire{}
	watch(t, w, Up, func(m *Monitor, changes func() []string) {
		time.Sleep(10*sec + 500*ms)
		m.SetPhysical(func() Physical { return Physical{IPv4: true, IPv6: true} })
		if diff := cmp.Diff([]string{"10.5s up>down"}, changes()); diff != "" {
			t.Error(diff)
		}
		sent := w.pings.Load()
		time.Sleep(time.Minute)
		if n := w.pings.Load() - sent; n != 0 {
			t.Errorf("%d probes without carrier", n)
		}
		m.SetPhysical(func() Physical { return Physical{Carrier: true, IPv4: true} })
		time.Sleep(3 * sec)
		if diff := cmp.Diff([]string{"10.5s up>down", "1m12.52s down>up"}, changes()); diff != "" {
			t.Error(diff)
		}
	})
}

// Two tasks tell of the link: the one that read first is held up before it tells, and what the other read still counts.
func TestMonitorKeepsWhatWasReadLast(t *testing.T) {
	m, err := NewMonitor(Config{Name: "lte", Probes: Probes{Targets: []Target{mustTarget("icmp:192.0.2.1")}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan struct{})
	m.SetPhysical(func() Physical {
		go func() {
			m.SetPhysical(func() Physical { return Physical{Carrier: true, IPv4: true} })
			close(told)
		}()
		select {
		case <-told:
		case <-time.After(100 * ms): // the other one waits for us, as it should
		}
		return Physical{Carrier: true}
	})
	<-told
	if s := m.Snapshot(); !strings.Contains(s.Reason, "no probe has been answered yet") {
		t.Errorf("the link with an address is %v: %s", s.State, s.Reason)
	}
}

// An error at once must neither spin nor bring the link down faster than silence.
func TestMonitorIsPatientWithErrors(t *testing.T) {
	w := &wire{}
	watch(t, w, Up, func(m *Monitor, changes func() []string) {
		time.Sleep(10*sec + 900*ms)
		w.broken.Store(true)
		time.Sleep(700 * ms)
		w.broken.Store(false)
		time.Sleep(10 * sec)
		if log := changes(); len(log) != 0 {
			t.Errorf("a moment without a route: %q", log)
		}
		w.broken.Store(true)
		sent := w.pings.Load()
		time.Sleep(10 * sec)
		if n := w.pings.Load() - sent; n > 30 {
			t.Errorf("%d probes in ten seconds", n)
		}
		if log := changes(); len(log) != 1 || !strings.HasSuffix(log[0], "up>down") {
			t.Errorf("%q", log)
		}
	})
}

func TestMonitorIdle(t *testing.T) {
	w := &wire{}
	watch(t, w, Down, func(m *Monitor, changes func() []string) {
		m.SetIdle(true)
		time.Sleep(10 * time.Minute)
		if n := w.pings.Load(); n > 75 {
			t.Errorf("%d probes in ten idle minutes", n)
		}
		w.dead.Store(true)
		time.Sleep(5 * sec)
		m.SetIdle(false)
		time.Sleep(3 * sec)
		if log := changes(); len(log) != 2 {
			t.Errorf("%q: an idle link that died is in use 3 s after it was needed", log)
		}
	})
}

func TestNewMonitorRefuses(t *testing.T) {
	for right, p := range map[string]Probes{
		"no targets":      {},
		"interval":        {Targets: four, Interval: ms},
		"timeout":         {Targets: four, Timeout: time.Hour},
		"fail count":      {Targets: four, FailCount: -1},
		"bad loss":        {Targets: four, BadLoss: 2},
		"longest hold":    {Targets: four, Hold: sec, MaxHold: ms},
		"idle interval":   {Targets: four, Idle: 10 * ms},
		"number of targe": {Targets: make([]Target, 17)},
	} {
		_, err := NewMonitor(Config{Name: "fiber", Probes: p}, Options{})
		if err == nil || !strings.Contains(err.Error(), right) || !strings.Contains(err.Error(), "link fiber") {
			t.Errorf("%s: %v", right, err)
		}
	}
}
