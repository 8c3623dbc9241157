package emulator

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Apply returns p with the changes that words state, each `key=value`:
//
//	rate=5mbit     bit, kbit, mbit or gbit per second, or "unlimited"
//	delay=80ms     one way; a Go duration
//	jitter=10ms    at most added to delay
//	queue=100ms    the longest wait for transmission
//	loss=1%        or 0.01
//
// A key means both directions unless it begins with "up." or "down."
// (`down.rate=20mbit`). The error names the word that is wrong and what would
// be right; p is unchanged then.
func (p Params) Apply(words []string) (Params, error) {
	if len(words) == 0 {
		return p, fmt.Errorf("nothing to change: say for example rate=5mbit delay=80ms loss=1%%")
	}
	out := p
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			return p, fmt.Errorf("%q: want key=value, for example rate=5mbit", w)
		}
		targets := []*Settings{&out.Up, &out.Down}
		if k, ok := strings.CutPrefix(key, "up."); ok {
			key, targets = k, targets[:1]
		} else if k, ok := strings.CutPrefix(key, "down."); ok {
			key, targets = k, targets[1:]
		}
		for _, s := range targets {
			if err := s.assign(key, value); err != nil {
				return p, fmt.Errorf("%q: %w", w, err)
			}
			if err := s.Check(); err != nil {
				return p, fmt.Errorf("%q: %w", w, err)
			}
		}
	}
	return out, nil
}

func (s *Settings) assign(key, value string) (err error) {
	switch key {
	case "rate":
		s.Rate, err = parseRate(value)
	case "delay":
		s.Delay, err = time.ParseDuration(value)
	case "jitter":
		s.Jitter, err = time.ParseDuration(value)
	case "queue":
		s.Queue, err = time.ParseDuration(value)
	case "loss":
		s.Loss, err = parseShare(value)
	default:
		err = fmt.Errorf("unknown key %q: want rate, delay, jitter, loss or queue", key)
	}
	return err
}

// parseRate reads a rate like 5mbit in bit/s.
func parseRate(v string) (int64, error) {
	if v == "unlimited" {
		return 0, nil
	}
	for _, u := range []struct {
		suffix string
		factor float64
	}{{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {"bit", 1}} {
		if digits, ok := strings.CutSuffix(v, u.suffix); ok {
			n, err := strconv.ParseFloat(digits, 64)
			if err != nil || !(n*u.factor >= 1 && n*u.factor <= MaxRate) {
				break
			}
			return int64(n * u.factor), nil
		}
	}
	return 0, fmt.Errorf("not a rate: want a number and bit, kbit, mbit or gbit (5mbit), or unlimited")
}

// parseShare reads a share like 1% or 0.01.
func parseShare(v string) (float64, error) {
	digits, percent := strings.CutSuffix(v, "%")
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return 0, fmt.Errorf("not a share: want a percentage (1%%) or a number from 0 to 1")
	}
	if percent {
		n /= 100
	}
	return n, nil
}

// String returns the settings in the words of [Params.Apply], all of them.
func (s Settings) String() string {
	return fmt.Sprintf("rate=%s delay=%v jitter=%v loss=%s%% queue=%v", rateText(s.Rate), s.Delay, s.Jitter,
		strconv.FormatFloat(s.Loss*100, 'g', 6, 64), s.Queue)
}

// rateText writes a rate with the largest unit that keeps it exact.
func rateText(rate int64) string {
	if rate == 0 {
		return "unlimited"
	}
	for _, u := range []struct {
		suffix string
		factor int64
	}{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}} {
		if rate%u.factor == 0 {
			return strconv.FormatInt(rate/u.factor, 10) + u.suffix
		}
	}
	return strconv.FormatInt(rate, 10) + "bit"
}
