package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trenza-router/trenza/router/policy"
)

func parse(t *testing.T, text string) policy.Policy {
	t.Helper()
	p, err := policy.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDiff(t *testing.T) {
	a := parse(t, `
people: [{id: ana, name: Ana}, {id: ben}]
devices: [{id: pc, owner: ana}]
house:
  - {id: calls, force: must, what: {apps: [zoom]}, steer: {use: [fiber]}, qos: {cap: {down: 5mbit}}}
  - {id: gone, force: default, log: true}
  - {id: same, force: default, log: true}
personal:
  ana: [{id: moved, steer: {use: {fiber: 1, lte: 2}, mode: balance}}]
`)
	b := parse(t, `
time_zone: Europe/Madrid
people: [{id: ben}, {id: ana, name: Ana María}]
devices: [{id: pc, owner: ben}, {id: tv}]
house:
  - {id: same, force: default, log: true}
  - {id: calls, force: must, what: {apps: [zoom]}, steer: {use: [fiber, lte]}, qos: {cap: {up: 5mbit}}, priority: 3}
personal:
  ben: [{id: moved, steer: {use: {fiber: 1, lte: 3}, mode: balance}}]
`)
	want := strings.TrimSpace(`
added time_zone
  + time_zone: Europe/Madrid
changed person ana
  ~ name: Ana -> "Ana María"
changed device pc
  ~ owner: ana -> ben
added device tv
changed rule calls
  + priority: 3
  ~ steer.use: [fiber] -> [fiber, lte]
  + qos.cap.up: 5mbit
  - qos.cap.down: 5mbit
removed rule gone
  - force: default
  - log: true
  - tier: house
changed rule moved
  ~ steer.use: {fiber: 1, lte: 2} -> {fiber: 1, lte: 3}
  ~ tier: personal of ana -> personal of ben
`)
	var got []string
	for _, c := range policy.Diff(a, b) {
		got = append(got, c.String())
	}
	if diff := cmp.Diff(want, strings.Join(got, "\n")); diff != "" {
		t.Error(diff)
	}
	if changes := policy.Diff(a, a); len(changes) > 0 {
		t.Errorf("a policy differs from itself: %v", changes)
	}
}

func TestFindings(t *testing.T) {
	c := mustCompile(t, parse(t, `
people: [{id: ana}]
devices: [{id: pc, owner: ana}, {id: tv}]
groups: [{id: all, devices: [tv], people: [ana]}]
house:
  - {id: calls, force: must, what: {categories: [video-calls]}, steer: {use: [fiber, lte]}}
  - {id: no-lte, force: bound, who: {groups: [all]}, steer: {forbid: [lte]}}
  - {id: only-lte, force: bound, who: {devices: [tv]}, steer: {allow: [lte]}}
  - {id: elsewhere, force: bound, who: {devices: [pc]}, what: {apps: [steam]}, steer: {allow: [lte]}}
  - {id: night, force: bound, who: {people: [ana]}, when: ["22:00-06:00"], filter: {mode: deny-all}}
  - {id: no-games, force: must, what: {categories: [games]}, filter: {block: true}}
  - {id: weekdays, force: default, when: [mon-fri], qos: {class: web, priority: 2}}
  - {id: wednesday, force: default, who: {devices: [tv]}, when: ["wed 10:00-12:00"], priority: -1, qos: {class: bulk}}
personal:
  ana:
    - {id: my-zoom, what: {apps: [zoom]}, steer: {use: [wifi]}}
    - {id: my-lte, steer: {use: [lte]}}
    - {id: my-steam, what: {apps: [steam]}, filter: {allow: true}}
    - {id: late, when: ["sat 23:00-01:00"], what: {domains: [example.org]}, filter: {allow: true}}
    - {id: fine, what: {apps: [netflix]}, steer: {use: [wifi, lte]}, filter: {block: true}}
`))
	want := []string{
		"ineffective steer my-zoom by calls",
		"ineffective filter my-steam by no-games",
		"ineffective filter late by night",
		"ineffective steer my-lte by no-lte",
		"shadowed qos wednesday by weekdays",
		"contradiction steer no-lte by calls",
		"contradiction steer only-lte by calls",
		"contradiction steer no-lte by only-lte",
		"contradiction steer no-lte by elsewhere",
	}
	var got []string
	for _, f := range c.Findings() {
		got = append(got, f.Kind.String()+" "+f.Aspect.String()+" "+f.RuleID+" by "+f.By)
		if f.Text == "" {
			t.Errorf("%+v has no text", f)
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Error(diff)
	}
}

// TestModeThatHides: a person's mode that the house's exceeds is told as ineffective only if nothing stricter of theirs stands
// behind it, which would count without it.
func TestModeThatHides(t *testing.T) {
	for _, tt := range []struct {
		behind string
		want   int
	}{{"allow-all", 1}, {"deny-all", 0}} {
		c := mustCompile(t, parse(t, `
people: [{id: ana}]
devices: [{id: pc, owner: ana}]
house:
  - {id: house, force: must, filter: {mode: filter}}
personal:
  ana:
    - {id: first, priority: 1, when: [wed], filter: {mode: allow-all}}
    - {id: behind, when: ["wed 10:00-12:00"], filter: {mode: `+tt.behind+`}}
`))
		got := 0
		for _, f := range c.Findings() {
			if f.RuleID == "first" {
				got++
			}
		}
		if got != tt.want {
			t.Errorf("%s behind it: %d findings about the first rule, want %d", tt.behind, got, tt.want)
		}
	}
}
