package release

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/minisign"
)

func key(t *testing.T) minisign.PrivateKey {
	t.Helper()
	k, err := minisign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOpen(t *testing.T) {
	ours, other := key(t), key(t)
	list := Format(map[string]string{"b.deb": Sum([]byte("b")), "a/c.apk": Sum([]byte("c"))})
	sign := func(list []byte, comment string, by minisign.PrivateKey) []byte {
		s, err := by.Sign(list, comment)
		if err != nil {
			t.Fatal(err)
		}
		return []byte(s)
	}
	good, err := Sign(list, "1.2.3", ours)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(list, []byte(good), []minisign.PublicKey{other.Public(), ours.Public()})
	if err != nil || r.Version != (Version{1, 2, 3}) || !r.Has("a/c.apk") || r.Has("a") {
		t.Fatalf("%+v, %v", r, err)
	}
	for name, data := range map[string]string{"b.deb": "b", "a/c.apk": "b", "unlisted": "b"} {
		w, done := r.Check(name)
		if _, err := w.Write([]byte(data)); err != nil {
			t.Fatal(err)
		}
		if err := done(); (name == "b.deb") != (err == nil) || err != nil && !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}

	keys := []minisign.PublicKey{ours.Public()}
	for what, tt := range map[string]struct {
		list, signature []byte
		keys            []minisign.PublicKey
		says            string
	}{
		"no key":            {list, []byte(good), nil, "no key"},
		"another's":         {list, sign(list, "trenza 1.2.3", other), keys, "signature"},
		"a changed list":    {append([]byte("x"), list...), []byte(good), keys, "signature"},
		"another program's": {list, sign(list, "braid 1.2.3", ours), keys, "braid 1.2.3"},
		"no version":        {list, sign(list, "trenza newest", ours), keys, "trenza newest"},
		"no list":           {[]byte("hello\n"), sign([]byte("hello\n"), "trenza 1.2.3", ours), keys, "hello"},
		"twice":             {append(list, list...), sign(append(list, list...), "trenza 1.2.3", ours), keys, "twice"},
	} {
		if _, err := Open(tt.list, tt.signature, tt.keys); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestVersions(t *testing.T) {
	sorted := []string{"0.0.9", "0.1.0", "0.1.10", "0.2.0", "1.0.0", "10.0.0"}
	for i, a := range sorted {
		for j, b := range sorted {
			va, errA := ParseVersion(a)
			vb, errB := ParseVersion(b)
			if errA != nil || errB != nil || va.String() != a {
				t.Fatal(a, b, errA, errB)
			}
			if c := va.Compare(vb); (c < 0) != (i < j) || (c == 0) != (i == j) {
				t.Errorf("%s, %s: %d", a, b, c)
			}
		}
	}
	for _, bad := range []string{"", "1.2", "1.2.3.4", "v1.2.3", "1.2.x", "1.2.-3", "1.2.99999999999"} {
		if _, err := ParseVersion(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// FuzzParse: a list that is taken says the same when it is written again.
func FuzzParse(f *testing.F) {
	f.Add(string(Format(map[string]string{"a": Sum(nil), "b c": Sum([]byte("x"))})))
	f.Add("")
	f.Add("\n")
	f.Fuzz(func(t *testing.T, list string) {
		sums, err := parse(list)
		if err != nil {
			return
		}
		again, err := parse(string(Format(sums)))
		if err != nil || !maps.Equal(again, sums) {
			t.Errorf("%q: %v is %v again, %v", list, sums, again, err)
		}
	})
}
