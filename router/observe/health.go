package observe

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Warning is a state that a person should know or do something about, for as long as it lasts.
type Warning struct {
	Code     string // stable: "link-down", "disk-full", ...
	Subject  string // what it is about, when a code can hold for several things; may be empty
	Severity Severity
	Text     string // what is wrong, one plain sentence
	Fix      string // what to do; may be empty
	Since    time.Time
}

// maxWarnings bounds the catalogue; a hundred warnings say no more than a household can heed.
const maxWarnings = 256

type warningKey struct{ code, subject string }

// Health is the set of warnings that hold now. Its methods are safe for concurrent use.
type Health struct {
	now    func() time.Time
	events *Events

	mu       sync.Mutex
	warnings map[warningKey]Warning
}

// NewHealth returns a set without warnings; each warning that comes or goes becomes an event (events may be nil).
func NewHealth(now func() time.Time, events *Events) *Health {
	return &Health{now: now, events: events, warnings: map[warningKey]Warning{}}
}

// Set says that a warning holds. Setting it again keeps Since; other words replace the old without a new event.
func (h *Health) Set(w Warning) {
	k := warningKey{w.Code, w.Subject}
	h.mu.Lock()
	old, known := h.warnings[k]
	w.Since = old.Since
	if !known {
		if len(h.warnings) >= maxWarnings {
			h.mu.Unlock()
			return
		}
		w.Since = h.now()
	}
	h.warnings[k] = w
	h.mu.Unlock()
	if !known || w.Severity > old.Severity {
		h.tell(w.Severity, w, w.Text)
	}
}

// Clear says that a warning does not hold, which may be so already.
func (h *Health) Clear(code, subject string) {
	k := warningKey{code, subject}
	h.mu.Lock()
	w, known := h.warnings[k]
	delete(h.warnings, k)
	h.mu.Unlock()
	if known {
		h.tell(Info, w, "over: "+w.Text)
	}
}

// Put sets or clears a warning by a condition.
func (h *Health) Put(holds bool, w Warning) {
	if holds {
		h.Set(w)
	} else {
		h.Clear(w.Code, w.Subject)
	}
}

func (h *Health) tell(s Severity, w Warning, text string) {
	if h.events != nil {
		h.events.Add(Event{At: h.now(), Severity: s, Kind: w.Code, Subject: w.Subject, Text: text})
	}
}

// List returns the warnings, the worst first, and among those the oldest.
func (h *Health) List() []Warning {
	h.mu.Lock()
	list := make([]Warning, 0, len(h.warnings))
	for _, w := range h.warnings {
		list = append(list, w)
	}
	h.mu.Unlock()
	slices.SortFunc(list, func(a, b Warning) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), a.Since.Compare(b.Since), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Subject, b.Subject))
	})
	return list
}
