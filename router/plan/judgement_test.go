package plan

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// A compiler that remembers makes the same plans as one that does not, whatever changed in between.
func TestCompilerRemembersNothingWrong(t *testing.T) {
	base := homeInput(t)
	other := compilePolicy(t, homePolicy+"\n    - {id: night, what: {apps: [netflix]}, when: [\"mon-sun 20:00-23:00\"], steer: {use: [lte]}}\n")
	steps := []struct {
		name   string
		change func(*Input)
		fresh  bool // the judgement must be made anew
	}{
		{"first", func(*Input) {}, true},
		{"same", func(*Input) {}, false},
		{"a link dies", func(in *Input) { in.Links[0].Usable = false }, false},
		{"a link loses IPv6", func(in *Input) { in.Links[1].Gateway6 = netip.Addr{} }, false},
		{"another address of a device", func(in *Input) { in.Devices[0].MACs = append(in.Devices[0].MACs, flow.MAC{2, 9}) }, false},
		{"a device comes", func(in *Input) {
			in.Devices = append(in.Devices, Device{Number: 9, ID: "new", MACs: []flow.MAC{{2, 0, 0, 0, 0, 9}}})
		}, true},
		{"a name class comes", func(in *Input) {
			in.Names = append(in.Names, NameClass{Class: 4, Host: "x.bad.example", Domains: []policy.Domain{{Name: "bad.example"}}})
		}, true},
		{"another policy", func(in *Input) { in.Policy = other }, true},
		{"its schedule begins", func(in *Input) { in.Policy, in.Now = other, noon.Add(9*time.Hour) }, true},
		{"and ends", func(in *Input) { in.Policy, in.Now = other, noon.Add(12*time.Hour) }, true},
		{"back", func(*Input) {}, true},
	}
	var c Compiler
	for _, step := range steps {
		in := base
		in.Links, in.Devices, in.Names = homeLinks(), append([]Device(nil), base.Devices...), append([]NameClass(nil), base.Names...)
		step.change(&in)
		before := c.last
		got, err := c.Compile(in)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		want, err := Compile(in)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(want.String(), got.String()); diff != "" {
			t.Errorf("%s: a compiler with a memory plans differently:\n%s", step.name, diff)
		}
		if fresh := c.last != before; fresh != step.fresh {
			t.Errorf("%s: judged anew: %v, want %v", step.name, fresh, step.fresh)
		}
	}
}
