package tunnel

import (
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	code := anInvite(t).Code()
	c, err := Parse("bond.yaml", []byte("code: "+code+"\npaths: [{device: wan1}, {device: wan2, metered: true}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Links()) != 2 || c.Links()[1].ID != 1 || !c.Links()[1].Metered || c.Run != c.State || len(c.Routes) != 2 {
		t.Errorf("%+v", c)
	}
	for text, want := range map[string]string{
		"":                                           "paths",
		"paths: []":                                  "paths",
		"paths: [{device: a}, {device: a}]":          "twice",
		"paths: [{name: a}]":                         "network device",
		"paths: [{device: trenza-bond}]":             "network device",
		"pahts: [{device: a}]":                       "pahts",
		"paths: [{device: a}]\nmtu: 100":             "mtu",
		"paths: [{device: a}]\ncode: x":              "code",
		"paths: [{device: a}]\nroutes: [10.0.0.1/8]": "no network",
	} {
		if _, err := Parse("bond.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want words with %q", text, err, want)
		}
	}
}

// TestState: the key stays, the count of greetings goes on with another invite, and a torn file is told.
func TestState(t *testing.T) {
	dir := t.TempDir()
	first := anInvite(t)
	s, err := Enrol(dir, first.Code())
	if err != nil {
		t.Fatal(err)
	}
	self, err := s.Identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetCount(42); err != nil {
		t.Fatal(err)
	}
	second := anInvite(t)
	if s, err = Enrol(dir, second.Code()); err != nil {
		t.Fatal(err)
	}
	again, err := s.Identity()
	if err != nil {
		t.Fatal(err)
	}
	got, ok := s.Invite()
	if again.Public() != self.Public() || s.Count() != 42 || !ok || got.Seed != second.Seed {
		t.Errorf("key kept %v, count %d, invite %v", again.Public() == self.Public(), s.Count(), got.Seed == second.Seed)
	}
	if err := WriteFile(s.file, []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenState(dir); err == nil || !strings.Contains(err.Error(), "join the relay anew") {
		t.Errorf("a torn file: %v", err)
	}
}
