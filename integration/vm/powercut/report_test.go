//go:build vm

package powercut

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
)

// What a guest says of itself, a line each: a word and a number.
const (
	sayKept      = "kept"      // policy in the database file, before the daemon has seen it
	sayUsed      = "used"      // bytes that the file knows of all days
	sayRunning   = "running"   // policy that the daemon has in force after its start
	sayTrying    = "trying"    // policy that it is given now
	sayConfirmed = "confirmed" // policy that it said it has in force
)

// report takes what a guest says. It is safe for concurrent use.
type report struct {
	confirmed func() // called at the first policy that is confirmed, once

	mu   sync.Mutex
	all  bytes.Buffer
	last map[string]uint64
	rest string
}

func newReport(confirmed func()) *report {
	return &report{confirmed: sync.OnceFunc(confirmed), last: map[string]uint64{}}
}

// Write takes the next part of the guest's output.
func (r *report) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all.Write(p)
	r.rest += string(p)
	for {
		line, rest, whole := strings.Cut(r.rest, "\n")
		if !whole {
			return len(p), nil
		}
		r.rest = rest
		var word string
		var n uint64
		if _, err := fmt.Sscanf(line, "%s %d", &word, &n); err != nil {
			continue // what it logs beside
		}
		r.last[word] = n
		if word == sayConfirmed {
			r.confirmed()
		}
	}
}

// number is the last one that was said with a word.
func (r *report) number(word string) (uint64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.last[word]
	return n, ok
}

func (r *report) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.String()
}
