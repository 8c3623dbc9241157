package link

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestHistory(t *testing.T) {
	var h History
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for i, s := range []Sample{
		{RTT: 10 * ms}, {RTT: 30 * ms, jitter: 20 * ms}, {Lost: true}, {RTT: 20 * ms, jitter: 10 * ms},
	} {
		s.At = start.Add(time.Duration(i) * sec)
		h.add(s)
	}
	h.add(Sample{At: start.Add(61 * sec), RTT: 5 * ms})
	h.add(Sample{At: start.Add(59 * sec), Lost: true})    // timed out: entered late
	h.add(Sample{At: start.Add(62 * sec)})                // a login page
	h.add(Sample{At: start.Add(-time.Hour), RTT: 7 * ms}) // the clock was set back
	want := []Minute{
		{Start: start, Sent: 5, Lost: 2, Min: 10 * ms, Max: 30 * ms, Mean: 20 * ms, Jitter: 10 * ms},
		{Start: start.Add(time.Minute), Sent: 2, Min: 5 * ms, Max: 5 * ms, Mean: 5 * ms},
		{Start: start.Add(-time.Hour), Sent: 1, Min: 7 * ms, Max: 7 * ms, Mean: 7 * ms},
	}
	if diff := cmp.Diff(want, h.Minutes(), cmpopts.IgnoreUnexported(Minute{})); diff != "" {
		t.Errorf("minutes (-want +got):\n%s", diff)
	}
	if st := h.Stats(time.Time{}); st.Loss != 0.25 || st.RTT != 14400*time.Microsecond {
		t.Errorf("%+v", st)
	}
	if st := new(History).Stats(time.Time{}); st != (Stats{}) {
		t.Errorf("of nothing: %+v", st)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	var h History
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	now := start
	for range 30 * 3600 {
		now = now.Add(sec)
		h.add(Sample{At: now, Target: pingA, RTT: ms})
		if len(h.samples) > maxSamples || len(h.minutes) > maxMinutes {
			t.Fatalf("%d samples, %d minutes", len(h.samples), len(h.minutes))
		}
	}
	if n := len(h.Samples(now)); n != 301 {
		t.Errorf("%d samples of the last five minutes", n)
	}
	if m := h.Minutes(); len(m) < 23*60 || m[len(m)-1].Start.Before(now.Add(-time.Minute)) {
		t.Errorf("%d minutes", len(m))
	}
	if len(h.Samples(now.Add(time.Hour))) != 0 {
		t.Error("samples do not age")
	}
}

func TestLossForgivesASilentTarget(t *testing.T) {
	var h History
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for i := range 20 {
		h.add(Sample{At: start.Add(time.Duration(i) * sec), Target: pingA, RTT: ms})
		h.add(Sample{At: start.Add(time.Duration(i) * sec), Target: pingB, RTT: ms, Lost: i > 14})
	}
	if loss, n := h.loss(start); loss != 0 || n != 35 {
		t.Errorf("while it is silent: %v of %d", loss, n)
	}
	h.add(Sample{At: start.Add(21 * sec), Target: pingB, RTT: ms})
	if loss, n := h.loss(start); loss != 5.0/41 || n != 41 {
		t.Errorf("after it has spoken: %v of %d", loss, n)
	}
	if loss, n := h.loss(start.Add(21 * sec)); loss != 0 || n != 1 {
		t.Errorf("since then: %v of %d", loss, n)
	}
}

func TestBaseline(t *testing.T) {
	var b baseline
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		after     time.Duration
		rtt, want time.Duration
	}{
		{0, 30 * ms, 0}, {sec, 20 * ms, 0}, {sec, 50 * ms, 30 * ms},
		{30 * time.Minute, 60 * ms, 40 * ms}, // the least of half an hour ago still holds
		{40 * time.Minute, 70 * ms, 10 * ms}, // that is forgotten, the one between is not
		{5 * time.Hour, 70 * ms, 0},
		{-60 * 365 * 24 * time.Hour, 80 * ms, 10 * ms}, // a clock before 1970 breaks nothing
		{sec, 70 * ms, 0},
	} {
		at = at.Add(step.after)
		if got := b.excess(at, step.rtt); got != step.want {
			t.Errorf("%s at %s: %s longer than usual, want %s", step.rtt, at, got, step.want)
		}
	}
}
