package wire

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// Pace holds a sender to a payload rate.
type Pace struct {
	rate  int64
	start time.Time
}

// NewPace starts a pace of rate bit/s; 0 never waits.
func NewPace(rate int64, start time.Time) Pace { return Pace{rate: rate, start: start} }

// Wait returns when total bytes may have been sent, or with ctx's error.
func (p Pace) Wait(ctx context.Context, total int64) error {
	if p.rate <= 0 {
		return ctx.Err()
	}
	due := time.Duration(float64(total) * 8 / float64(p.rate) * float64(time.Second))
	return Sleep(ctx, due-time.Since(p.start))
}

// Sleep waits for d or until ctx ends, whose error it then returns.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// StallWatch finds the longest time between two marks.
type StallWatch struct {
	start, last time.Time
	// Longest is the longest gap up to now and At when it began.
	Longest time.Duration
	At      time.Time
}

// NewStallWatch starts watching.
func NewStallWatch(start time.Time) StallWatch {
	return StallWatch{start: start, last: start, At: start}
}

// Start is when the watch began.
func (s *StallWatch) Start() time.Time { return s.start }

// Last is the time of the last mark, or of the start.
func (s *StallWatch) Last() time.Time { return s.last }

// Mark says that something arrived, and returns the gap that ended with it.
func (s *StallWatch) Mark(now time.Time) time.Duration {
	gap := now.Sub(s.last)
	if gap > s.Longest {
		s.Longest, s.At = gap, s.last
	}
	s.last = now
	return gap
}

// Payload is an endless pseudo-random byte sequence, given by its seed.
type Payload struct{ rng *rand.ChaCha8 }

// NewPayload starts the sequence of a seed.
func NewPayload(seed uint64) Payload {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return Payload{rng: rand.NewChaCha8(key)}
}

// Fill writes the next len(b) bytes of the sequence.
func (p Payload) Fill(b []byte) {
	_, _ = p.rng.Read(b) // never fails
}
