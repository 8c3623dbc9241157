package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/webui/api"
)

// people are the household of the default lab; policies of these scenarios begin with it.
const people = `
time_zone: UTC
people:
  - {id: ana, name: Ana}
  - {id: leo, name: Leo}
devices:
  - {id: laptop, name: Laptop, macs: ["3c:58:c2:00:77:01"], owner: ana}
  - {id: phone, name: Phone, macs: ["a4:83:e7:00:77:02"], owner: leo}
  - {id: tv, name: TV, macs: ["8c:79:f5:00:77:03"]}
  - {id: console, name: Console, macs: ["00:d9:d1:00:77:04"], owner: leo}
  - {id: camera, name: Camera, macs: ["44:19:b6:00:77:05"]}
groups:
  - {id: children, name: Children, people: [leo]}
  - {id: screens, name: Screens, devices: [tv, console]}
`

// question is what a test asks "why" about: the fields of a flow that decide.
type question struct {
	device string
	to     string
	proto  string // "tcp" when empty
	port   int    // 443 when zero and the protocol has ports
	dscp   int
}

func (q question) String() string {
	proto := q.proto
	if proto == "" {
		proto = "tcp"
	}
	return fmt.Sprintf("%s to %s %s/%d dscp %d", q.device, q.to, proto, q.port, q.dscp)
}

// why asks the daemon; a refusal to answer ends the test.
func (h *house) why(t testing.TB, q question) *api.Answer {
	t.Helper()
	a, err := h.ask(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (h *house) ask(ctx context.Context, q question) (*api.Answer, error) {
	p := api.GetWhyParams{Device: q.device, To: q.to}
	if q.proto != "" {
		p.Proto = &q.proto
	}
	if q.port != 0 {
		p.Port = &q.port
	}
	if q.dscp != 0 {
		p.Dscp = &q.dscp
	}
	r, err := h.api.GetWhyWithResponse(ctx, &p)
	if err != nil {
		return nil, fmt.Errorf("asking why %v: %w", q, err)
	}
	if r.JSON200 == nil {
		return nil, fmt.Errorf("asking why %v: status %d: %s", q, r.StatusCode(), r.Body)
	}
	return r.JSON200, nil
}

// linksFor are the links that an answer names for a family; none when the flow is refused.
func linksFor(a *api.Answer, v6 bool) []string {
	family := api.FamilyAnswerFamily(4)
	if v6 {
		family = 6
	}
	var out []string
	for _, f := range a.Families {
		if f.Family != family {
			continue
		}
		for _, l := range f.Links {
			if !slices.Contains(out, l.Link) {
				out = append(out, l.Link)
			}
		}
	}
	return out
}

// reasonOf is what an answer says of a rule in an aspect.
func reasonOf(a *api.Answer, aspect, rule string) (api.Reason, bool) {
	for _, r := range a.Reasons {
		if string(r.Aspect) == aspect && r.Rule != nil && *r.Rule == rule {
			return r, true
		}
	}
	return api.Reason{}, false
}

// prevailing is the rule that decided an aspect; "" for what is built in.
func prevailing(a *api.Answer, aspect string) string {
	for _, outcome := range []api.ReasonOutcome{api.ReasonOutcomeDecided, api.ReasonOutcomeClamped} {
		for _, r := range a.Reasons {
			if string(r.Aspect) == aspect && r.Outcome == outcome && r.Rule != nil {
				return *r.Rule
			}
		}
	}
	return ""
}

// setPolicy replaces the policy through the interface that the page uses.
func (h *house) setPolicy(t testing.TB, text string) {
	t.Helper()
	r, err := h.api.PutPolicyWithBodyWithResponse(t.Context(), &api.PutPolicyParams{}, "application/yaml", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if r.JSON200 == nil {
		t.Fatalf("the policy was refused with status %d: %s\n%s", r.StatusCode(), r.Body, text)
	}
}

// seenLink says over which link a connection to the greeting server of an address or name goes, and fails without one.
func (h *house) seenLink(t testing.TB, host, to string, family client.Family) string {
	t.Helper()
	got, err := h.Agent(host).Connect(t.Context(), client.Connect{Target: client.Target{Host: to, Family: family}})
	if err != nil {
		t.Errorf("%s to %s over %s: %v", host, to, family, err)
		return ""
	}
	return h.linkOf(got.Seen.Remote.Addr())
}

// families are the two, for tables.
func families() []client.Family { return []client.Family{client.V4, client.V6} }

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }
