package policy

import (
	"slices"
)

const maxWeight = 1000

func (c ruleCheck) checkSteer(s *Steer) {
	use := make([]string, len(s.Use))
	for i, share := range s.Use {
		use[i] = share.Link
	}
	c.checkLinks("steer.use", use)
	c.checkLinks("steer.allow", s.Allow)
	c.checkLinks("steer.forbid", s.Forbid)
	if c.r.Force == Bound {
		c.checkSteerBound(s)
		return
	}
	for _, f := range []struct {
		field string
		list  []string
	}{{"steer.allow", s.Allow}, {"steer.forbid", s.Forbid}} {
		switch {
		case len(f.list) == 0:
		case c.r.Tier == User:
			c.bad(f.field, "a personal rule says what to use; only a bound of the house allows and forbids links")
		default:
			c.bad(f.field, "use force: bound to allow or forbid links; a %s says what to use", c.r.Force)
		}
	}
	if s.OverQuota && c.r.Tier == User {
		c.bad("steer.over_quota", "only the house gives leave to exceed a data quota")
	}
	c.checkUse(s)
	if s.Sticky > StickySite {
		c.bad("steer.sticky", "use %s", oneOf(stickyNames()))
	} else if s.Sticky != StickyFlow && s.Mode != Balance {
		c.bad("steer.sticky", "only mode balance is sticky; with %s every flow goes the same way", s.Mode)
	}
	if s.Failback > Move {
		c.bad("steer.failback", "use %s", oneOf(failbackNames()))
	}
	if s.Strict && s.Mode == Any {
		c.bad("steer.strict", "with mode any no link is wrong; name the links that are right")
	}
	if s.Delivery > Saver {
		c.bad("steer.delivery", "use %s", oneOf(deliveryNames()))
	}
}

func (c ruleCheck) checkUse(s *Steer) {
	switch n := len(s.Use); {
	case s.Mode > Any:
		c.bad("steer.mode", "use %s", oneOf(steerModeNames()))
		return
	case s.Mode == Any && n > 0:
		c.bad("steer.use", "mode any takes the router's own order and no links; use failover or balance to name them")
	case s.Mode == Fixed && n != 1:
		c.bad("steer.use", "mode fixed takes exactly one link; use failover for an order")
	case s.Mode != Any && n == 0:
		c.bad("steer.use", "mode %s needs links; name at least one, or use mode any", s.Mode)
	}
	for i, share := range s.Use {
		switch {
		case s.Mode == Balance && (share.Weight < 1 || share.Weight > maxWeight):
			c.badAt("steer.use", i, "the weight of %s is %d; use 1 to %d", share.Link, share.Weight, maxWeight)
		case s.Mode != Balance && share.Weight != 0:
			c.badAt("steer.use", i, "%s has a weight, which needs mode: balance", share.Link)
		}
	}
}

func (c ruleCheck) checkSteerBound(s *Steer) {
	if len(s.Use) > 0 || s.Mode != Failover || s.Sticky != StickyFlow || s.Failback != Drain || s.Delivery != Speed || s.Strict {
		c.bad("steer.use", "a bound does not choose; use allow, forbid, kill_switch or over_quota, or force: must or default")
	}
	if len(s.Allow)+len(s.Forbid) == 0 && !s.KillSwitch && !s.OverQuota {
		c.bad("steer", "the bound limits nothing; give it allow, forbid, kill_switch or over_quota")
	}
	for n, l := range s.Forbid {
		if slices.Contains(s.Allow, l) {
			c.badAt("steer.forbid", n, "%s is allowed and forbidden; leave it out of one", l)
		}
	}
}

func (c ruleCheck) checkQoS(q *QoS) {
	bound := c.r.Force == Bound
	if q.Class != "" && !slices.Contains(ClassNames(), q.Class) {
		c.bad("qos.class", "%q is not a class; use %s%s", q.Class, oneOf(ClassNames()), didYouMean(q.Class, ClassNames()))
	}
	for _, p := range []struct {
		field string
		value *int
	}{{"qos.priority", q.Priority}, {"qos.priority.min", q.MinPriority}, {"qos.priority.max", q.MaxPriority}} {
		if p.value != nil && (*p.value < 0 || *p.value > lowestPriority) {
			c.bad(p.field, "%d is out of range; use 0 (first) to %d", *p.value, lowestPriority)
		}
	}
	for _, r := range []struct {
		field string
		value Rate
	}{{"qos.guarantee.down", q.GuaranteeDown}, {"qos.guarantee.up", q.GuaranteeUp},
		{"qos.cap.down", q.CapDown}, {"qos.cap.up", q.CapUp},
		{"qos.throttle.down", q.ThrottleDown}, {"qos.throttle.up", q.ThrottleUp}} {
		if r.value > maxRate {
			c.bad(r.field, "%s is more than any link carries; use at most %s", r.value, maxRate)
		}
	}
	if q.DSCP != nil && (*q.DSCP < 0 || *q.DSCP > KeepDSCP) {
		c.bad("qos.dscp", "%d is out of range; use 0 to 63, or keep for what the device set", *q.DSCP)
	}
	if bound && q.DSCP != nil {
		c.bad("qos.dscp", "a code point has no bound; use force: must or default")
	}
	switch {
	case bound && q.Class != "":
		c.bad("qos.class", "a class has no bound; use force: must or default")
	case bound && q.Priority != nil:
		c.bad("qos.priority", "a bound sets a range; use priority: {min: 1, max: 5}")
	case !bound && (q.MinPriority != nil || q.MaxPriority != nil):
		c.bad("qos.priority", "a range of priorities is for force: bound; use one number")
	case bound && q.MinPriority != nil && q.MaxPriority != nil && *q.MinPriority > *q.MaxPriority:
		c.bad("qos.priority", "min %d is above max %d; write them the other way round", *q.MinPriority, *q.MaxPriority)
	}
	if !bound {
		c.checkGuarantee("down", q.GuaranteeDown, q.CapDown)
		c.checkGuarantee("up", q.GuaranteeUp, q.CapUp)
	}
	if *q == (QoS{}) {
		c.bad("qos", "says nothing; give it class, priority, guarantee, cap, throttle or dscp")
	}
}

func (c ruleCheck) checkGuarantee(direction string, guarantee, limit Rate) {
	if limit != 0 && guarantee > limit {
		c.bad("qos.guarantee."+direction, "%s is more than the cap of %s; make it at most that", guarantee, limit)
	}
}

func (c ruleCheck) checkFilter(f *Filter) {
	w := c.r.What
	anyWhat := len(w.Apps)+len(w.Categories)+len(w.Domains)+len(w.Addresses)+len(w.Services)+len(w.DSCP) > 0 || w.HasContent()
	switch {
	case f.Action > Allow || f.Mode > ModeDenyAll:
		c.bad("filter", "use block: true, allow: true, or mode: %s", oneOf(filterModeNames()))
	case f.Action == NoAction && f.Mode == ModeUnset:
		c.bad("filter", "says nothing; give it block: true, allow: true, or mode: %s", oneOf(filterModeNames()))
	case f.Action != NoAction && f.Mode != ModeUnset:
		c.bad("filter.mode", "a mode is for whole devices; make a second rule for what to %s", f.Action)
	case f.Mode != ModeUnset && anyWhat:
		c.bad("filter.mode", "a mode is for whole devices and has no what; use block: true or allow: true for some flows")
	case f.Action != NoAction && c.r.Force == Bound:
		c.bad("filter."+f.Action.String(), "a bound sets the least mode; use force: must or default to %s", f.Action)
	}
	if f.Liftable && !(c.r.Force == Must && f.Action == Block || (c.r.Force == Must || c.r.Force == Bound) && f.Mode == ModeDenyAll) {
		c.bad("filter.liftable", "only a block with force: must, or mode deny-all with force: must or bound, can be lifted by a person")
	}
	if f.Silent && f.Action != Block && f.Mode != ModeDenyAll {
		c.bad("filter.silent", "only what blocks can be silent: block: true or mode: deny-all")
	}
}
