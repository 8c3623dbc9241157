package support

import (
	"bytes"
	"sync"
)

// Recent is a writer that remembers the latest lines of a log. Its methods are safe for concurrent use.
type Recent struct {
	limit int

	mu   sync.Mutex
	text []byte
}

// NewRecent remembers up to limit bytes.
func NewRecent(limit int) *Recent { return &Recent{limit: limit} }

// Write takes whole lines, as slog's handlers write them. It never fails.
func (r *Recent) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = append(r.text, line...)
	if over := len(r.text) - r.limit; over > 0 {
		// An eighth more goes than must, so that not every line moves all the others.
		cut := min(over+r.limit/8, len(r.text))
		if end := bytes.IndexByte(r.text[cut:], '\n'); end >= 0 {
			cut += end + 1
		} else {
			cut = len(r.text)
		}
		r.text = append(r.text[:0], r.text[cut:]...)
	}
	return len(line), nil
}

// Text is what is remembered, the oldest first.
func (r *Recent) Text() []byte {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.text)
}
