package loadtest

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
)

// link is a link to a server on loopback. Its pings take base, and more while it carries something.
type link struct {
	silent         bool // the server answers no pings
	base, loaded   time.Duration
	open           atomic.Int64
	received, sent atomic.Uint64
}

func (l *link) Ping(context.Context, hal.Via, netip.Addr) (time.Duration, error) {
	switch {
	case l.silent:
		return 0, errors.New("no answer")
	case l.open.Load() > 0:
		return l.loaded, nil
	}
	return l.base, nil
}

func (l *link) Dial(ctx context.Context, _ hal.Via, network string, to netip.AddrPort) (hal.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, to.String())
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, link: l}, nil
}

// conn counts what it carries; it is a load from its first byte to its end.
type conn struct {
	net.Conn
	link        *link
	used, ended atomic.Bool
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.link.received.Add(uint64(n))
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if !c.used.Swap(true) {
		c.link.open.Add(1)
	}
	n, err := c.Conn.Write(p)
	c.link.sent.Add(uint64(n))
	return n, err
}

func (c *conn) Close() error {
	if !c.ended.Swap(true) && c.used.Load() {
		c.link.open.Add(-1)
	}
	return c.Conn.Close()
}

func (l *link) options(t *testing.T, address string) Options {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Sockets: l, Server: u, Idle: 300 * time.Millisecond, Load: time.Second, Streams: 2,
		Carried: func() (uint64, uint64, error) { return l.received.Load(), l.sent.Load(), nil },
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
	}
}

// TestRun: the whole of a test against the server of this package.
func TestRun(t *testing.T) {
	s := httptest.NewServer(Handler())
	defer s.Close()
	l := &link{base: 10 * time.Millisecond, loaded: 80 * time.Millisecond}
	o := l.options(t, s.URL)
	var seen []Point
	o.Progress = func(p Point) { seen = append(seen, p) }
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Idle.Median != l.base || r.Down.P95 != l.loaded || r.Up.P95 != l.loaded || r.Grade != "C" || r.Probes != "icmp" {
		t.Errorf("idle %v, down %v, up %v, grade %s by %s", r.Idle, r.Down, r.Up, r.Grade, r.Probes)
	}
	if r.Down.Rate == 0 || r.Up.Rate == 0 || r.Idle.LostPart != 0 {
		t.Errorf("rates %d down and %d up; lost %v", r.Down.Rate, r.Up.Rate, r.Idle.LostPart)
	}
	phases := map[Phase]bool{}
	for i, p := range r.Points {
		phases[p.Phase] = true
		if i > 0 && p.At < r.Points[i-1].At {
			t.Errorf("point %d is at %v, after one at %v", i, p.At, r.Points[i-1].At)
		}
	}
	if len(phases) != 3 || len(seen) != len(r.Points) {
		t.Errorf("points of %v; %d were told while it ran, of %d", phases, len(seen), len(r.Points))
	}
	for end := time.Now().Add(time.Minute); l.open.Load() != 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are left open", l.open.Load())
		}
	}
}

// TestSilentServer: a server that answers no pings is probed by connections, and one that takes no uploads gets none.
func TestSilentServer(t *testing.T) {
	posts := atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
		}
		_, _ = w.Write(make([]byte, 1<<20))
	}))
	defer s.Close()
	l := &link{silent: true}
	r, err := Run(t.Context(), l.options(t, s.URL))
	if err != nil {
		t.Fatal(err)
	}
	if r.Probes != "tcp" || r.Idle.Pings == 0 || r.Up.Pings != 0 || posts.Load() != 0 {
		t.Errorf("probes %q, %d answered; %d pings and %d requests up", r.Probes, r.Idle.Pings, r.Up.Pings, posts.Load())
	}
}

// TestFailures: what cannot be tested says why, and ends.
func TestFailures(t *testing.T) {
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	empty := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer empty.Close()
	gone := httptest.NewServer(Handler())
	gone.Close()
	for name, c := range map[string]struct {
		url, want string
		silent    bool
	}{
		"not found":  {refusing.URL, "404", false},
		"no content": {empty.URL, "nothing at this address", false},
		"gone":       {gone.URL, ErrNoAnswer.Error(), true},
	} {
		l := &link{silent: c.silent}
		o := l.options(t, c.url)
		o.Load = time.Minute
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := httptest.NewServer(Handler())
	defer s.Close()
	if _, err := Run(ctx, (&link{}).options(t, s.URL)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestGrade(t *testing.T) {
	for added, want := range map[time.Duration]string{0: "A+", 5 * time.Millisecond: "A", 59 * time.Millisecond: "B", 100 * time.Millisecond: "C", 200 * time.Millisecond: "D", time.Second: "F"} {
		if got := Grade(added); got != want {
			t.Errorf("%v added is %s, want %s", added, got, want)
		}
	}
}

// TestPictures: a plot has a column for each point; the picture is XML whatever the link is called.
func TestPictures(t *testing.T) {
	r := Result{Grade: "B", Idle: Load{Median: 10 * time.Millisecond, Pings: 1}, Down: Load{Rate: 48e6, Median: 30 * time.Millisecond, P95: 60 * time.Millisecond, Pings: 3}}
	for n, p := range []Phase{Idle, Idle, Down, Down, Down} {
		r.Points = append(r.Points, Point{At: time.Duration(n+1) * pointEvery, Phase: p, Rate: uint64(n) * 12e6, Delay: time.Duration(n+1) * 10 * time.Millisecond, Worst: time.Duration(n+1) * 12 * time.Millisecond})
	}
	var plot strings.Builder
	if err := Plot(&plot, r.Points); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(plot.String(), "\n"), "\n")
	if len(lines) != plotHeight+3 || lines[0] != "    60 ms │    █" || lines[plotHeight-1] != "     0 ms │█████" || lines[plotHeight+2] != "           iddow" {
		t.Errorf("the plot is\n%s", plot.String())
	}
	var svg strings.Builder
	if err := SVG(&svg, `<fiber> & "co"`, r); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(svg.String()))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg.String())
		}
	}
	if !strings.Contains(svg.String(), "grade B: delay 10 ms; down 48 Mbit/s, 30 ms (95 %: 60 ms)") {
		t.Errorf("the picture does not say the result:\n%s", svg.String())
	}
	if err := Plot(&plot, nil); err != nil {
		t.Error(err)
	}
}
