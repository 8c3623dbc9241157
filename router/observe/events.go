package observe

import (
	"fmt"
	"sync"
	"time"
)

// Severity says how much something matters to a person.
type Severity uint8

const (
	Info    Severity = iota // good to know
	Warn                    // something works less well than it should
	Serious                 // something does not work
)

func (s Severity) String() string {
	switch s {
	case Info:
		return "info"
	case Warn:
		return "warning"
	case Serious:
		return "error"
	}
	return fmt.Sprintf("severity %d", uint8(s))
}

// Event is something that happened, in plain words.
type Event struct {
	At       time.Time // of the last time
	Severity Severity
	Kind     string // "link", "device", "policy", "plan", "heal", "resolver", ...
	Subject  string // what it is about: a link's name, a device's id; may be empty
	Text     string // one sentence
	Count    int    // how often it happened in a row within a minute
}

const (
	keepEvents = 1000
	sameEvent  = time.Minute
)

// Events is a bounded list of what happened lately. Its methods are safe for concurrent use.
type Events struct {
	onNew func(Event)

	mu    sync.Mutex
	ring  []Event // oldest first, from next on when it is full
	next  int
	index map[eventKey]int // place of the newest of its kind
}

type eventKey struct{ kind, subject, text string }

// NewEvents returns an empty list; onNew (may be nil) is called for each event that is not a repetition, and must not block.
func NewEvents(onNew func(Event)) *Events {
	return &Events{onNew: onNew, index: map[eventKey]int{}}
}

// Add notes an event. The same one again within a minute only counts up.
func (l *Events) Add(e Event) {
	k := eventKey{e.Kind, e.Subject, e.Text}
	e.Count = max(e.Count, 1)
	l.mu.Lock()
	if i, ok := l.index[k]; ok {
		if old := &l.ring[i]; e.At.Sub(old.At).Abs() < sameEvent {
			old.At, old.Count = e.At, old.Count+e.Count
			l.mu.Unlock()
			return
		}
	}
	if len(l.ring) < keepEvents {
		l.index[k] = len(l.ring)
		l.ring = append(l.ring, e)
	} else {
		old := l.ring[l.next]
		if ok := (eventKey{old.Kind, old.Subject, old.Text}); l.index[ok] == l.next {
			delete(l.index, ok)
		}
		l.ring[l.next], l.index[k] = e, l.next
		l.next = (l.next + 1) % keepEvents
	}
	l.mu.Unlock()
	if l.onNew != nil {
		l.onNew(e)
	}
}

// List returns the newest events of at least a severity first.
func (l *Events) List(least Severity, limit int) (list []Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.ring {
		e := l.ring[(l.next+len(l.ring)-1-i)%len(l.ring)]
		if e.Severity >= least && len(list) < limit {
			list = append(list, e)
		}
	}
	return list
}
