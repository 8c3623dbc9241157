package internet

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// Recorder keeps the last observations of all servers of one process. It is safe for concurrent use.
type Recorder struct {
	mu      sync.Mutex
	ring    []wire.Seen
	last    uint64 // Seq of the newest record; record s is in ring[s % len]
	first   uint64 // Seq of the oldest record kept, last+1 if none
	changed chan struct{}
}

// NewRecorder returns a recorder of the last size observations.
func NewRecorder(size int) *Recorder {
	return &Recorder{ring: make([]wire.Seen, size), first: 1, changed: make(chan struct{})}
}

// Add numbers and stamps an observation, keeps it, and returns it as kept.
func (r *Recorder) Add(s wire.Seen) wire.Seen {
	s.Tag, s.Time = wire.CutTag(s.Tag), time.Now()
	s.Local, s.Remote = wire.Unmapped(s.Local), wire.Unmapped(s.Remote)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	s.Seq = r.last
	r.ring[s.Seq%uint64(len(r.ring))] = s
	if r.last-r.first >= uint64(len(r.ring)) {
		r.first++
	}
	close(r.changed)
	r.changed = make(chan struct{})
	return s
}

// Reset forgets all observations; numbering goes on.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.ring)
	r.first = r.last + 1
}

// Filter chooses observations; an empty field chooses all.
type Filter struct {
	Proto     string
	Name      string
	Tag       string
	TagPrefix string
	// Remote is the seen source address, without port.
	Remote netip.Addr
	// After chooses records with a greater Seq.
	After uint64
	// Limit keeps the oldest so many of the chosen; 0 is all.
	Limit int
}

func (f Filter) match(s wire.Seen) bool {
	return s.Seq > f.After &&
		(f.Proto == "" || f.Proto == s.Proto) &&
		(f.Name == "" || f.Name == s.Name) &&
		(f.Tag == "" || f.Tag == s.Tag) &&
		strings.HasPrefix(s.Tag, f.TagPrefix) &&
		(!f.Remote.IsValid() || f.Remote == s.Remote.Addr())
}

// Page is an answer of the recorder.
type Page struct {
	// Records are in the order of their Seq.
	Records []wire.Seen `json:"records"`
	// Last is the Seq of the newest record when the question was answered, chosen or not; the After of a next question.
	Last uint64 `json:"last"`
	// First is the Seq of the oldest record kept. When it is greater than After+1, records were overwritten unread
	// or reset.
	First uint64 `json:"first"`
}

// Query returns the records that a filter chooses.
func (r *Recorder) Query(f Filter) Page {
	p, _ := r.query(f)
	return p
}

func (r *Recorder) query(f Filter) (Page, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Page{Records: []wire.Seen{}, Last: r.last, First: r.first}
	for seq := max(r.first, f.After+1); seq <= r.last; seq++ {
		if s := r.ring[seq%uint64(len(r.ring))]; f.match(s) {
			p.Records = append(p.Records, s)
			if len(p.Records) == f.Limit {
				break
			}
		}
	}
	return p, r.changed
}

// Wait returns as soon as a filter chooses at least n records, or with what there is and ctx's error.
func (r *Recorder) Wait(ctx context.Context, f Filter, n int) (Page, error) {
	for {
		p, changed := r.query(f)
		if len(p.Records) >= n {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-changed:
		}
	}
}

// Sources counts the chosen records by seen source address.
func (r *Recorder) Sources(f Filter) map[netip.Addr]int {
	out := make(map[netip.Addr]int)
	for _, s := range r.Query(f).Records {
		out[s.Remote.Addr()]++
	}
	return out
}
