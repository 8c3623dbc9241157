package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trenza-router/trenza/router/store"
)

// delayHours is how long a link's delays are remembered: a week.
const delayHours = 7 * 24

func delayKey(link string) string { return "qos/delays/" + link }

// DelayHour is what the probes of a link saw in an hour: medians while it carried little and much, and how many probes tell so.
type DelayHour struct {
	At           time.Time     `json:"at"` // its begin
	Idle         time.Duration `json:"idle,omitempty"`
	Loaded       time.Duration `json:"loaded,omitempty"`
	IdleProbes   int           `json:"idle_probes,omitempty"`
	LoadedProbes int           `json:"loaded_probes,omitempty"`
}

// delayHistory is a link's delays by hours. The hour that runs is kept probe by probe, and is lost when the program ends.
type delayHistory struct {
	hours        []DelayHour // that are over, the newest last
	at           time.Time   // begin of the one that runs; zero: none
	idle, loaded []time.Duration
}

// add takes a probe. It tells whether an hour has ended by it.
func (h *delayHistory) add(at time.Time, rtt time.Duration, loaded bool) (ended bool) {
	if hour := at.Truncate(time.Hour); !hour.Equal(h.at) {
		ended = !h.at.IsZero()
		h.hours = h.list()
		h.at, h.idle, h.loaded = hour, nil, nil
	}
	if loaded {
		h.loaded = append(h.loaded, rtt)
	} else {
		h.idle = append(h.idle, rtt)
	}
	return ended
}

// list is the history with the hour that runs. A clock that was set back leaves no hour twice.
func (h *delayHistory) list() []DelayHour {
	out := slices.Clone(h.hours)
	if len(h.idle)+len(h.loaded) > 0 {
		out = slices.DeleteFunc(out, func(d DelayHour) bool { return !d.At.Before(h.at) })
		out = append(out, DelayHour{At: h.at, Idle: median(h.idle), Loaded: median(h.loaded), IdleProbes: len(h.idle), LoadedProbes: len(h.loaded)})
	}
	return out[max(0, len(out)-delayHours):]
}

// loadDelays goes on where the last run ended. What cannot be read is begun anew: it decides nothing.
func (e *Engine) loadDelays(ctx context.Context) error {
	for _, w := range e.wans {
		text, err := e.store.Setting(ctx, delayKey(w.config.Name))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the delays of link %s: %w", w.config.Name, err)
		}
		d := &linkDelays{}
		if err := json.Unmarshal(text, &d.history.hours); err != nil {
			e.log.Warn("the history of a link's delays cannot be read; it begins anew", "link", w.config.Name, "error", err)
			continue
		}
		e.shaper.delays[w.config.ID] = d
	}
	return nil
}

// saveDelays stores a link's hours that are over: one small write an hour.
func (e *Engine) saveDelays(ctx context.Context, link string, hours []DelayHour) {
	text, err := json.Marshal(hours)
	if err == nil {
		err = e.store.PutSetting(ctx, delayKey(link), text)
	}
	if err != nil && ctx.Err() == nil {
		e.log.Warn("the delays of the last hour could not be stored", "link", link, "error", err)
	}
}
