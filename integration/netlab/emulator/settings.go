package emulator

import (
	"fmt"
	"time"
)

// Bounds of [Settings]. They keep the arithmetic inside 64 bits and a typing
// error ("rate=5" for "rate=5mbit") from filling the memory.
const (
	MinRate  = 1_000           // bit/s
	MaxRate  = 100_000_000_000 // bit/s
	MaxDelay = 10 * time.Second
)

// Direction tells the two ways through a link apart.
type Direction int

const (
	// Up is from the near end (the customer's) to the far end (the provider's).
	Up Direction = iota
	// Down is from the far end to the near end.
	Down
)

// String returns "up" or "down".
func (d Direction) String() string {
	if d == Up {
		return "up"
	}
	return "down"
}

// Settings describe one direction of a link. The zero value is a wire: no rate
// limit, no delay, no loss.
type Settings struct {
	// Rate is the transmitter's speed in bit/s, counted over whole Ethernet
	// frames without preamble and checksum; 0 is unlimited.
	Rate int64 `json:"rate"`
	// Delay is the time from a frame's last bit sent to its arrival.
	Delay time.Duration `json:"delay"`
	// Jitter is the most that is added to Delay, evenly distributed and new for
	// each frame. Delay stays the floor. A frame never overtakes another: one
	// that draws less than its forerunner waits for it.
	Jitter time.Duration `json:"jitter"`
	// Loss is the share of frames, 0 to 1, that vanish after they were sent.
	Loss float64 `json:"loss"`
	// Queue is how long a frame may wait for its turn to be sent, at the present
	// rate; a frame that would wait longer is dropped (drop-tail). It has no
	// meaning without a rate.
	Queue time.Duration `json:"queue"`
}

// Check returns an error that names the first value outside its bounds.
func (s Settings) Check() error {
	switch {
	case s.Rate != 0 && (s.Rate < MinRate || s.Rate > MaxRate):
		return fmt.Errorf("rate %d bit/s: must be 0 (unlimited) or between %d and %d", s.Rate, MinRate, int64(MaxRate))
	case s.Delay < 0 || s.Delay > MaxDelay:
		return fmt.Errorf("delay %v: must be between 0 and %v", s.Delay, MaxDelay)
	case s.Jitter < 0 || s.Jitter > MaxDelay:
		return fmt.Errorf("jitter %v: must be between 0 and %v", s.Jitter, MaxDelay)
	case !(s.Loss >= 0 && s.Loss <= 1): // so written, NaN fails too
		return fmt.Errorf("loss %v: must be between 0 and 1", s.Loss)
	case s.Queue < 0 || s.Queue > MaxDelay:
		return fmt.Errorf("queue %v: must be between 0 and %v", s.Queue, MaxDelay)
	}
	return nil
}

// Params are the settings of a link's two directions.
type Params struct {
	Up   Settings `json:"up"`
	Down Settings `json:"down"`
}

// Check returns an error that names the first value outside its bounds.
func (p Params) Check() error {
	if err := p.Up.Check(); err != nil {
		return fmt.Errorf("up: %w", err)
	}
	if err := p.Down.Check(); err != nil {
		return fmt.Errorf("down: %w", err)
	}
	return nil
}

// of returns the settings of one direction.
func (p Params) of(d Direction) Settings {
	if d == Up {
		return p.Up
	}
	return p.Down
}

// Counters count the frames that one direction has seen since it was made.
// Sent = Delivered + Lost + Cut + those still on their way.
type Counters struct {
	Sent           uint64 `json:"sent"`            // frames that entered
	SentBytes      uint64 `json:"sent_bytes"`      // their bytes
	Delivered      uint64 `json:"delivered"`       // frames that left at the other end
	DeliveredBytes uint64 `json:"delivered_bytes"` // their bytes
	Lost           uint64 `json:"lost"`            // frames the random loss took
	Overflowed     uint64 `json:"overflowed"`      // frames refused by the full queue; not in Sent
	Cut            uint64 `json:"cut"`             // frames that a cut or blackhole swallowed
	Refused        uint64 `json:"refused"`         // delivered frames that the receiving device did not take
}
