package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// numbered gives each What the index of a rule.
func numbered(whats []policy.What) (all ruleSet, what func(int) *policy.What) {
	for i := range whats {
		all = append(all, i)
	}
	return all, func(i int) *policy.What { return &whats[i] }
}

func addressRules(t interface{ Fatal(...any) }, rules ...string) []policy.What {
	var out []policy.What
	for _, r := range rules {
		var w policy.What
		for _, s := range strings.Fields(r) {
			p, err := netip.ParsePrefix(s)
			if err != nil {
				t.Fatal(err)
			}
			w.Addresses = append(w.Addresses, p)
		}
		out = append(out, w)
	}
	return out
}

func TestAddrSpans(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rules []string
		v6    bool
		want  string
	}{
		{"none", nil, false, ""},
		{"the other family", []string{"10.0.0.0/8"}, true, ""},
		{"one", []string{"10.0.0.0/8"}, false, "10.0.0.0-10.255.255.255[0]"},
		{"a gap", []string{"10.0.0.0/24", "10.0.2.0/24"}, false, "10.0.0.0-10.0.0.255[0] 10.0.2.0-10.0.2.255[1]"},
		{"neighbours of one rule stay apart", []string{"10.0.0.0/24 10.0.1.0/24"}, false, "10.0.0.0-10.0.0.255[0] 10.0.1.0-10.0.1.255[0]"},
		{"nested", []string{"10.0.0.0/8", "10.1.0.0/16"}, false, "10.0.0.0-10.0.255.255[0] 10.1.0.0-10.1.255.255[0 1] 10.2.0.0-10.255.255.255[0]"},
		{"nested at the start", []string{"10.0.0.0/9", "10.0.0.0/8"}, false, "10.0.0.0-10.127.255.255[0 1] 10.128.0.0-10.255.255.255[1]"},
		{"equal", []string{"10.0.0.0/8", "10.0.0.0/8"}, false, "10.0.0.0-10.255.255.255[0 1]"},
		{"one rule says it twice", []string{"10.0.0.0/8 10.1.0.0/16"}, false, "10.0.0.0-10.255.255.255[0]"},
		{"everything", []string{"0.0.0.0/0", "255.255.255.255/32"}, false, "0.0.0.0-255.255.255.254[0] 255.255.255.255-255.255.255.255[0 1]"},
		{"the first address", []string{"0.0.0.0/32", "0.0.0.0/1"}, false, "0.0.0.0-0.0.0.0[0 1] 0.0.0.1-127.255.255.255[1]"},
		{"everything, IPv6", []string{"::/0", "ffff::/16"}, true, "::-fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff[0] ffff::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff[0 1]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, what := numbered(addressRules(t, tt.rules...))
			var got []string
			for _, s := range addrSpans(all, what, tt.v6) {
				got = append(got, fmt.Sprintf("%v-%v%v", s.first, s.last, []int(s.rules)))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A prefix in a small space, so that they meet often.
func drawPrefix(t *rapid.T) netip.Prefix {
	low := byte(rapid.IntRange(0, 255).Draw(t, "low byte"))
	if rapid.Bool().Draw(t, "v6") {
		high := rapid.SampledFrom([]string{"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00"}).Draw(t, "high")
		b := netip.MustParseAddr(high).As16()
		b[15] = low
		return netip.PrefixFrom(netip.AddrFrom16(b), rapid.SampledFrom([]int{0, 1, 120, 122, 126, 128}).Draw(t, "bits")).Masked()
	}
	high := byte(rapid.SampledFrom([]int{0, 255}).Draw(t, "high"))
	a := netip.AddrFrom4([4]byte{high, high, high, low})
	return netip.PrefixFrom(a, rapid.SampledFrom([]int{0, 1, 24, 26, 30, 32}).Draw(t, "bits")).Masked()
}

// TestSpansHoldExactlyTheRulesThatMatch: intervals stand in order without overlap, and at every address their rules are those that
// match it.
func TestSpansHoldExactlyTheRulesThatMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var whats []policy.What
		for range rapid.IntRange(1, 6).Draw(t, "rules") {
			var w policy.What
			for range rapid.IntRange(1, 3).Draw(t, "prefixes") {
				w.Addresses = append(w.Addresses, drawPrefix(t))
			}
			whats = append(whats, w)
		}
		all, what := numbered(whats)
		for _, v6 := range []bool{false, true} {
			spans := addrSpans(all, what, v6)
			for n, s := range spans {
				if s.last.Less(s.first) || n > 0 && !spans[n-1].last.Less(s.first) || len(s.rules) == 0 {
					t.Fatalf("%+v: not in order, overlapping or without a rule", spans)
				}
			}
			probe := func(a netip.Addr) {
				if !a.IsValid() || a.Is6() != v6 {
					return
				}
				var want, got ruleSet
				for i, w := range whats {
					if slices.ContainsFunc(w.Addresses, func(p netip.Prefix) bool { return p.Contains(a) }) {
						want = append(want, i)
					}
				}
				for _, s := range spans {
					if s.first.Compare(a) <= 0 && a.Compare(s.last) <= 0 {
						got = s.rules
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%v:\n%s", a, diff)
				}
			}
			for _, w := range whats {
				for _, p := range w.Addresses {
					first, last := p.Addr(), lastAddr(p)
					for _, a := range []netip.Addr{first.Prev(), first, first.Next(), last.Prev(), last, last.Next()} {
						probe(a)
					}
				}
			}
		}
	})
}

func TestPortSpans(t *testing.T) {
	tcp := func(first, last uint16) policy.Service {
		return policy.Service{Proto: flow.ProtoTCP, First: first, Last: last}
	}
	for _, tt := range []struct {
		name  string
		rules [][]policy.Service
		want  string
	}{
		{"every port", [][]policy.Service{{tcp(0, 0)}}, "0-65535[0]"},
		{"one", [][]policy.Service{{tcp(443, 443)}}, "443-443[0]"},
		{"one in all", [][]policy.Service{{tcp(0, 0)}, {tcp(443, 443)}}, "0-442[0] 443-443[0 1] 444-65535[0]"},
		{"twice in one rule", [][]policy.Service{{tcp(1, 10), tcp(5, 20)}}, "1-4[0] 5-10[0] 11-20[0]"},
		{"the last port", [][]policy.Service{{tcp(65535, 65535)}, {tcp(65000, 65535)}}, "65000-65534[1] 65535-65535[0 1]"},
		{"another protocol", [][]policy.Service{{{Proto: flow.ProtoUDP, First: 1, Last: 2}}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var whats []policy.What
			for _, s := range tt.rules {
				whats = append(whats, policy.What{Services: s})
			}
			all, what := numbered(whats)
			last := -1
			var got []string
			for _, s := range portSpans(all, what, flow.ProtoTCP) {
				if int(s.first) <= last {
					t.Errorf("spans overlap at %d", s.first)
				}
				last = int(s.last)
				got = append(got, fmt.Sprintf("%d-%d%v", s.first, s.last, []int(s.rules)))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPrefixElements: the narrowest range of the catalogue holds.
func TestPrefixElements(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in Input
		for n := range rapid.IntRange(0, 6).Draw(t, "ranges") {
			in.Prefixes = append(in.Prefixes, PrefixClass{drawPrefix(t), flow.NameClass(n + 1)})
		}
		for _, v6 := range []bool{false, true} {
			elements := in.prefixElements(v6)
			for _, p := range in.Prefixes {
				a := lastAddr(p.Prefix)
				if a.Is6() != v6 {
					continue
				}
				want := PrefixClass{}
				for _, q := range in.Prefixes {
					if q.Prefix.Contains(a) && (!want.Prefix.IsValid() || q.Prefix.Bits() > want.Prefix.Bits()) {
						want = q
					}
				}
				var got []string
				for _, e := range elements {
					key, value, _ := strings.Cut(e, " : ")
					if (operand{addr: a}).in(key) {
						got = append(got, value)
					}
				}
				label := fmt.Sprintf("%#x", uint32(flow.MakeLabel(want.Class, 0)))
				if len(got) != 1 || got[0] != label {
					t.Fatalf("%v of %v: %v, want %s once", a, in.Prefixes, got, label)
				}
			}
		}
	})
}

func TestDisjoint(t *testing.T) {
	got := texts(disjoint(addressRules(t, "10.1.0.0/16 10.0.0.0/8 192.0.2.0/24 10.0.0.0/8 fd00::/8 192.0.3.0/24")[0].Addresses, false))
	if diff := cmp.Diff([]string{"10.0.0.0/8", "192.0.2.0/24", "192.0.3.0/24"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfDistinct(rapid.IntRange(0, 1<<20), rapid.ID[int]).Draw(t, "rules")
		slices.Sort(all)
		a, b := ruleSet(all).split(func(i int) bool { return i%3 == 0 })
		if got := merge(a, b); !slices.Equal(got, all) {
			t.Fatalf("%v and %v: %v", a, b, got)
		}
		if len(all) > 0 && ruleSet(all).key() == ruleSet(all[1:]).key() {
			t.Fatal("two sets have one key")
		}
	})
}
