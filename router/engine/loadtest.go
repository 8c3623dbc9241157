package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/trenza-router/trenza/router/link"
	"github.com/trenza-router/trenza/router/loadtest"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/qos"
	"github.com/trenza-router/trenza/router/store"
)

// LoadTestQuery says which link is to be tested against what.
type LoadTestQuery struct {
	Link   string
	Server string        // address of what is downloaded: http or https
	Upload string        // where uploads are posted; "": to Server, if it says that it takes them
	Length time.Duration // of each load; 0: loadTestLength
	// Costs: whoever asks knows that the link's data costs, or is limited.
	Costs bool
}

// Lengths of a test's phases.
const (
	loadTestIdle   = 3 * time.Second
	loadTestLength = 10 * time.Second
	MinLoadTest    = 2 * time.Second
	MaxLoadTest    = time.Minute
	// loadStreams fill a link that one connection cannot.
	loadStreams = 4
	// keptLoadTests is how many tests of all links are remembered, and keptPoints of how many of them every quarter of a second.
	keptLoadTests, keptPoints = 100, 20
)

const loadTestKey = "qos/tests"

var (
	// ErrLoadTest: there is one test at a time.
	ErrLoadTest = errors.New("another test runs: wait for its end, or stop it")
	// ErrCosts: the link's data costs or is limited, and nobody has said that it may be spent.
	ErrCosts = errors.New("a test moves as much data as the link can carry")
	// ErrNoLoadTest: there is none to stop.
	ErrNoLoadTest = errors.New("no test runs")
)

// States of a LoadTest.
const (
	LoadTestRuns    = "running"
	LoadTestDone    = "done"
	LoadTestFailed  = "failed"
	LoadTestStopped = "stopped"
)

// LoadTest is a test of a link: of what is under way the points until now.
type LoadTest struct {
	Link       string          `json:"link"`
	Server     string          `json:"server"` // without a password that may have stood in it
	At         time.Time       `json:"at"`     // its begin
	State      string          `json:"state"`
	Problem    string          `json:"problem,omitempty"` // of a test that failed
	ShapedDown uint64          `json:"shaped_down"`       // bit/s, at its begin; 0: not shaped
	ShapedUp   uint64          `json:"shaped_up"`
	Result     loadtest.Result `json:"result"`
}

// loadTests are the test that runs and those before it.
type loadTests struct {
	wanted chan loadTestOrder // capacity 1: of the one that runs

	mu   sync.Mutex
	now  *LoadTest // nil: none runs
	stop context.CancelFunc
	past []LoadTest // the newest first
}

type loadTestOrder struct {
	ctx            context.Context //nolint:containedctx // an order that waits can be called off
	wan            *wan
	server, upload *url.URL
	length         time.Duration
}

func newLoadTests() *loadTests { return &loadTests{wanted: make(chan loadTestOrder, 1)} }

// StartLoadTest begins a test, whose progress and end LoadTests tells.
func (e *Engine) StartLoadTest(q LoadTestQuery) (LoadTest, error) {
	order := loadTestOrder{length: q.Length}
	i := slices.IndexFunc(e.wans, func(w *wan) bool { return w.config.Name == q.Link })
	if i < 0 {
		return LoadTest{}, fmt.Errorf("%w: there is no link %q", ErrBadQuestion, q.Link)
	}
	order.wan = e.wans[i]
	if order.length == 0 {
		order.length = loadTestLength
	}
	if order.length < MinLoadTest || order.length > MaxLoadTest {
		return LoadTest{}, fmt.Errorf("%w: a load of %s: use %s to %s", ErrBadQuestion, order.length, MinLoadTest, MaxLoadTest)
	}
	var err error
	if order.server, err = testAddress(q.Server); err != nil {
		return LoadTest{}, err
	}
	if q.Upload != "" {
		if order.upload, err = testAddress(q.Upload); err != nil {
			return LoadTest{}, err
		}
	}
	if err := e.mayTest(order.wan, q.Costs); err != nil {
		return LoadTest{}, err
	}
	test := LoadTest{Link: q.Link, Server: order.server.Redacted(), At: e.now(), State: LoadTestRuns}
	if l := slices.IndexFunc(e.shapedLinks(), func(l qos.Link) bool { return l.ID == order.wan.config.ID }); l >= 0 {
		rates := e.capacity(order.wan)
		test.ShapedDown, test.ShapedUp = uint64(rates.Down), uint64(rates.Up)
	}
	t := e.tests
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != nil {
		return LoadTest{}, ErrLoadTest
	}
	order.ctx, t.stop = context.WithCancel(context.Background())
	t.now = &test
	t.wanted <- order // has room: there is one test at a time
	return test, nil
}

// testAddress reads the address of a test's server.
func testAddress(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("%w: a test needs the address of a server, as in http://server.example:8088/; \"trenza qos serve\" runs one", ErrBadQuestion)
	}
	return u, nil
}

// mayTest tells why a link is not to be tested now.
func (e *Engine) mayTest(w *wan, costs bool) error {
	if !w.monitor.Snapshot().State.Usable() {
		return fmt.Errorf("%w: %s carries nothing now", ErrBadQuestion, w.config.Name)
	}
	w.mu.Lock()
	spent, metered := w.level == link.Spent, w.config.Metered || w.slot.device.Metered || w.config.Quota.Limit > 0
	w.mu.Unlock()
	switch {
	case costs:
	case spent:
		return fmt.Errorf("%w, and the data of %s is spent; say that it may be tested all the same", ErrCosts, w.config.Name)
	case metered:
		return fmt.Errorf("%w, and that of %s costs or is limited; say that it may be tested all the same", ErrCosts, w.config.Name)
	}
	return nil
}

// StopLoadTest ends the test that runs.
func (e *Engine) StopLoadTest() error {
	t := e.tests
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		return ErrNoLoadTest
	}
	t.stop()
	return nil
}

// LoadTests are the test that runs (nil: none) and those before it, the newest first.
func (e *Engine) LoadTests() (now *LoadTest, past []LoadTest) {
	t := e.tests
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != nil {
		test := *t.now
		test.Result.Points = slices.Clone(test.Result.Points)
		now = &test
	}
	return now, slices.Clone(t.past)
}

// runLoadTests is the task that tests links.
func (e *Engine) runLoadTests(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case order := <-e.tests.wanted:
			e.loadTest(ctx, order)
		}
	}
}

func (e *Engine) loadTest(ctx context.Context, order loadTestOrder) {
	t := e.tests
	run, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(order.ctx, stop)()
	w := order.wan
	e.event(observe.Info, "load-test", w.config.Name, fmt.Sprintf("%s is tested under load.", w.config.Name))
	result, err := loadtest.Run(run, loadtest.Options{
		Sockets: e.machine, Via: w.via(), Lookup: lookupForTest, Server: order.server, Upload: order.upload,
		Carried: func() (received, sent uint64, err error) { return e.machine.Traffic(w.device()) },
		Idle:    loadTestIdle, Load: order.length, Streams: loadStreams,
		Progress: func(p loadtest.Point) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.now.Result.Points = append(t.now.Result.Points, p)
		},
	})
	t.mu.Lock()
	test := *t.now
	switch {
	case err == nil:
		test.State, test.Result = LoadTestDone, result
	case run.Err() != nil:
		test.State = LoadTestStopped
	default:
		test.State, test.Problem = LoadTestFailed, err.Error()
	}
	t.stop()
	t.now, t.past = nil, keepTests(append([]LoadTest{test}, t.past...))
	past := t.past
	t.mu.Unlock()
	text, err := json.Marshal(past)
	if err == nil {
		// Also when the context has ended: the test was paid for.
		err = e.store.PutSetting(context.WithoutCancel(ctx), loadTestKey, text)
	}
	if err != nil {
		e.log.Warn("the tests of links could not be stored", "error", err)
	}
}

// keepTests drops what is too old to be remembered.
func keepTests(past []LoadTest) []LoadTest {
	past = past[:min(len(past), keptLoadTests)]
	for i := keptPoints; i < len(past); i++ {
		past[i].Result.Points = nil
	}
	return past
}

// loadLoadTests reads the tests of earlier runs. What cannot be read is begun anew: it decides nothing.
func (e *Engine) loadLoadTests(ctx context.Context) error {
	text, err := e.store.Setting(ctx, loadTestKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the tests of links: %w", err)
	}
	if err := json.Unmarshal(text, &e.tests.past); err != nil {
		e.tests.past = nil
		e.log.Warn("the tests of links cannot be read; their history begins anew", "error", err)
	}
	return nil
}

// lookupForTest finds a server's addresses, IPv4 first, without those of this machine and its neighbours on the wire.
func lookupForTest(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("finding the server's address: %w", err)
	}
	var out []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap(); a.IsGlobalUnicast() {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: %s is not a server on the internet", ErrBadQuestion, host)
	}
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return out, nil
}
