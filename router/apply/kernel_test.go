package apply_test

import (
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/plan"
)

// run runs a command line of words without spaces.
func run(t *testing.T, line string) string {
	t.Helper()
	words := strings.Fields(line)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// kernelState is what ip and nft show, without what the kernel adds on its own.
func kernelState(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, line := range []string{
		"ip -4 rule", "ip -6 rule", "ip -4 route show table all", "ip -6 route show table all", "nft list ruleset",
		"sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv4.conf.wan1.rp_filter net.ipv6.conf.wan1.accept_ra net.ipv4.conf.lan0.send_redirects",
	} {
		out.WriteString(run(t, line))
	}
	return out.String()
}

// TestKernel takes a real kernel through a life of the router: start, another plan, a refusal, harm, healing, cleanup.
func TestKernel(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		for _, name := range []string{"lan0", "wan1", "wan2"} {
			run(t, "ip link add "+name+" type veth peer name far-"+name)
			run(t, "ip link set "+name+" up")
			run(t, "ip link set far-"+name+" up")
		}
		run(t, "ip address add 10.77.0.1/24 dev lan0")
		run(t, "ip rule add priority 100 fwmark 1/1 lookup 77")
		m, err := linux.New(linux.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"lan0", "wan1", "wan2"} { // no addresses that come by themselves in the middle of the test
			if err := m.SetSysctl("net/ipv6/conf/"+name+"/addr_gen_mode", "1"); err != nil {
				t.Fatal(err)
			}
			run(t, "ip -6 address flush dev "+name)
			run(t, "ip -6 address flush dev far-"+name)
		}
		empty := kernelState(t)
		a := newApplier(m)
		s := state(t, house)
		same := func(what string) {
			t.Helper()
			if diff, err := a.Verify(t.Context(), s); err != nil || len(diff) > 0 {
				t.Fatalf("%s: Verify finds %q, %v", what, diff, err)
			}
			if r := mustApply(t, a, s); len(r.Changed) > 0 {
				t.Fatalf("%s: applied again, it changes %q", what, r.Changed)
			}
		}
		mustApply(t, a, s)
		same("after the start")
		for what, line := range map[string]string{
			"rules": "ip rule flush", "IPv6 rules": "ip -6 rule flush", "routes": "ip route flush table 1001", "IPv6 routes": "ip -6 route flush table 1002",
			"table": "nft delete table inet trenza", "ruleset": "nft flush ruleset", "chain": "nft flush chain inet trenza forward",
			"element": "nft delete element inet trenza macs { 02:00:00:00:00:02 }", "sysctl": "sysctl -w net.ipv4.ip_forward=0",
		} {
			run(t, line)
			if diff, err := a.Verify(t.Context(), s); err != nil || len(diff) == 0 {
				t.Fatalf("%s: Verify finds %q, %v", what, diff, err)
			}
			mustApply(t, a, s)
			same(what)
		}
		before := kernelState(t)
		bad := state(t, fiberGone)
		bad.Ruleset.Chains = append(bad.Ruleset.Chains, plan.Chain{Name: "bad", Rules: []string{"goto nowhere"}})
		if _, err := a.Apply(t.Context(), bad); !errors.Is(err, hal.ErrRefused) || !strings.Contains(err.Error(), "nowhere") {
			t.Fatalf("a ruleset with a hole: %v", err)
		}
		equal(t, "after the refusal", before, kernelState(t))
		same("after the refusal")
		noDevice := state(t, func(in *plan.Input) {
			in.Links[1].Device = "wan9"
			in.Links[0].Gateway4 = netip.MustParseAddr("198.18.1.7")
		})
		if _, err := a.Apply(t.Context(), noDevice); !errors.Is(err, hal.ErrNotFound) || !strings.Contains(err.Error(), "wan9") {
			t.Fatalf("a device that does not exist: %v", err)
		}
		equal(t, "after the missing device", before, kernelState(t))

		s = state(t, fiberGone)
		mustApply(t, a, s)
		same("another plan")
		run(t, "ip rule add priority 100 fwmark 1/1 lookup 77") // it went with a flush above
		run(t, "ip rule add priority 32766 lookup main")
		run(t, "ip rule add priority 32767 lookup default")
		run(t, "ip -6 rule add priority 32766 lookup main")
		if err := a.Cleanup(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, "after Cleanup", empty, kernelState(t))
	})
}

// TestKernelShaping takes a real kernel through shaping: trees, detour and classes stand as planned, are healed, change, and go.
func TestKernelShaping(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		for _, name := range []string{"lan0", "wan1", "wan2"} {
			run(t, "ip link add "+name+" type veth peer name far-"+name)
			run(t, "ip link set "+name+" up")
			run(t, "ip link set far-"+name+" up")
		}
		run(t, "ip address add 198.18.1.2/24 dev wan1")
		m, err := linux.New(linux.Options{})
		if err != nil {
			t.Fatal(err)
		}
		tc := func() string { return run(t, "tc qdisc show") + run(t, "ip -br link show type ifb") }
		before := tc()
		a := newApplier(m)
		same := func(what string, s plan.State, want ...string) {
			t.Helper()
			if diff, err := a.Verify(t.Context(), s); err != nil || len(diff) > 0 {
				t.Fatalf("%s: Verify finds %q, %v", what, diff, err)
			}
			if r := mustApply(t, a, s); len(r.Changed) > 0 {
				t.Fatalf("%s: applied again, it changes %q", what, r.Changed)
			}
			if diff := cmp.Diff(want, classes(t, m)); diff != "" {
				t.Fatalf("%s: classes (-want +got):\n%s", what, diff)
			}
		}
		s := state(t, shaped(0x2010))
		mustApply(t, a, s)
		standing := []string{"0x2000:0x12000", "0x2010:0x12010"}
		same("after the start", s, standing...)
		for _, line := range []string{
			"ip link del trenza-ifb", "ip link set trenza-ifb down", "tc qdisc del dev lan0 clsact", "tc qdisc del dev wan1 root",
			"tc class change dev wan1 classid 1:2010 htb rate 9mbit", "tc qdisc replace dev wan1 root pfifo", "nft delete table inet trenza",
			"nft flush map inet trenza class", "nft flush chain inet trenza postrouting",
		} {
			run(t, line)
			if diff, err := a.Verify(t.Context(), s); err != nil || len(diff) == 0 {
				t.Fatalf("%s: Verify finds %q, %v", line, diff, err)
			}
			mustApply(t, a, s)
			same(line, s, standing...)
		}
		s = state(t, uploadOnly)
		mustApply(t, a, s)
		same("upload alone", s, "0x2000:0x12000", "0x2011:0x12011")
		s = state(t, shaped(0x2021, 0x2010))
		mustApply(t, a, s)
		same("both ways again", s, "0x2000:0x12000", "0x2010:0x12010", "0x2021:0x12021")
		s = state(t, house)
		mustApply(t, a, s)
		same("not shaped", s)
		if diff := cmp.Diff(before, tc()); diff != "" {
			t.Errorf("what queues when nothing is shaped any more (-want +got):\n%s", diff)
		}
		mustApply(t, a, state(t, shaped(0x2010)))
		a = newApplier(m) // another process
		if err := a.Cleanup(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, tc()); diff != "" {
			t.Errorf("what Cleanup by another process leaves (-want +got):\n%s", diff)
		}
	})
}

// A packet that leaves by a link waits in its link's default class, by the plan's own rules alone, and in the class of its own as soon as
// that stands.
func TestKernelClassifies(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		for _, name := range []string{"lan0", "wan1", "wan2"} {
			run(t, "ip link add "+name+" type veth peer name far-"+name)
			run(t, "ip link set "+name+" up")
			run(t, "ip link set far-"+name+" up")
		}
		run(t, "ip address add 198.18.1.2/24 dev wan1")
		run(t, "ip neigh add 198.18.1.1 lladdr 02:00:00:00:00:09 dev wan1")
		run(t, "ip route add default via 198.18.1.1 dev wan1")
		m, err := linux.New(linux.Options{})
		if err != nil {
			t.Fatal(err)
		}
		a := newApplier(m)
		conn, err := net.Dial("udp", "203.0.113.5:9")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// The router's own flows have a device number as every device does.
		const fiber = flow.LinkID(1)
		fallback, own := fiber.Mark().ClassID(), (fiber.Mark() | flow.RouterDevice.Mark()).ClassID()
		for _, step := range []struct {
			classes []uint16
			passes  uint16
		}{{nil, fallback}, {[]uint16{own}, own}, {nil, fallback}} {
			s := state(t, func(in *plan.Input) {
				in.Links[1].Usable = false
				shaped(step.classes...)(in)
			})
			mustApply(t, a, s)
			count := func() map[uint16]hal.ClassCounter {
				t.Helper()
				c, err := m.ClassCounters(t.Context(), "wan1")
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			before := count()
			const packets = 10
			for range packets {
				if _, err := conn.Write([]byte("a packet")); err != nil {
					t.Fatal(err)
				}
			}
			passed := func() uint64 { return count()[step.passes].Packets - before[step.passes].Packets }
			for deadline := time.Now().Add(20 * time.Second); passed() < packets && time.Now().Before(deadline); {
				time.Sleep(5 * time.Millisecond) // they wait for the class's rate
			}
			if n := passed(); n != packets {
				t.Errorf("with classes %x: %d of %d packets passed class %x", step.classes, n, packets, step.passes)
			}
		}
	})
}
