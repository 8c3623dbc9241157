package scenario

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/plan"
)

// healedWithin is what the product promises, measured from the end of the other program's deed.
var healedWithin = paced(time.Second)

// observing is what our own watching may add on a busy machine: it looks, as an outsider, every few milliseconds.
var observing = paced(250 * time.Millisecond)

// deed is what another program does: a shell script in the router's namespace.
type deed struct{ name, script string }

// TestHealRouting lets another program delete rules and routes.
func TestHealRouting(t *testing.T) {
	heals(t, []deed{
		{"ip rule flush", "ip rule flush; ip -6 rule flush"},
		{"ip rule flush as network scripts do it", "ip rule flush; ip rule add lookup main prio 32766; ip rule add lookup default prio 32767"},
		{"one rule", "ip rule del prio 9002"},
		{"one IPv6 rule", "ip -6 rule del prio 9001"},
		{"the routes of a link", "ip route flush table 1001"},
		{"the IPv6 routes of a link", "ip -6 route flush table 1001"},
		{"one route", "ip route del default table 1002 metric 1"},
	})
}

// TestHealRuleset lets another program delete and change what is in the nft table.
func TestHealRuleset(t *testing.T) {
	heals(t, []deed{
		{"the table", "nft delete table inet trenza"},
		{"the whole ruleset", "nft flush ruleset"},
		{"the rules of a chain", "nft flush chain inet trenza from_lan"},
		{"a static map's elements", "nft flush map inet trenza macs"},
		{"a rule that is not ours", "nft insert rule inet trenza forward drop"},
		{"everything", `nft delete table inet trenza; ip rule flush; ip -6 rule flush
			for t in 1000 1001 1002 1003; do ip route flush table $t; ip -6 route flush table $t; done`},
	})
}

// heals does the deeds in a house, fewer than what the router takes for a fight.
func heals(t *testing.T, deeds []deed) {
	h := newHouse(t, restartPolicy, lossless)
	h.resolve("tv", "www.ing.de")
	h.eventually("the bank's addresses are known by name", func() bool { return len(h.learned()) >= 2 })
	for _, d := range deeds {
		t.Run(d.name, func(t *testing.T) {
			h := &house{House: h.House, t: t, api: h.api}
			steady(t, func() []string { return h.mended(d) })
		})
	}
}

// mended does a deed and says what is wrong with how the router mends it.
func (h *house) mended(d deed) (wrong []string) {
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	before, names := h.calm(), h.learned()
	healed := h.status().Plan.Healed
	h.router(d.script)
	done := time.Now()
	var took time.Duration
	var now string
	h.t.Cleanup(func() {
		if h.t.Failed() {
			h.t.Logf("the kernel's state (-before +at last):\n%s", cmp.Diff(before, now))
		}
	})
	h.eventually("the kernel's state from before", func() bool {
		took, now = time.Since(done), h.kernelState()
		return now == before && len(h.learned()) >= len(names)
	})
	h.t.Logf("mended within %v", took)
	// It may have been mended before the first look; that something was mended, the daemon knows.
	h.eventually("the daemon counts a mending", func() bool { s := h.status(); return s != nil && s.Plan.Healed > healed })
	if took > healedWithin+observing {
		fail("mended after %v, want at most %v", took, healedWithin)
	}
	if diff := cmp.Diff(names, h.learned()); diff != "" {
		fail("the learned names differ after the mending (-before +after):\n%s", diff)
	}
	for _, w := range strayed([]attempt{h.newFlow(h.t.Context(), "laptop", plainServer)}, "fiber") {
		fail("after the mending %s", w)
	}
	for _, w := range strayed([]attempt{h.named()}, "lte") {
		fail("after the mending, by its name, %s", w)
	}
	return wrong
}

// router runs a shell script in the router's namespace, as another program of that machine would.
func (h *house) router(script string) string {
	h.t.Helper()
	out, err := h.Lab.Router().Command(h.t.Context(), "sh", "-ec", script).CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

// TestFight deletes a rule again and again: the router does not spend its time in the fight, and says that there is one.
func TestFight(t *testing.T) {
	h := newHouse(t, restartPolicy, lossless)
	h.calm()
	was := h.status().Plan.Healed
	const length = 12 * time.Second
	for begin := time.Now(); time.Since(begin) < length; time.Sleep(50 * time.Millisecond) {
		// It fails while the rule is not there.
		_ = h.Lab.Router().Command(t.Context(), "ip", "rule", "del", "prio", "9001").Run()
	}
	s := h.status()
	// Ten mendings at once are normal, then one in five seconds.
	if healed := s.Plan.Healed - was; healed < 10 || healed > 10+int64(length/(5*time.Second))+1 {
		t.Errorf("%d mendings in a fight of %v, want about ten at first and then one in five seconds", healed, length)
	} else {
		t.Logf("%d mendings in a fight of %v", healed, length)
	}
	if !h.warned("fight") {
		t.Errorf("no warning of the fight: %+v", s.Warnings)
	}
	h.eventually("the rule is back", func() bool { return strings.Contains(h.routing(), " 9001: ") })
	h.eventually("the warning ends", func() bool { return !h.warned("fight") })
}

// TestCleanup: the command leaves nothing of ours in the kernel, whatever was there.
func TestCleanup(t *testing.T) {
	h := newHouse(t, restartPolicy, lossless)
	foreign := func() string {
		return h.router(`
			ip rule add from 192.0.2.77 lookup main prio 20000
			ip route add blackhole 192.0.2.77 table 2000
			nft add table inet other
			nft add chain inet other c`)
	}
	foreign()
	h.Router().Stop()
	countdown := regexp.MustCompile(` expires \d+sec`) // of what routers advertised
	look := func() []string {
		text := h.router(`
			ip rule; ip -6 rule
			ip route show table all; ip -6 route show table all
			nft list ruleset`)
		var lines []string
		for l := range strings.Lines(text) {
			lines = append(lines, countdown.ReplaceAllString(strings.Join(strings.Fields(l), " "), ""))
		}
		return lines
	}
	before := look()
	ours := func(l string) bool {
		first, last := plan.OwnRulePriorities()
		var n int
		_, _ = fmt.Sscanf(l, "%d:", &n)
		return first <= n && n <= last || strings.Contains(l, " table 100") || strings.Contains(l, fmt.Sprintf("proto %d", hal.RouteProtocol))
	}
	if !slices.ContainsFunc(before, ours) {
		t.Fatalf("there is nothing of ours to clean up:\n%s", strings.Join(before, "\n"))
	}
	for n := range 2 { // the second time there is nothing to do, which is no error
		if out, err := h.Lab.Router().Command(t.Context(), binary, "router", "--cleanup").CombinedOutput(); err != nil {
			t.Fatalf("cleanup %d: %v: %s", n+1, err, out)
		}
	}
	after := look()
	// What is left is what was there, less what is ours; the ruleset is the other program's table alone.
	var want []string
	for _, l := range before {
		if strings.HasPrefix(l, "table inet trenza") {
			break
		}
		if !ours(l) {
			want = append(want, l)
		}
	}
	want = append(slices.DeleteFunc(want, func(l string) bool { return slices.Contains(otherTable, l) }), otherTable...)
	if diff := cmp.Diff(want, after); diff != "" {
		t.Errorf("left after the cleanup (-want +got):\n%s", diff)
	}
	// And the router starts from nothing as it did at first.
	h.start()
	for _, w := range strayed([]attempt{h.newFlow(t.Context(), "laptop", plainServer)}, "fiber") {
		t.Error("after a cleanup and a new start", w)
	}
}

// otherTable is what nft lists of the other program's table.
var otherTable = []string{"table inet other {", "chain c {", "}", "}"}
