package catalog

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestTableAgainstTheDefinition compares the table with the longest domain found by trying all of them.
func TestTableAgainstTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.SampledFrom([]string{"a", "b", "c", "aa", "ab"})
		name := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(label, 2, 5).Draw(t, "labels"), ".") })
		domain := rapid.Custom(func(t *rapid.T) Domain { return Domain{name.Draw(t, "name"), rapid.Bool().Draw(t, "exact")} })
		domains := rapid.SliceOfNDistinct(domain, 0, 40, rapid.ID[Domain]).Draw(t, "domains")
		owner := make([]uint16, len(domains))
		for i := range owner {
			owner[i] = uint16(i)
		}
		table, err := newTable(domains, owner)
		if err != nil {
			t.Fatal(err)
		}
		host := name.Draw(t, "host")
		want, wanted := -1, 0
		for i, d := range domains {
			switch score := 2 * len(d.Name); {
			case d.Exact && d.Name == host:
				want, wanted = i, 1<<20
			case !d.Exact && (d.Name == host || strings.HasSuffix(host, "."+d.Name)) && score > wanted:
				want, wanted = i, score
			}
		}
		got, ok := table.find(host)
		if !ok {
			got = -1
		}
		if got != want {
			t.Fatalf("find(%s) = %d, want %d of %v", host, got, want, domains)
		}
	})
}

func TestTableRefusesDoubles(t *testing.T) {
	if _, err := newTable([]Domain{{"a.example", false}, {"a.example", true}}, []uint16{0, 1}); err != nil {
		t.Errorf("an exact domain beside the one with all names below it: %v", err)
	}
	if _, err := newTable([]Domain{{"a.example", false}, {"b.example", true}, {"a.example", false}}, []uint16{0, 0, 0}); err == nil {
		t.Error("a domain that is there twice was accepted")
	}
}

// manyDomains makes a catalogue of n domains in 500 applications.
func manyDomains(t testing.TB, n int) (*Catalog, []string) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	apps := make([]App, 500)
	hosts := make([]string, 0, n)
	for i := range n {
		name := fmt.Sprintf("%c%x%d.%s", 'a'+r.IntN(26), r.IntN(1<<24), i, []string{"com", "net", "es", "co.uk", "example.org"}[r.IntN(5)])
		a := &apps[i%len(apps)]
		a.Domains = append(a.Domains, Domain{Name: name})
		hosts = append(hosts, []string{"www.", "r3---sn-h5q7dne7.cdn.", "", "a.b.c.d."}[r.IntN(4)]+name)
	}
	for i := range apps {
		a := &apps[i]
		a.ID, a.Category, a.Names = fmt.Sprintf("app-%d", i), "video", Names{"n", "n", "n"}
	}
	c, err := assemble(1, []Category{{ID: "video", Names: Names{"v", "v", "v"}}}, apps)
	if err != nil {
		t.Fatal(err)
	}
	return c, hosts
}

func BenchmarkLookup50000(b *testing.B) {
	c, hosts := manyDomains(b, 50_000)
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if c.AppOf(hosts[i]) == "" {
			b.Fatal(hosts[i])
		}
		if i++; i == len(hosts) {
			i = 0
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	c := mustLoad(b, "")
	b.ReportAllocs()
	for b.Loop() {
		c.AppOf("r3---sn-4g5e6nz7.googlevideo.com")
	}
}

func BenchmarkBuiltIn(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		mustLoad(b, "")
	}
}

// BenchmarkDecode50000 reads a large catalogue, and tells what it takes of memory for each domain.
func BenchmarkDecode50000(b *testing.B) {
	made, _ := manyDomains(b, 50_000)
	data := string(made.Encode())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c, err := Decode(strings.Clone(data))
	if err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := float64(after.HeapAlloc-before.HeapAlloc) / float64(c.Domains())
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(held, "B/domain")
	runtime.KeepAlive(c)
}
