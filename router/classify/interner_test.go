package classify

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/policy"
	"pgregory.net/rapid"
)

func testCatalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Load("")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestApplicationsAreNumberedInOrder(t *testing.T) {
	c := testCatalog(t)
	in := NewInterner(c)
	classes := in.Classes()
	if len(classes) != len(c.Apps()) {
		t.Fatalf("%d classes for %d applications", len(classes), len(c.Apps()))
	}
	for i, a := range c.Apps() {
		k := classes[i]
		if int(k.Class) != i+1 || k.App != a.ID || k.Category != a.Category {
			t.Errorf("class %d is %+v, want %s", i+1, k, a.ID)
		}
	}
	if class, isNew := in.Intern("nobody.example"); class != 0 || isNew {
		t.Errorf("unknown host has class %d, new %v", class, isNew)
	}
	if a, b := in.Label("www.youtube.com"), in.Label("m.youtube.com"); a != b || a.NameClass() == 0 {
		t.Errorf("labels %v and %v", a, b)
	}
	if n := testing.AllocsPerRun(100, func() { in.Intern("www.youtube.com") }); n > 0 {
		t.Errorf("%v allocations to find a class", n)
	}
}

func TestSelectorsMakeClasses(t *testing.T) {
	in := NewInterner(testCatalog(t))
	youtube, _ := in.Intern("www.youtube.com")
	added := in.SetSelectors([]policy.Domain{{Name: "youtube.com"}, {Name: "m.youtube.com", Exact: true}, {Name: "example.org"}})
	var got []string
	for _, k := range added {
		got = append(got, fmt.Sprint(k.App, " ", k.Domains))
	}
	want := []string{"youtube [youtube.com]", "youtube [=m.youtube.com youtube.com]", " [example.org]", "youtube-music [youtube.com]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if class, isNew := in.Intern("www.youtube.com"); class == youtube || isNew {
		t.Errorf("the selector changed nothing: class %d, new %v", class, isNew)
	}
	if class, _ := in.Intern("r1.googlevideo.com"); class != youtube {
		t.Errorf("a host outside the selector changed to class %d", class)
	}
	if info, ok := in.Class(youtube); !ok || info.App != "youtube" {
		t.Errorf("class %d is %+v", youtube, info)
	}
	in.SetSelectors(nil)
	if class, _ := in.Intern("www.youtube.com"); class != youtube {
		t.Errorf("class %d after the selectors went, want %d", class, youtube)
	}
	if n := len(in.Classes()); n != len(testCatalog(t).Apps()) {
		t.Errorf("%d classes are left", n)
	}
}

// After SetSelectors no host needs a class that is not numbered yet: the plan knows all of them.
func TestNoClassIsNewAfterSetSelectors(t *testing.T) {
	in := NewInterner(testCatalog(t))
	names := []string{"google.com", "mail.google.com", "a.mail.google.com", "com", "example.org", "x.example.org", "youtubei.googleapis.com",
		"googleapis.com", "b.youtubei.googleapis.com", "zoom.us", "whatsapp.net", "www.zoom.us"}
	rapid.Check(t, func(t *rapid.T) {
		domains := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) policy.Domain {
			return policy.Domain{Name: rapid.SampledFrom(names).Draw(t, "name"), Exact: rapid.Bool().Draw(t, "exact")}
		}), 0, 6).Draw(t, "selectors")
		in.SetSelectors(domains)
		for range 20 {
			host := rapid.SampledFrom(names).Draw(t, "host")
			for range rapid.IntRange(0, 2).Draw(t, "deeper") {
				host = rapid.SampledFrom([]string{"a.", "www.", "mail."}).Draw(t, "label") + host
			}
			class, isNew := in.Intern(host)
			if isNew {
				t.Fatalf("%s is of new class %d with %v", host, class, domains)
			}
			info, _ := in.Class(class)
			if want := in.catalog.AppOf(host); info.App != want {
				t.Fatalf("%s is of %q, want %q", host, info.App, want)
			}
			in.mu.RLock()
			match := in.match(host)
			in.mu.RUnlock()
			if diff := cmp.Diff(match, info.Domains); diff != "" {
				t.Fatalf("%s: %s", host, diff)
			}
		}
	})
}
