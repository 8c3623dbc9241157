package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/policy"
)

// TestRuleForAWhile: a pause ends by itself, half an hour more puts bedtime off once, and the next change is known in time.
func TestRuleForAWhile(t *testing.T) {
	p, err := policy.Parse("house.yaml", []byte(`
time_zone: Europe/Madrid
people: [{id: ana}]
devices: [{id: laptop, owner: ana, macs: ["02:00:00:00:00:01"]}]
house:
  - {id: pause-ana, force: must, priority: 1000, who: {people: [ana]}, until: 2026-11-30T18:00:00Z, filter: {mode: deny-all}}
  - {id: bedtime-ana, force: must, priority: 900, who: {people: [ana]}, when: ["21:30-07:00"], from: "2026-11-30T22:00:00+01:00", filter: {mode: deny-all}}
`))
	if err != nil {
		t.Fatal(err)
	}
	c := mustCompile(t, p)
	for at, want := range map[string]int{
		"2026-11-30T18:59:59+01:00": 1, // paused
		"2026-11-30T19:00:00+01:00": 0,
		"2026-11-30T21:45:00+01:00": 0, // it would be bedtime, and is put off
		"2026-11-30T22:00:00+01:00": 1,
		"2026-12-01T06:59:00+01:00": 1,
		"2026-12-01T07:00:00+01:00": 0,
		"2026-12-01T21:30:00+01:00": 1, // the next day as ever
	} {
		if got := c.Active(c.Subject("laptop"), moment(t, at)); len(got) != want {
			t.Errorf("at %s rules %v hold, want %d", at, got, want)
		}
	}
	for at, want := range map[string]string{
		"2026-11-30T18:30:00+01:00": "2026-11-30T19:00:00+01:00",
		"2026-11-30T21:45:00+01:00": "2026-11-30T22:00:00+01:00",
		"2026-11-30T22:30:00+01:00": "2026-12-01T07:00:00+01:00",
	} {
		if got := c.NextChange(moment(t, at)); !got.Equal(moment(t, want)) {
			t.Errorf("after %s comes %s, want %s", at, got, want)
		}
	}
	_, _, err = policy.Compile(policy.Policy{Main: []policy.Rule{{ID: "x", Tier: policy.Main, Force: policy.Must, Log: true,
		From: moment(t, "2026-11-30T22:00:00Z"), Until: moment(t, "2026-11-30T21:00:00Z")}}}, policy.Known{})
	if err == nil || !strings.Contains(err.Error(), "ends before it begins") {
		t.Errorf("a rule that ends before it begins: %v", err)
	}
}

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
