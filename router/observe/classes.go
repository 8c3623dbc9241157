package observe

import "github.com/trenza-router/trenza/router/flow"

// Classes are the classes of the running flows that moved something at the last tick or are new, as the class bits of their marks, with
// the sum of the flows' rates.
func (c *Collector) Classes() map[flow.Mark]Rate {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[flow.Mark]Rate{}
	for _, e := range c.track.conns {
		if !e.ended.IsZero() || !e.toInternet() || e.rate == (Rate{}) {
			continue
		}
		k := e.mark & flow.ClassMask
		out[k] = Rate{out[k].Up + e.rate.Up, out[k].Down + e.rate.Down}
	}
	return out
}
