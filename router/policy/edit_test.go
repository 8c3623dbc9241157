package policy

import (
	"errors"
	"strings"
	"testing"
)

const editPolicy = `
people: [{id: ana}, {id: leo}]
devices: [{id: tv, macs: ["02:00:00:00:00:01"]}, {id: pad, owner: leo, macs: ["02:00:00:00:00:02"]}]
house:
  - {id: a, force: must, priority: 5, what: {domains: [a.example]}, steer: {use: [fiber]}}
  - {id: b, force: must, what: {domains: [b.example]}, steer: {use: [fiber]}}
  - {id: c, force: must, what: {domains: [c.example]}, steer: {use: [fiber]}}
  - {id: no-lte, force: bound, steer: {forbid: [lte]}}
  - {id: usual, force: default, steer: {use: [fiber]}}
personal:
  leo:
    - {id: mine, what: {domains: [a.example]}, steer: {use: [lte]}}
    - {id: log-only, log: true}
`

func editor(t *testing.T) *Editor {
	t.Helper()
	p, err := Parse("p", []byte(editPolicy))
	if err != nil {
		t.Fatal(err)
	}
	return Edit(p)
}

func TestOrder(t *testing.T) {
	e := editor(t)
	if err := e.Order([]string{"c", "a", "b"}); err != nil {
		t.Fatal(err)
	}
	c, warnings, err := Compile(e.Policy(), Known{Links: []string{"fiber", "lte"}})
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	var got []string
	for i := range 3 {
		got = append(got, c.Rule(i).ID)
	}
	if strings.Join(got, "") != "cab" {
		t.Errorf("looked at in the order %v", got)
	}
	for _, bad := range [][]string{{"a", "usual"}, {"a", "mine"}, {"a", "a"}, {"a", "none"}} {
		if err := e.Order(bad); err == nil {
			t.Errorf("%v were put in an order", bad)
		}
	}
	many := make([]string, 0, 2002)
	for i := range 2002 {
		id := "r" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/182)
		r, _ := e.Rule("a")
		r.ID = id
		e.PutRule(r)
		many = append(many, id)
	}
	if err := e.Order(many); err == nil {
		t.Error("more rules than priorities were put in an order")
	}
	// Far down, they are moved up so that all have room.
	low := editor(t)
	for _, id := range []string{"a", "b", "c"} {
		r, _ := low.Rule(id)
		r.Priority = -maxPriority
		low.PutRule(r)
	}
	if err := low.Order([]string{"b", "c", "a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := Format(low.Policy()); err != nil {
		t.Error(err)
	}
}

func TestEdit(t *testing.T) {
	e := editor(t)
	before := e.Policy()
	r, err := ParseRule([]byte(`{"id":"a","name":"New \u00e9","what":{"apps":["zoom"]},"steer":{"use":{"fiber":70,"lte":30},"mode":"balance"},"when":["mon-fri 08:00-14:00"]}`), "leo")
	if err != nil {
		t.Fatal(err)
	}
	e.PutRule(r)
	if len(before.Main) != 5 || len(before.User) != 2 {
		t.Error("the policy that was edited has changed")
	}
	got, ok := e.Rule("a")
	if !ok || got.Tier != User || got.Owner != "leo" || got.Name != "New é" || got.Steer.Use[1].Weight != 30 || len(e.Policy().Main) != 4 || len(e.Policy().User) != 3 {
		t.Errorf("%+v", got)
	}
	if err := e.DeleteRule("a"); err != nil {
		t.Error(err)
	}
	for _, err := range []error{e.DeleteRule("a"), e.DeleteEntry("person", "x"), e.DeleteEntry("device", "x"), e.DeleteEntry("group", "x")} {
		if !errors.Is(err, ErrNoEntry) {
			t.Errorf("what is not there: %v", err)
		}
	}
	e.PutPerson(Person{ID: "leo", Name: "Leo"})
	e.PutGroup(Group{ID: "kids", People: []string{"leo"}})
	e.PutDevice(Device{ID: "tv", Name: "TV", Owner: "ana", MACs: before.Devices[0].MACs})
	if p := e.Policy(); len(p.People) != 2 || p.People[1].Name != "Leo" || len(p.Groups) != 1 || p.Devices[0].Owner != "ana" {
		t.Errorf("%+v", p)
	}
	if _, err := Format(e.Policy()); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "[]", "x", `{"id":"a","steer":{"use":["x"],"nope":1}}`, `{"id":"a","when":["noon"]}`} {
		if _, err := ParseRule([]byte(bad), ""); err == nil {
			t.Errorf("%q is a rule", bad)
		}
	}
}

func TestLimits(t *testing.T) {
	c, _, err := Compile(editor(t).Policy(), Known{Links: []string{"fiber", "lte"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range c.Limits("mine") {
		word := l.Rule.ID
		if l.Locked {
			word += "!"
		}
		got = append(got, word)
	}
	// b and c are about other names, usual gives way.
	if strings.Join(got, " ") != "a! no-lte" {
		t.Errorf("above it stand %v", got)
	}
	for _, id := range []string{"log-only", "a", "none"} {
		if l := c.Limits(id); len(l) != 0 {
			t.Errorf("above %s stand %v", id, l)
		}
	}
}

// FuzzParseRule: whatever a client sends as a rule is a rule that Format can write, or is refused.
func FuzzParseRule(f *testing.F) {
	f.Add([]byte(`{"id":"a","what":{"apps":["zoom"]},"steer":{"use":{"fiber":70,"lte":30},"mode":"balance"}}`), "leo")
	f.Add([]byte(`{"id":"a","force":"must","filter":{"block":true},"when":["22:00-06:00"]}`), "")
	f.Add([]byte("id: [\"\\ud800\"]"), "x")
	f.Fuzz(func(t *testing.T, data []byte, owner string) {
		r, err := ParseRule(data, owner)
		if err != nil {
			return
		}
		p := Policy{Main: []Rule{r}}
		if owner != "" {
			p = Policy{People: []Person{{ID: owner}}, User: []Rule{r}}
		}
		text, err := Format(p)
		if err != nil {
			return // it does not hold as a whole
		}
		if _, err := Parse("p", text); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	})
}
