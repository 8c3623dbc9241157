package engine

import (
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

func TestStateSentence(t *testing.T) {
	link := func(name string, usable bool) LinkView { return LinkView{Name: name, Usable: usable} }
	spare := LinkView{Name: "spare", Role: flow.Never}
	made := PlanView{Applied: 1}
	serious := []Warning{{Severity: "warning", Text: "Something small."}, {Severity: "error", Text: "The disk is full."}}
	for want, st := range map[string]Status{
		"The router is starting.":                               {},
		"All good. The link works.":                             {Plan: made, Links: []LinkView{link("a", true)}},
		"All good. All 2 links work.":                           {Plan: made, Links: []LinkView{link("a", true), link("b", true), spare}},
		"a is off. Everything else works.":                      {Plan: made, Links: []LinkView{link("a", false), link("b", true)}},
		"a, b and c are off. Everything else works.":            {Plan: made, Links: []LinkView{link("a", false), link("b", false), link("c", false), link("d", true)}},
		"No internet. All links are off.":                       {Plan: made, Links: []LinkView{link("a", false), link("b", false)}},
		"No internet. a is off.":                                {Plan: made, Links: []LinkView{link("a", false), spare}},
		"No internet. There is no link to use.":                 {Plan: made, Links: []LinkView{spare}},
		"Something is wrong. The disk is full.":                 {Plan: made, Links: []LinkView{link("a", true)}, Warnings: serious},
		"Something is wrong. The latest change is not in force": {Links: []LinkView{link("a", true)}, Warnings: []Warning{{Severity: "error", Text: "The latest change is not in force"}}},
	} {
		if got := stateSentence(st); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestPolicyChangedSentence(t *testing.T) {
	for _, c := range []struct {
		by   string
		n    int
		want string
	}{
		{"ana", 3, "The rules were changed by ana: 3 changes."}, {"ana", 1, "The rules were changed by ana: 1 change."},
		{"", 2, "The rules were changed: 2 changes."}, {"", 0, "The rules were changed: nothing that matters."},
	} {
		if got := policyChanged(c.by, c.n); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
