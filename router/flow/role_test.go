package flow

import "testing"

func TestRole(t *testing.T) {
	for r := Primary; r <= Never; r++ {
		b, err := r.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got Role
		if err := got.UnmarshalText(b); err != nil || got != r {
			t.Errorf("%v: read back as %v, %v", r, got, err)
		}
	}
	if r, err := ParseRole(""); err != nil || r != Primary {
		t.Errorf("a role that is not said: got %v, %v", r, err)
	}
	for _, s := range []string{"Primary", "role(9)", "spare"} {
		if r, err := ParseRole(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, r)
		}
	}
}
