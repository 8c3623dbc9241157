package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

// Rules that promise something to some flows only give these flows a class of their own, from firstOwnClass on. Classes live
// inside a device, so that two rules may have the same number as long as no device is meant by both.
const firstOwnClass = flow.AppClass(7) // the first behind those of ClassNames

// promises tells whether a rule says more of some flows than which class of ClassNames they are of.
func (r *compiledRule) promises() bool {
	return r.QoS != nil && !r.Who.Router && r.match.selects() && (r.qos.said&^(1<<qosClass) != 0 || r.qos.ranged)
}

// selects tells whether any dimension is not empty.
func (m *matcher) selects() bool {
	return m.byName || len(m.addresses)+len(m.services) > 0 || m.dscp != 0
}

// numberClasses gives rules their own classes, in canonical order, and returns a warning for each that got none.
func (c *Compiled) numberClasses() []Warning {
	var own []int
	for i := range c.rules {
		if c.rules[i].promises() {
			own = append(own, i)
		}
	}
	if len(own) == 0 {
		return nil
	}
	reach := c.reaches()
	var out []Warning
	for n, i := range own {
		var taken [flow.MaxAppClass + 1]bool
		for _, j := range own[:n] {
			if !taken[c.rules[j].own] && reach[j].meets(reach[i]) {
				taken[c.rules[j].own] = true
			}
		}
		r := &c.rules[i]
		for k := firstOwnClass; k <= flow.MaxAppClass && r.own == 0; k++ {
			if !taken[k] {
				r.own = k
			}
		}
		if r.own == 0 {
			out = append(out, Warning{r.ID, fmt.Sprintf("promises something to some flows of devices for which %d other rules do so already: its rates are not kept; join some of them",
				flow.MaxAppClass-firstOwnClass+1)})
		}
	}
	return out
}

// flowClass is the class of flows that these rules match: of the first rule that has one of its own, or says one.
func (c *Compiled) flowClass(rules []int) flow.AppClass {
	for _, i := range rules {
		if k := c.rules[i].class(); k != 0 {
			return k
		}
	}
	return 0
}

// class is the class that the rule gives to flows; 0: it gives none.
func (r *compiledRule) class() flow.AppClass {
	switch {
	case r.own != 0:
		return r.own
	case r.QoS != nil && r.Force != Bound && r.qos.says(qosClass):
		return flow.AppClass(r.qos.values[qosClass])
	}
	return 0
}

// ClassNeeds tells what rules that give a class go by beside addresses and services: names or what a flow speaks, and code points. What
// is not known any more of a running flow cannot speak against its class.
func (c *Compiled) ClassNeeds(k flow.AppClass) (name, dscp bool) {
	return c.classes[k].name, c.classes[k].dscp
}

// GivesClasses tells whether any rule gives flows a class.
func (c *Compiled) GivesClasses() bool { return c.classes != [flow.MaxAppClass + 1]classUse{} }

// SetsDSCP tells whether any rule says what packets carry in their DSCP field.
func (c *Compiled) SetsDSCP() bool {
	return slices.ContainsFunc(c.rules, func(r compiledRule) bool { return r.QoS != nil && r.QoS.DSCP != nil })
}

// classUse is what the rules that give a class go by.
type classUse struct{ given, name, dscp bool }

func (c *Compiled) noteClasses() {
	for i := range c.rules {
		r := &c.rules[i]
		if k := r.class(); k != 0 {
			u := &c.classes[k]
			u.given, u.name, u.dscp = true, u.name || r.match.byName, u.dscp || r.match.dscp != 0
		}
	}
}

// OwnClass is the class of the flows that rule i promises something to; 0: it has none of its own.
func (c *Compiled) OwnClass(i int) flow.AppClass { return c.rules[i].own }

// Promise is what the rules say of some traffic of a device taken together.
type Promise struct {
	Class    flow.AppClass // 0: all its traffic
	Rule     *Rule         // that the class is for; nil for all traffic
	Decision Decision      // its QoS counts
}

// Promises lists what the rules say of a device's traffic as a whole, and of that in each class of a rule's own, at a moment.
func (c *Compiled) Promises(s Subject, at time.Time) []Promise {
	active := slices.DeleteFunc(c.Active(s, at), func(i int) bool { return c.rules[i].QoS == nil })
	about := func(of *compiledRule) Decision {
		return c.Combine(s, slices.DeleteFunc(slices.Clone(active), func(i int) bool {
			r := &c.rules[i]
			return r != of && (of == nil && r.match.selects() || of != nil && !c.whatCovers(r, of))
		}))
	}
	out := []Promise{{Decision: about(nil)}}
	for _, i := range active {
		if r := &c.rules[i]; r.own != 0 {
			out = append(out, Promise{Class: r.own, Rule: r.Rule, Decision: about(r)})
		}
	}
	return out
}
