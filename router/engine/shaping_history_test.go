package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDelayHistory(t *testing.T) {
	const ms = time.Millisecond
	start := time.Date(2027, 3, 1, 8, 0, 0, 0, time.UTC)
	var h delayHistory
	ended := 0
	for minute := range 3 * 60 {
		at := start.Add(time.Duration(minute) * time.Minute)
		loaded := minute/60 == 1 && minute%60 < 20
		rtt := time.Duration(10+minute/60) * ms
		if loaded {
			rtt = 50 * ms
		}
		if h.add(at, rtt, loaded) {
			ended++
		}
	}
	want := []DelayHour{
		{At: start, Idle: 10 * ms, IdleProbes: 60},
		{At: start.Add(time.Hour), Idle: 11 * ms, Loaded: 50 * ms, IdleProbes: 40, LoadedProbes: 20},
		{At: start.Add(2 * time.Hour), Idle: 12 * ms, IdleProbes: 60},
	}
	if diff := cmp.Diff(want, h.list()); diff != "" || ended != 2 {
		t.Errorf("%d hours ended (-want +got):\n%s", ended, diff)
	}
	if diff := cmp.Diff(want[:2], h.hours); diff != "" {
		t.Errorf("over (-want +got):\n%s", diff)
	}
	// A clock that was set back: the hour is told once, by what was seen last.
	h.add(start.Add(90*time.Minute), 7*ms, false)
	if l := h.list(); len(l) != 2 || l[1].Idle != 7*ms || l[1].IdleProbes != 1 {
		t.Errorf("after a clock that was set back: %+v", l)
	}
	for hour := range 1000 {
		h.add(start.Add(time.Duration(hour)*time.Hour), ms, false)
	}
	if l := h.list(); len(l) != delayHours || !l[len(l)-1].At.Equal(start.Add(999*time.Hour)) {
		t.Errorf("%d hours, the last %v", len(l), l[len(l)-1])
	}
}
