package plan

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/policy/policytest"
	"github.com/trenza-router/trenza/router/steer"
)

// TestRealKernelDecidesAsPolicy sends first packets of random flows through the kernel and reads the verdicts back from its
// connection table and from the copies that it logs.
func TestRealKernelDecidesAsPolicy(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		b := newBench(t)
		round := 0
		rapid.Check(t, func(rt *rapid.T) {
			w := drawWorld(rt, 8, 25)
			in := w.input()
			in.LAN[0].Nets[0] = netip.MustParsePrefix("10.77.0.0/16")
			s, err := Compile(in)
			if err != nil {
				rt.Fatalf("%v", err)
			}
			ctx := context.Background()
			if err := b.install(ctx, s); err != nil {
				rt.Fatalf("%v", err)
			}
			round++
			if err := b.machine.FlushConnections(ctx, flow.JudgedBit, flow.JudgedBit); err != nil {
				rt.Fatalf("%v", err)
			}
			flows := map[netip.Addr]first{}
			want := map[netip.Addr]outcome{}
			taken := map[string]bool{}
			for n, x := range w.targets {
				if !routable(x.Addr) {
					continue
				}
				device := rapid.IntRange(0, len(in.Devices)).Draw(rt, "device")
				mark, mac, subject := flow.Mark(0), flow.MAC{2, 0, 0, 0, 9, 9}, policy.Subject{}
				if device < len(in.Devices) {
					d := in.Devices[device]
					mark, mac, subject = d.Number.Mark(), d.MACs[0], w.policy.Subject(d.ID)
				}
				// The kernel knows one name for an address and a device; and behind one address of ours it cannot tell apart two
				// flows of a protocol without ports to the same far end.
				label, tunnel := fmt.Sprint(mark, x.Addr), fmt.Sprint(x.Proto, x.Addr)
				if taken[label] || !x.Proto.HasPorts() && taken[tunnel] {
					continue
				}
				taken[label], taken[tunnel] = true, true
				src := netip.AddrFrom4([4]byte{10, 77, byte(round%250 + 1), byte(n + 1)})
				set := MapNames4
				if x.Addr.Is6() {
					src = netip.MustParseAddr(fmt.Sprintf("fd00:77::%x:%x", round, n+1))
					set = MapNames6
				}
				e := hal.Element{Key: hal.ElementKey(uint32(mark), x.Addr), Value: uint32(flow.MakeLabel(w.classes[n], 5)), Timeout: time.Hour}
				if w.classes[n] == 0 {
					err = b.machine.DeleteElements(ctx, set, []hal.Element{e})
				} else {
					err = b.machine.SetElements(ctx, set, []hal.Element{e})
				}
				if err != nil {
					rt.Fatalf("%v", err)
				}
				flows[src] = first{mac: mac, src: src, to: x}
				want[src] = w.decided(subject, x)
			}
			for _, p := range flows {
				if err := b.send(p); err != nil {
					rt.Fatalf("sending: %v", err)
				}
			}
			b.compare(rt, s, flows, want)
		})
	})
}

// compare waits until the kernel has said what it does with every flow.
func (b *bench) compare(t *rapid.T, s State, flows map[netip.Addr]first, want map[netip.Addr]outcome) {
	for src, w := range want {
		for _, c := range s.Choices {
			resolved := c.V4
			if src.Is6() {
				resolved = c.V6
			}
			if steer.Key(c.Steer) == w.Steer && resolved.Refuse {
				// Nothing is logged, and the connection never stands: there is nothing to read back.
				delete(want, src)
			}
		}
	}
	deadline := time.Now().Add(time.Minute)
	again := time.Now().Add(time.Second)
	for {
		got := map[netip.Addr]outcome{}
		b.mu.Lock()
		for src := range want {
			switch b.copies[src] {
			case "refuse":
				got[src] = outcome{Blocked: true}
			case "drop":
				got[src] = outcome{Blocked: true, Silent: true}
			}
		}
		logged := map[netip.Addr]bool{}
		for src, prefix := range b.copies {
			logged[src] = prefix == "log"
		}
		b.mu.Unlock()
		var wrong error
		err := b.machine.Connections(context.Background(), 0, 0, func(c hal.Connection) {
			src := c.Orig.Src.Addr()
			if _, ok := want[src]; !ok {
				return
			}
			choice := s.Choices[c.Mark.Choice()]
			o := outcome{Log: logged[src], Class: c.Mark.App(), Steer: steer.Key(choice.Steer)}
			if _, twice := got[src]; twice {
				wrong = fmt.Errorf("flow %v is blocked and stands", flows[src])
			}
			got[src] = o
			if err := rightLink(choice, flows[src], c.Mark); err != nil {
				wrong = err
			}
		})
		if err != nil {
			t.Fatalf("%v", err)
		}
		diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }))
		if diff == "" && wrong == nil {
			return
		}
		if time.Now().After(deadline) {
			for src, w := range want {
				if got[src] != w {
					t.Logf("%+v", flows[src])
				}
			}
			t.Fatalf("policy.Decide (-), the kernel (+): %v\n%s", wrong, diff)
		}
		if time.Now().After(again) {
			// The kernel drops what comes in faster than it gets to it, before any chain has seen it; who hears nothing sends again.
			again = time.Now().Add(time.Second)
			for src := range want {
				if _, judged := got[src]; judged {
					continue
				}
				if err := b.send(flows[src]); err != nil {
					t.Fatalf("sending again: %v", err)
				}
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// rightLink checks the link bits of a judged flow against what the choice comes to.
func rightLink(c Choice, p first, m flow.Mark) error {
	resolved := c.V4
	if p.src.Is6() {
		resolved = c.V6
	}
	if resolved.Sticky == policy.StickyHost && len(resolved.Buckets) > 1 {
		if r, _ := resolved.At(resolved.Slot(steer.HostKey(p.mac))); r.Link != m.Link() || r.Lent != m.Lent() {
			return fmt.Errorf("flow %+v of %q took link %d, want %d", p, steer.Key(c.Steer), m.Link(), r.Link)
		}
		return nil
	}
	if !slices.ContainsFunc(resolved.Buckets, func(b steer.Bucket) bool { return b.Link == m.Link() && b.Lent == m.Lent() }) {
		return fmt.Errorf("flow %+v of %q took link %d (lent %v), none of %v", p, steer.Key(c.Steer), m.Link(), m.Lent(), resolved.Buckets)
	}
	return nil
}

// TestUpdateEqualsReplace: from any plan to any other, the update and the replacement lead to the same table, and an
// update to the same plan is empty.
func TestUpdateEqualsReplace(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		m, err := linux.New(linux.Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{machine: m}
		ctx := context.Background()
		print := func(rt *rapid.T) string {
			p, err := m.Fingerprint(ctx)
			if err != nil || p == "" {
				rt.Fatalf("fingerprint %q: %v", p, err)
			}
			return p
		}
		rapid.Check(t, func(rt *rapid.T) {
			from, to := drawRuleset(rt), drawRuleset(rt)
			if err := b.replace(ctx, to); err != nil {
				rt.Fatalf("%v", err)
			}
			want := print(rt)
			if err := b.replace(ctx, from); err != nil {
				rt.Fatalf("%v", err)
			}
			known := hal.Element{Key: hal.ElementKey(uint32(16), netip.MustParseAddr("192.0.2.1")), Value: 7, Timeout: time.Hour, Comment: "a.example"}
			if err := m.SetElements(ctx, MapNames4, []hal.Element{known}); err != nil {
				rt.Fatalf("%v", err)
			}
			update := to.Update(from)
			if err := m.Load(ctx, update); err != nil {
				rt.Fatalf("%v\n%s", err, update)
			}
			if got := print(rt); got != want {
				rt.Fatalf("the update leads elsewhere:\n%s", update)
			}
			if again := to.Update(to); again != "" {
				rt.Fatalf("nothing to do, and it says:\n%s", again)
			}
			kept, err := m.Elements(ctx, MapNames4)
			if err != nil || len(kept) != 1 || kept[0].Comment != "a.example" {
				rt.Fatalf("learned names after the update: %+v, %v", kept, err)
			}
		})
	})
}

func drawRuleset(t *rapid.T) Ruleset {
	in := drawWorld(t, 5, 10).input()
	in.Devices = in.Devices[:rapid.IntRange(0, len(policytest.Devices())).Draw(t, "devices")]
	if rapid.Bool().Draw(t, "fewer links") {
		in.Links = in.Links[:2]
	}
	in.Links[0].Usable = rapid.Bool().Draw(t, "usable")
	in.DNS = DNS{Redirect: rapid.Bool().Draw(t, "redirect"), Port: 53}
	if rapid.Bool().Draw(t, "forward") {
		in.Forwards = homeInputForwards()
	}
	if rapid.Bool().Draw(t, "prefixes") {
		in.Prefixes = []PrefixClass{{netip.MustParsePrefix("192.0.2.0/24"), 1}, {netip.MustParsePrefix("192.0.2.64/26"), 2}, {netip.MustParsePrefix("2001:db8::/48"), 2}}
	}
	s, err := Compile(in)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s.Ruleset
}

func homeInputForwards() []Forward {
	return []Forward{
		{Name: "camera", Proto: flow.ProtoTCP, Port: 8443, To: netip.MustParseAddrPort("10.77.0.20:443")},
		{Name: "game", Proto: flow.ProtoUDP, Port: 3074, To: netip.MustParseAddrPort("[fd00:77::20]:3074")},
	}
}

// TestLargePlans: the kernel takes every shape of large policy; the log says how long the way from policy to kernel was, the
// second time for a swap.
func TestLargePlans(t *testing.T) {
	for name, input := range bigRules() {
		t.Run(name, func(t *testing.T) {
			haltest.InNamespace(t, func(t *testing.T) {
				m, err := linux.New(linux.Options{})
				if err != nil {
					t.Fatal(err)
				}
				b := &bench{machine: m}
				in := input()
				for range 2 {
					started := time.Now()
					s, err := Compile(in)
					if err != nil {
						t.Fatal(err)
					}
					compiled := time.Since(started)
					if err := b.replace(t.Context(), s.Ruleset); err != nil {
						t.Fatal(err)
					}
					t.Logf("%s: compiled in %v, in the kernel after %v", name, compiled, time.Since(started))
				}
			})
		})
	}
}
