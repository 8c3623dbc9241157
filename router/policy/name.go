package policy

import (
	"slices"
	"time"
)

// DecideName answers for a name before anybody knows to which address, protocol and port flows to it will go. It is blocked only if every
// such flow would be: a rule that also asks for those does not block the name, and one that allows some of the flows keeps the name open.
// Steer and QoS of the decision mean nothing.
func (c *Compiled) DecideName(s Subject, app, category, host string, at time.Time) Decision {
	rules := slices.DeleteFunc(c.Active(s, at), func(i int) bool {
		if !c.MatchesName(i, app, category, host) {
			return true
		}
		partly := c.HasAddr(i) || c.HasService(i) || c.HasDSCP(i) || c.HasContent(i)
		f := c.rules[i].Filter
		return partly && (f == nil || f.Action != Allow)
	})
	return c.Combine(s, rules)
}
