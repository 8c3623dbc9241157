package policy

import (
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

func TestClassNeeds(t *testing.T) {
	compile := func(text string) *Compiled {
		p, err := Parse("test", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := Compile(p, Known{Links: []string{"fiber"}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if compile("house: [{id: a, force: must, what: {services: [tcp/22]}, steer: {use: [fiber]}}]\n").GivesClasses() {
		t.Error("a rule without a class gives one")
	}
	c := compile(`
house:
  - {id: shells, force: must, what: {services: [tcp/22]}, qos: {class: realtime}}
  - {id: calls, force: must, what: {domains: [calls.example]}, qos: {class: interactive}}
  - {id: voice, force: must, what: {dscp: [46]}, qos: {guarantee: {up: 1mbit}}}
`)
	if !c.GivesClasses() {
		t.Error("no class is given")
	}
	own := flow.AppClass(0)
	for i := range c.Len() {
		own = max(own, c.OwnClass(i))
	}
	for k, want := range map[flow.AppClass][2]bool{0: {}, 1: {}, 2: {true, false}, 5: {}, own: {false, true}} {
		if name, dscp := c.ClassNeeds(k); name != want[0] || dscp != want[1] {
			t.Errorf("class %d goes by names: %v, code points: %v; want %v", k, name, dscp, want)
		}
	}
}
