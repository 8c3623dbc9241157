package steer

import (
	"slices"
	"strconv"
	"strings"

	"github.com/trenza-router/trenza/router/policy"
)

// Key is the identity of a steering choice: two statements with equal keys resolve to equal choices under every
// condition of the links. It is readable ("balance fiber:70 wifi:30 by site, move") and stable between releases as long as its text is,
// so that an interned flow.ChoiceID keeps its meaning over a restart.
func Key(s policy.Steer) string {
	s = canonical(s)
	var b strings.Builder
	b.WriteString(modeWord(s.Mode))
	for _, u := range s.Use {
		b.WriteByte(' ')
		b.WriteString(nameWord(u.Link))
		if s.Mode == policy.Balance {
			b.WriteByte(':')
			b.WriteString(strconv.Itoa(u.Weight))
		}
	}
	switch {
	case s.Sticky == policy.StickyHost:
		b.WriteString(" by host")
	case s.Sticky == policy.StickySite && s.Mode == policy.Balance:
		b.WriteString(" by site") // the other modes do so unasked
	}
	for _, l := range s.Allow {
		b.WriteString(" +")
		b.WriteString(nameWord(l))
	}
	for _, l := range s.Forbid {
		b.WriteString(" -")
		b.WriteString(nameWord(l))
	}
	if s.Failback == policy.Move {
		b.WriteString(", move")
	}
	if s.Delivery != policy.Speed {
		b.WriteString(", delivery ")
		b.WriteString(s.Delivery.String())
	}
	if s.KillSwitch {
		b.WriteString(", kill switch")
	}
	if s.OverQuota {
		b.WriteString(", over quota")
	}
	return b.String()
}

func modeWord(m policy.SteerMode) string {
	switch m {
	case policy.Failover:
		return "failover"
	case policy.Fixed:
		return "fixed"
	case policy.Balance:
		return "balance"
	}
	return "any"
}

// nameWord writes a link's name so that no two lists of names look alike: names other than plain words are quoted.
func nameWord(s string) string {
	plain := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if plain {
		return s
	}
	return strconv.Quote(s)
}

// canonical removes from a statement what has no influence on its meaning: weights outside a balance, the order of a
// set, repetitions, stickiness where there is one link at a time.
func canonical(s policy.Steer) policy.Steer {
	use := make([]policy.LinkShare, 0, len(s.Use))
	for _, u := range s.Use {
		if slices.ContainsFunc(use, func(v policy.LinkShare) bool { return v.Link == u.Link }) {
			continue
		}
		if s.Mode == policy.Balance {
			u.Weight = max(u.Weight, 1)
		} else {
			u.Weight = 0
		}
		use = append(use, u)
	}
	switch s.Mode {
	case policy.Fixed:
		// A fixed link has no substitute: there is nothing to share, to fall back from or to refuse beyond that.
		use = use[:min(len(use), 1)]
		s.Sticky, s.Failback, s.KillSwitch = policy.StickyFlow, policy.Drain, false
	case policy.Balance, policy.Any:
		slices.SortFunc(use, func(a, b policy.LinkShare) int { return strings.Compare(a.Link, b.Link) })
	}
	s.Use = use
	s.Sticky = stickiness(s)
	s.Allow = sortedSet(s.Allow)
	s.Forbid = sortedSet(s.Forbid)
	return s
}

// stickiness is what keeps flows together when a choice has several buckets. Only a balance that a rule asks for may spread single flows:
// where the router chooses by itself, nobody has said that a session survives a change of address, so a site
// stays on one link.
func stickiness(s policy.Steer) policy.Sticky {
	if s.Mode != policy.Fixed && s.Mode != policy.Balance && s.Sticky == policy.StickyFlow {
		return policy.StickySite
	}
	return s.Sticky
}

func sortedSet(l []string) []string {
	if len(l) == 0 {
		return nil
	}
	l = slices.Clone(l)
	slices.Sort(l)
	return slices.Compact(l)
}
