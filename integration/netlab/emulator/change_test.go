package emulator

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestApply(t *testing.T) {
	base := Params{Up: Settings{Rate: 1_000_000, Delay: time.Second}, Down: Settings{Rate: 2_000_000, Loss: 0.5}}
	tests := []struct {
		words string
		want  Params
		err   string
	}{
		{words: "rate=5mbit delay=80ms loss=1%", want: Params{
			Up:   Settings{Rate: 5_000_000, Delay: 80 * time.Millisecond, Loss: 0.01},
			Down: Settings{Rate: 5_000_000, Delay: 80 * time.Millisecond, Loss: 0.01},
		}},
		{words: "down.rate=1.5gbit up.queue=20ms", want: Params{
			Up:   Settings{Rate: 1_000_000, Delay: time.Second, Queue: 20 * time.Millisecond},
			Down: Settings{Rate: 1_500_000_000, Loss: 0.5},
		}},
		{words: "rate=unlimited jitter=1ms loss=0.25", want: Params{
			Up:   Settings{Delay: time.Second, Jitter: time.Millisecond, Loss: 0.25},
			Down: Settings{Jitter: time.Millisecond, Loss: 0.25},
		}},
		{words: "", err: "nothing to change"},
		{words: "rate", err: `"rate": want key=value`},
		{words: "rate=5", err: `"rate=5": not a rate`},
		{words: "rate=-5mbit", err: "not a rate"},
		{words: "rate=5bit", err: "rate 5 bit/s: must be 0 (unlimited) or between"},
		{words: "delay=80", err: "missing unit"},
		{words: "delay=-80ms", err: "must be between 0 and 10s"},
		{words: "delay=11s", err: "must be between 0 and 10s"},
		{words: "loss=101%", err: "loss 1.01: must be between 0 and 1"},
		{words: "loss=NaN", err: "loss NaN"},
		{words: "loss=some", err: "not a share"},
		{words: "speed=5mbit", err: `unknown key "speed": want rate, delay`},
		{words: "left.rate=5mbit", err: `unknown key "left.rate"`},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			got, err := base.Apply(strings.Fields(tt.words))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want one with %q", err, tt.err)
				}
				tt.want = base
			} else if err != nil {
				t.Errorf("error %v", err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestSettingsString(t *testing.T) {
	for want, s := range map[string]Settings{
		"rate=unlimited delay=0s jitter=0s loss=0% queue=0s":      {},
		"rate=20mbit delay=45ms jitter=8ms loss=0.5% queue=100ms": {20e6, 45 * time.Millisecond, 8 * time.Millisecond, 0.005, 100 * time.Millisecond},
		"rate=1gbit delay=1.5s jitter=0s loss=100% queue=0s":      {Rate: 1e9, Delay: 1500 * time.Millisecond, Loss: 1},
		"rate=2500kbit delay=0s jitter=0s loss=0% queue=0s":       {Rate: 2.5e6},
		"rate=1001bit delay=0s jitter=0s loss=0% queue=0s":        {Rate: 1001},
	} {
		got := s.String()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
		back, err := Params{}.Apply(strings.Fields(got))
		if err != nil || back != (Params{s, s}) {
			t.Errorf("%q reads back as %+v (%v), want %+v", got, back, err, s)
		}
	}
}

func FuzzApply(f *testing.F) {
	for _, s := range []string{"rate=5mbit delay=80ms", "up.loss=1%", "down.rate=1e300gbit", "loss=NaN", "rate=unlimited", "=", "delay=9999999h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Params{}.Apply(strings.Fields(s))
		if err != nil && got != (Params{}) {
			t.Errorf("%q failed (%v) but changed the settings: %+v", s, err, got)
		}
		if err := got.Check(); err != nil {
			t.Errorf("%q was accepted and is impossible: %v", s, err)
		}
	})
}
