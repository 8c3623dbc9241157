package policy

import (
	"fmt"
	"strings"
)

// The fields of QoS are decided one by one: a rule that says only a class leaves the cap to the next rule.
const (
	qosClass = iota
	qosPriority
	qosGuaranteeDown
	qosGuaranteeUp
	qosCapDown
	qosCapUp
	qosThrottleDown
	qosThrottleUp
	qosDSCP
	qosFields
)

func qosFieldName(f int) string {
	return [qosFields]string{"class", "priority", "guarantee down", "guarantee up", "cap down", "cap up", "throttle down", "throttle up", "dscp"}[f]
}

// qosValues is a rule's QoS as numbers: the class as flow.AppClass, the priority as it is, rates in bits per second.
type qosValues struct {
	said   uint16 // bit set of fields
	values [qosFields]uint64
	// A bound's range of priorities.
	minPriority, maxPriority uint64
	ranged                   bool
}

const lowestPriority = 7

func newQoSValues(q *QoS) qosValues {
	v := qosValues{maxPriority: lowestPriority}
	set := func(field int, value uint64, said bool) {
		if said {
			v.said |= 1 << field
			v.values[field] = value
		}
	}
	set(qosClass, uint64(appClass(q.Class)), q.Class != "")
	if q.Priority != nil {
		set(qosPriority, uint64(*q.Priority), true)
	}
	set(qosGuaranteeDown, uint64(q.GuaranteeDown), q.GuaranteeDown != 0)
	set(qosGuaranteeUp, uint64(q.GuaranteeUp), q.GuaranteeUp != 0)
	set(qosCapDown, uint64(q.CapDown), q.CapDown != 0)
	set(qosCapUp, uint64(q.CapUp), q.CapUp != 0)
	set(qosThrottleDown, uint64(q.ThrottleDown), q.ThrottleDown != 0)
	set(qosThrottleUp, uint64(q.ThrottleUp), q.ThrottleUp != 0)
	if q.DSCP != nil {
		set(qosDSCP, uint64(*q.DSCP), true)
	}
	if q.MinPriority != nil {
		v.minPriority, v.ranged = uint64(*q.MinPriority), true
	}
	if q.MaxPriority != nil {
		v.maxPriority, v.ranged = uint64(*q.MaxPriority), true
	}
	return v
}

func (v *qosValues) says(field int) bool { return v.said&(1<<field) != 0 }

// qosOutcome is a QoS decision and who made each field.
type qosOutcome struct {
	values   [qosFields]uint64
	said     uint16
	decider  [qosFields]int
	clamp    [qosFields]int // the bound whose value a field has, or none
	balanced [2]bool        // guarantee and cap contradicted each other (down, up)
	// The range of priorities that bounds leave.
	minPriority, maxPriority uint64
	ranged                   bool
}

func (o *qosOutcome) says(field int) bool { return o.said&(1<<field) != 0 }

func (c *Compiled) resolveQoS(rules []int) qosOutcome {
	o := qosOutcome{maxPriority: lowestPriority}
	for f := range qosFields {
		o.decider[f], o.clamp[f] = none, none
	}
	for _, i := range rules {
		r := &c.rules[i]
		if r.QoS == nil || r.Force == Bound {
			continue
		}
		for f := range qosFields {
			if r.qos.says(f) && !o.says(f) {
				o.said |= 1 << f
				o.values[f], o.decider[f] = r.qos.values[f], i
			}
		}
	}
	for _, i := range rules {
		if r := &c.rules[i]; r.QoS != nil && r.Force == Bound {
			c.clampQoS(&o, i, &r.qos)
		}
	}
	c.fitGuarantee(&o, 0, qosGuaranteeDown, qosCapDown)
	c.fitGuarantee(&o, 1, qosGuaranteeUp, qosCapUp)
	return o
}

// must tells whether a main must decided the field: bounds do not reach it.
func (c *Compiled) must(o *qosOutcome, field int) bool {
	return o.decider[field] != none && c.rules[o.decider[field]].Force == Must
}

// clampQoS holds what a user, a default or the built-in says inside the values b of bound i.
func (c *Compiled) clampQoS(o *qosOutcome, i int, b *qosValues) {
	for _, f := range [4]int{qosCapDown, qosCapUp, qosThrottleDown, qosThrottleUp} {
		if b.says(f) && !c.must(o, f) && (!o.says(f) || b.values[f] < o.values[f]) {
			o.said |= 1 << f
			o.values[f], o.clamp[f] = b.values[f], i
		}
	}
	for _, f := range [2]int{qosGuaranteeDown, qosGuaranteeUp} {
		if b.says(f) && !c.must(o, f) && o.says(f) && b.values[f] < o.values[f] {
			o.values[f], o.clamp[f] = b.values[f], i
		}
	}
	if !b.ranged {
		return
	}
	o.ranged = true
	o.maxPriority = min(o.maxPriority, b.maxPriority)
	o.minPriority = min(max(o.minPriority, b.minPriority), o.maxPriority)
	if o.says(qosPriority) && !c.must(o, qosPriority) {
		if p := min(max(o.values[qosPriority], o.minPriority), o.maxPriority); p != o.values[qosPriority] {
			o.values[qosPriority], o.clamp[qosPriority] = p, i
		}
	}
}

// fitGuarantee ends a contradiction between a guarantee and a lower cap. The cap holds, unless a main must gives the
// guarantee and no main must the cap.
func (c *Compiled) fitGuarantee(o *qosOutcome, direction, guarantee, limit int) {
	if !o.says(guarantee) || !o.says(limit) || o.values[guarantee] <= o.values[limit] {
		return
	}
	o.balanced[direction] = true
	if c.must(o, guarantee) && !c.must(o, limit) {
		o.values[limit] = o.values[guarantee]
		return
	}
	o.values[guarantee] = o.values[limit]
}

func (o *qosOutcome) decision() QoS {
	q := QoS{
		GuaranteeDown: Rate(o.values[qosGuaranteeDown]),
		GuaranteeUp:   Rate(o.values[qosGuaranteeUp]),
		CapDown:       Rate(o.values[qosCapDown]),
		CapUp:         Rate(o.values[qosCapUp]),
		ThrottleDown:  Rate(o.values[qosThrottleDown]),
		ThrottleUp:    Rate(o.values[qosThrottleUp]),
	}
	if n := o.values[qosClass]; n > 0 {
		q.Class = ClassNames()[n-1]
	}
	number := func(v uint64) *int { n := int(v); return &n }
	if o.says(qosDSCP) {
		q.DSCP = number(o.values[qosDSCP])
	}
	switch {
	case o.says(qosPriority):
		q.Priority = number(o.values[qosPriority])
	case o.ranged:
		q.MinPriority, q.MaxPriority = number(o.minPriority), number(o.maxPriority)
	}
	return q
}

func (o *qosOutcome) describe(field int) string {
	value := fmt.Sprint(Rate(o.values[field]))
	switch field {
	case qosClass:
		value = ClassNames()[o.values[qosClass]-1]
	case qosPriority:
		value = fmt.Sprint(o.values[field])
	case qosDSCP:
		if value = fmt.Sprint(o.values[field]); o.values[field] == KeepDSCP {
			value = keepDSCP
		}
	}
	return qosFieldName(field) + " " + value
}

func (x *explainer) qos(o *qosOutcome) {
	x.each(AspectQoS, func(i int, r *compiledRule) {
		if r.Force == Bound {
			x.qosBound(o, i, r)
			return
		}
		var decided, lost []string
		clamp, winner := none, none
		for f := range qosFields {
			switch {
			case !r.qos.says(f):
			case o.decider[f] != i:
				lost = append(lost, qosFieldName(f))
				winner = firstOf(winner, o.decider[f])
			default:
				decided = append(decided, o.describe(f))
				clamp = firstOf(clamp, o.clamp[f])
			}
		}
		switch {
		case len(decided) == 0:
			x.add(AspectQoS, i, Overruled, winner, x.overruled(i, winner))
		case clamp != none:
			x.add(AspectQoS, i, Clamped, clamp, fmt.Sprintf("%s is held inside the bound of %s: %s.",
				r, x.c.Rule(clamp), strings.Join(decided, ", ")))
		case len(lost) > 0:
			x.add(AspectQoS, i, Decided, winner, fmt.Sprintf("%s decides %s; %s sets %s.",
				r, strings.Join(decided, ", "), x.c.Rule(winner), strings.Join(lost, ", ")))
		default:
			x.add(AspectQoS, i, Decided, none, fmt.Sprintf("%s decides %s.", r, strings.Join(decided, ", ")))
		}
	})
	for f := range qosFields {
		if o.decider[f] != none {
			return
		}
	}
	by := none
	for _, f := range [4]int{qosCapDown, qosCapUp, qosThrottleDown, qosThrottleUp} {
		by = firstOf(by, o.clamp[f])
	}
	if by != none {
		x.add(AspectQoS, none, Clamped, by, "No rule sets the quality; only bounds hold.")
		return
	}
	x.add(AspectQoS, none, Decided, none, "No rule sets the quality: it follows from the application.")
}

func (x *explainer) qosBound(o *qosOutcome, i int, r *compiledRule) {
	var effects []string
	for f := range qosFields {
		if o.clamp[f] == i {
			effects = append(effects, o.describe(f))
		}
	}
	if r.qos.ranged && !o.says(qosPriority) {
		effects = append(effects, fmt.Sprintf("priority between %d and %d", r.qos.minPriority, r.qos.maxPriority))
	}
	if len(effects) > 0 {
		x.add(AspectQoS, i, Limited, none, fmt.Sprintf("%s sets the bound: %s.", r, strings.Join(effects, ", ")))
		return
	}
	x.add(AspectQoS, i, NoEffect, none, fmt.Sprintf("%s has nothing to limit here.", r))
}
