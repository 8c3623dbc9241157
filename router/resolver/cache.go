package resolver

import (
	"sync"
	"time"

	"github.com/trenza-router/trenza/router/lru"
)

// question is what is asked: an answer serves all who ask the same.
type question struct {
	name  string // lower case, with the final dot
	qtype uint16
	do    bool // DNSSEC records wanted (RFC 3225)
	cd    bool // no validation wanted (RFC 4035 §3.2.2)
}

// stored is a cleaned answer as bytes: those cannot be changed by accident, and can be counted.
type stored struct {
	packed []byte
	at     time.Time
	ttl    time.Duration
	retry  time.Time // asking upstream failed: not again before (RFC 8767 §5)
	uses   int       // how often it was looked up
}

func (s *stored) fresh(now time.Time) bool { return now.Sub(s.at) < s.ttl }

// popular is how often an answer must have been looked up to be asked for again before its end.
const popular = 3

// renewable tells whether a fresh answer should be asked for again now, so that nobody waits when it ends: a popular one in the last
// tenth of its time.
func (s *stored) renewable(now time.Time) bool {
	return s.uses >= popular && now.Sub(s.at) >= s.ttl-s.ttl/10 && !now.Before(s.retry)
}

// cache keeps answers, bounded by entries and bytes; the one not used for longest goes first.
type cache struct {
	maxBytes int
	staleFor time.Duration

	mu      sync.Mutex
	entries *lru.Map[question, stored]
	bytes   int
}

// entryOverhead is about what an entry costs beside its bytes.
const entryOverhead = 160

func newCache(maxEntries, maxBytes int, staleFor time.Duration) *cache {
	return &cache{maxBytes: maxBytes, staleFor: staleFor, entries: lru.New[question, stored](maxEntries)}
}

func cost(q question, s *stored) int { return len(s.packed) + len(q.name) + entryOverhead }

// get returns the answer to a question, fresh or stale; ok is false when there is none that may be used at all.
func (c *cache) get(q question, now time.Time) (s stored, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries.Get(q)
	if e == nil {
		return s, false
	}
	if age := now.Sub(e.at); age < 0 || age >= e.ttl+c.staleFor { // below 0: the clock was set back
		c.drop(q, e)
		return s, false
	}
	e.uses++
	return *e, true
}

// put stores an answer, unless it alone is too large.
func (c *cache) put(q question, packed []byte, ttl time.Duration, now time.Time) {
	s := stored{packed: packed, at: now, ttl: ttl}
	size := cost(q, &s)
	if ttl <= 0 || size > c.maxBytes/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries.Peek(q); e != nil {
		c.drop(q, e)
	}
	for c.entries.Full() || c.entries.Len() > 0 && c.bytes+size > c.maxBytes {
		old, e, _ := c.entries.Oldest()
		c.drop(old, e)
	}
	c.entries.Put(q, s)
	c.bytes += size
}

// postpone notes that asking for a stored answer again failed.
func (c *cache) postpone(q question, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries.Peek(q); e != nil {
		e.retry = until
	}
}

func (c *cache) drop(q question, e *stored) {
	c.bytes -= cost(q, e)
	c.entries.Delete(q)
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.All(func(q question, e *stored) bool { c.drop(q, e); return true })
}
