package scenario

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/integration/netlab/home"
	"github.com/trenza-router/trenza/webui/api"
)

const (
	manyRules   = 5000
	manyApplies = 100
)

// bulkPolicy is restartPolicy with many more rules, of which every tenth differs from one n to the next.
func bulkPolicy(n int) string {
	var b strings.Builder
	b.WriteString(restartPolicy)
	for i := range manyRules - 4 {
		orders := [...]string{"fiber, wifi, lte", "wifi, lte, fiber", "lte, fiber"}
		order := orders[i%3]
		if i%10 == n%10 {
			order = orders[(i+n)%3]
		}
		// Names, addresses and ports that none of the load has, over all devices.
		var what string
		switch i % 5 {
		case 0, 1, 2:
			what = fmt.Sprintf("domains: [site%d.example]", i)
		case 3:
			what = fmt.Sprintf("addresses: [10.%d.%d.0/24]", 128+i/5/250, i/5%250)
		case 4:
			what = fmt.Sprintf(`services: [tcp/%d]`, 20000+i)
		}
		fmt.Fprintf(&b, "  - {id: bulk-%d, force: default, what: {%s}, steer: {use: [%s]}}\n", i, what, order)
	}
	return b.String()
}

// put hands a policy to the daemon.
func (h *house) put(text string) (*api.PutPolicyResponse, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), paced(time.Minute))
	defer cancel()
	return h.api.PutPolicyWithBodyWithResponse(ctx, nil, "application/yaml", strings.NewReader(text))
}

// TestManyApplies puts a hundred large policies in force, one after the other, under load. It takes minutes, so the load comes in
// rounds: one that lost something while the machine itself stood still says nothing, and does not count.
func TestManyApplies(t *testing.T) {
	h := newHouse(t, restartPolicy, lossless)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type verdict struct{ good, void int }
	load := async(func() (v verdict, err error) {
		for ctx.Err() == nil {
			longest := watchStalls()
			wrong := h.loaded(10 * time.Second)
			stall := longest()
			switch {
			case len(wrong) == 0:
				v.good++
			case stall >= stallLimit:
				v.void++
				t.Logf("a round while the machine stood still for %v does not count: %v", stall, wrong)
			default:
				t.Errorf("a round went wrong, the machine's longest stall being %v: %v", stall, wrong)
			}
		}
		return v, nil
	})
	var longest, sum time.Duration
	for n := range manyApplies {
		start := time.Now()
		r, err := h.put(bulkPolicy(n))
		took := time.Since(start)
		sum, longest = sum+took, max(longest, took)
		if err != nil || r.JSON200 == nil {
			t.Fatalf("policy %d was not applied: %v %s", n, err, body(r))
		}
	}
	cancel()
	t.Logf("%d policies of %d rules took %v, the longest %v", manyApplies, manyRules, sum, longest)
	if s := h.status(); s == nil || s.Plan.Rules < manyRules || s.Plan.Error != "" {
		t.Errorf("the plan in force after all is %+v", s)
	}
	if v, _ := load(); v.good < 3 {
		t.Errorf("%d good rounds and %d void ones: too few to tell", v.good, v.void)
	} else {
		t.Logf("%d rounds of load lost nothing; %d did not count", v.good, v.void)
	}
}

// loaded is a round of load: a stream, a loop and new flows. It says what they suffered.
func (h *house) loaded(length time.Duration) []string {
	stream, loop, flows := h.download("laptop", length), h.ticks("phone", 1000, length), h.newFlows("laptop", 100*time.Millisecond)
	s, err := stream()
	wrong := h.damageOf(s, err, "fiber")
	r, err := loop()
	return append(append(wrong, h.lossOf(r, err, "wifi", 0)...), strayed(flows(), "fiber")...)
}

func body(r *api.PutPolicyResponse) string {
	if r == nil {
		return ""
	}
	return r.Status() + " " + string(r.Body)
}

// saboteur is an nft that spoils what it is given to load, never what it is given to check, while a file beside it exists. The
// refusal is the real program's and the real kernel's.
const saboteur = `#!/bin/sh
if [ -e "$0.spoil" ] && [ "$1" = -f ]; then
	{ cat; echo 'add rule inet trenza prerouting goto nowhere_at_all'; } | nft "$@"
	exit $?
fi
exec nft "$@"
`

// refusalWords are the kernel's own about a chain that is not there, as nft prints them.
const refusalWords = "Could not process rule: No such file or directory"

// TestRefusedApply: what the kernel refuses changes nothing, and the answer says why.
func TestRefusedApply(t *testing.T) {
	nft := filepath.Join(t.TempDir(), "nft")
	if err := os.WriteFile(nft, []byte(saboteur), 0o755); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, restartPolicy, lossless, func(o *home.Options) { o.Config = "nft: " + nft + "\n" })
	spoil := func(on bool) {
		t.Helper()
		var err error
		if on {
			err = os.WriteFile(nft+".spoil", nil, 0o600)
		} else {
			err = os.Remove(nft + ".spoil")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	version := func() (int64, string) {
		t.Helper()
		r, err := h.api.GetPolicyWithResponse(t.Context())
		if err != nil || r.JSON200 == nil {
			t.Fatalf("the policy in force cannot be read: %v", err)
		}
		return r.JSON200.Version, r.JSON200.Text
	}
	loop := h.ticks("phone", 1000, 6*time.Second)
	before := h.calm()
	number, text := version()
	other := strings.ReplaceAll(restartPolicy, "use: [fiber, wifi]", "use: [lte, wifi]")

	// The commit is refused, after the check has passed.
	spoil(true)
	r, err := h.put(other)
	if err != nil {
		t.Fatal(err)
	}
	if r.JSON200 != nil || r.JSONDefault == nil || !strings.Contains(r.JSONDefault.Message, refusalWords) {
		t.Errorf("a policy that the kernel refuses is answered by %s, want an error with the kernel's reason", body(r))
	} else {
		t.Logf("the refusal: %s", r.JSONDefault.Message)
	}
	if diff := cmp.Diff(before, h.kernelState()); diff != "" {
		t.Errorf("the refused policy changed the kernel's state (-before +after):\n%s", diff)
	}
	if n, now := version(); n != number || now != text {
		t.Errorf("version %d is in force after the refusal, want still %d", n, number)
	}
	for _, w := range strayed([]attempt{h.newFlow(t.Context(), "laptop", plainServer)}, "fiber") {
		t.Error(w)
	}
	r2, err := loop()
	for _, w := range h.lossOf(r2, err, "wifi", 0) {
		t.Error(w)
	}

	// A plan of the daemon's own is refused half-way, when routes were changed already: they are taken back, a warning says why,
	// and the plan is tried again until the kernel takes it.
	routing := h.routing()
	if err := h.Lab.Link("fiber").Cut(false); err != nil {
		t.Fatal(err)
	}
	h.eventually("a warning of the refused plan", func() bool { return h.usable(false, "fiber") && h.warned("plan") })
	if s := h.status(); s == nil || !strings.Contains(s.Plan.Error, refusalWords) {
		t.Errorf("the status does not say why the plan was refused: %+v", s)
	}
	// The warning may be of a plan before the cut, and this one, or one that tries again, on its way.
	h.eventually("the routes taken back", func() bool { return h.routing() == routing })
	spoil(false)
	h.eventually("the plan is tried again", func() bool { return !h.warned("plan") })
	h.eventually("flows take the wifi", func() bool {
		a := h.newFlow(t.Context(), "laptop", plainServer)
		return !a.astray() && a.link == "wifi"
	})
	h.heal()

	// The same policy is taken now.
	if r, err := h.put(other); err != nil || r.JSON200 == nil {
		t.Fatalf("the policy is refused without a reason: %v %s", err, body(r))
	}
	for _, w := range strayed([]attempt{h.newFlow(t.Context(), "laptop", plainServer)}, "lte") {
		t.Error("by the new policy", w)
	}
}
