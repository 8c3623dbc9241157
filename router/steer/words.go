package steer

import "strings"

// state says why a link does not serve, as the beginning of a sentence.
func (r resolver) state(l LinkCondition) string {
	switch {
	case !l.Usable && l.Lacks != "":
		return l.Name + " has no " + l.Lacks
	case !l.Usable:
		return l.Name + " is out of use"
	case !r.open(l):
		return l.Name + " has spent its data quota"
	}
	return l.Name + " is degraded"
}

// states joins the states of several links: "a and b are out of use", "a is out of use and b is degraded".
func (r resolver) states(links []LinkCondition) string {
	var parts []string
	for _, l := range links {
		parts = append(parts, r.state(l))
	}
	return list(parts)
}

func names(links []LinkCondition) []string {
	var out []string
	for _, l := range links {
		out = append(out, l.Name)
	}
	return out
}

// list is "a", "a and b", "a, b and c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

func verb(links []LinkCondition, one, many string) string {
	if len(links) == 1 {
		return one
	}
	return many
}
