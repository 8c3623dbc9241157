package api_test

import (
	"bufio"
	"context"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/webui/api"
)

// open starts a live stream; events delivers it and is closed when it ends.
func (s *site) open(ctx context.Context, t *testing.T) (events <-chan [2]string) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+api.Base+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("%d %s", resp.StatusCode, got)
	}
	ch := make(chan [2]string, 1000)
	go func() {
		defer close(ch)
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		var name string
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = rest
			}
			if rest, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				ch <- [2]string{name, rest}
			}
		}
	}()
	return ch
}

// next waits for the next event of a kind.
func next(t *testing.T, events <-chan [2]string, kind string) []byte {
	t.Helper()
	for timeout := time.After(30 * time.Second); ; {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("the stream ended before %q", kind)
			}
			if e[0] == kind {
				return []byte(e[1])
			}
		case <-timeout:
			t.Fatalf("no %q came", kind)
		}
	}
}

func finished(t *testing.T, events <-chan [2]string, why string) {
	t.Helper()
	for timeout := time.After(30 * time.Second); ; {
		select {
		case _, ok := <-events:
			if !ok {
				return
			}
		case <-timeout:
			t.Fatalf("the stream did not end when %s", why)
		}
	}
}

func TestLive(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	s.live(t)
	before := runtime.NumGoroutine()
	ctx, leave := context.WithCancel(t.Context())
	staying, leaving := s.open(t.Context(), t), s.open(ctx, t)

	schema := s.spec.Components.Schemas["Live"].Value
	var last time.Time
	for range 3 { // the first at once, then one a second
		data := next(t, staying, "live")
		l := decode[api.Live](t, data)
		if len(l.Links) != 3 || len(l.Links[0].History) != 0 || l.Flows != 1 || !l.At.After(last) {
			t.Errorf("after %v: %s", last, data)
		}
		last = l.At
		if err := schema.VisitJSON(decode[any](t, data)); err != nil {
			t.Errorf("live is not as specified: %v\n%s", err, data)
		}
	}
	s.house.Cut(t, "wifi", true)
	for {
		if e := decode[api.Event](t, next(t, staying, "event")); e.Kind == "link" && strings.Contains(e.Text, "wifi is down") {
			break
		}
	}

	next(t, leaving, "live")
	leave()
	finished(t, leaving, "the client went away")
	close(s.closed)
	finished(t, staying, "the server stopped")
	http.DefaultClient.CloseIdleConnections()
	enginetest.Eventually(t, "the streams' goroutines to end", func() bool { return runtime.NumGoroutine() <= before })

	// A stream that is asked for afterwards ends at once.
	finished(t, s.open(t.Context(), t), "the server had stopped before")
}

// TestLiveIsBounded: a page that opens streams without end does not wear the router out, and places become free again.
func TestLiveIsBounded(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	ctx, leave := context.WithCancel(t.Context())
	for range 64 {
		next(t, s.open(ctx, t), "live")
	}
	code, data := s.do(t, http.MethodGet, "/live", "")
	if e := decode[api.Error](t, data); code != http.StatusServiceUnavailable || !strings.Contains(e.Message, "64") {
		t.Errorf("the 65th stream: %d %s", code, data)
	}
	leave()
	enginetest.Eventually(t, "a free place", func() bool {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+api.Base+"/live", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}
