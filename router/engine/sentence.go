package engine

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/policy"
)

// sentenceOf says the answer in plain words: where the flow goes, then the rule that decided.
func sentenceOf(a Answer) string {
	what := a.Target.Host
	if what == "" {
		what = a.Target.Addr.String()
	}
	if a.Target.App != "" {
		what = fmt.Sprintf("%s (%s)", what, a.Target.App)
	}
	reaching := func(f FamilyAnswer) bool { return len(f.Links) > 0 }
	switch {
	case !slices.ContainsFunc(a.Families, func(f FamilyAnswer) bool { return !f.Near }):
		return fmt.Sprintf("%s reaches %s inside the house: rules and links have no part in it.", a.Device.Name, what)
	case a.Decision.Blocked:
		return fmt.Sprintf("%s may not reach %s.%s", a.Device.Name, what, decider(a.Decision, policy.AspectFilter))
	case !slices.ContainsFunc(a.Families, reaching):
		return fmt.Sprintf("%s cannot reach %s: no link may carry it now.%s", a.Device.Name, what, decider(a.Decision, policy.AspectSteer))
	}
	text := fmt.Sprintf("%s reaches %s %s.", a.Device.Name, what, ways(a.Families))
	if !slices.ContainsFunc(a.Families, func(f FamilyAnswer) bool { return f.Addr.IsValid() }) {
		text += " No address of it is known now."
	}
	return text + decider(a.Decision, policy.AspectSteer)
}

// ways says which links the families take: "over fiber", "over fiber or wifi", "over fiber with IPv4 and over lte with IPv6".
func ways(families []FamilyAnswer) string {
	var ways []string
	for _, f := range families {
		var names []string
		for _, l := range f.Links {
			names = append(names, l.Link)
		}
		way := "over " + listed(names, "or")
		switch {
		case f.Near:
			way = "inside the house"
		case len(names) == 0:
			way = "not at all"
		}
		ways = append(ways, way)
	}
	if len(slices.Compact(slices.Clone(ways))) == 1 {
		return ways[0]
	}
	for i, f := range families {
		ways[i] += fmt.Sprintf(" with %s", f.Family)
	}
	return listed(ways, "and")
}

// decider is the sentence about the rule that decided an aspect, with a space before it; "" when none did.
func decider(d policy.Decision, aspect policy.Aspect) string {
	for _, r := range d.Reasons {
		if r.Aspect == aspect && (r.Outcome == policy.Decided || r.Outcome == policy.Clamped) {
			first, size := utf8.DecodeRuneInString(r.Text)
			return " " + string(unicode.ToUpper(first)) + r.Text[size:]
		}
	}
	return ""
}

// listed is "a", "a or b", "a, b or c".
func listed(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
}

// stateSentence says the state as a child could read it. What is broken is never "all good".
func stateSentence(st Status) string {
	var on, off []string
	for _, l := range st.Links {
		switch {
		case l.Role == flow.Never:
		case l.Usable:
			on = append(on, l.Name)
		default:
			off = append(off, l.Name)
		}
	}
	broken := slices.IndexFunc(st.Warnings, func(w Warning) bool { return w.Severity == observe.Serious.String() })
	switch {
	case st.Plan.Applied == 0 && broken < 0:
		return "The router is starting."
	case len(on) == 0 && len(off) == 0:
		return "No internet. There is no link to use."
	case len(on) == 0 && len(off) == 1:
		return fmt.Sprintf("No internet. %s is off.", off[0])
	case len(on) == 0:
		return "No internet. All links are off."
	case broken >= 0:
		return "Something is wrong. " + st.Warnings[broken].Text
	case len(off) == 1:
		return off[0] + " is off. Everything else works."
	case len(off) > 1:
		return listed(off, "and") + " are off. Everything else works."
	case len(on) == 1:
		return "All good. The link works."
	}
	return fmt.Sprintf("All good. All %d links work.", len(on))
}
