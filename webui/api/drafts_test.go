package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/webui/api"
)

// rule finds a rule in what somebody gets of /rules.
func ruleIn(rules api.Rules, id string) (api.RuleView, bool) {
	lists := [][]api.RuleView{rules.House}
	for _, p := range rules.People {
		lists = append(lists, p.Rules)
	}
	for _, list := range lists {
		for _, v := range list {
			if v.Rule.Id == id {
				return v, true
			}
		}
	}
	return api.RuleView{}, false
}

// TestRulesRoundTrip: every rule of a policy that is sent back as it was told changes nothing.
func TestRulesRoundTrip(t *testing.T) {
	text := enginetest.Policy + `
  leo:
    - {id: l1, when: ["22:00-06:00", sat], what: {apps: [youtube], services: [tcp/443], addresses: [203.0.113.0/24], dscp: [46]}, qos: {class: bulk, priority: 5, cap: {down: 5mbit}, guarantee: {up: 500kbit}, dscp: keep}}
    - {id: l2, disabled: true, priority: -3, who: {devices: [tablet]}, filter: {mode: deny-all}, log: true}
    - {id: l3, steer: {use: [fiber], kill_switch: true, failback: move, strict: true}}
`
	text = strings.Replace(text, "house:\n", `house:
  - {id: b1, force: bound, steer: {forbid: [lte], over_quota: true}, qos: {priority: {min: 2, max: 6}, cap: {down: 50mbit, up: 10mbit}, throttle: {down: 512kbit, up: 64kbit}}}
  - {id: b2, force: must, who: {router: true}, filter: {block: true, liftable: false, silent: true}}
`, 1)
	s := start(t, text, nil)
	_, data := s.do(t, http.MethodGet, "/rules", "")
	rules := decode[api.Rules](t, data)
	var edits []api.Edit
	for _, v := range rules.House {
		edits = append(edits, api.Edit{PutRule: &v.Rule})
	}
	for _, p := range rules.People {
		for _, v := range p.Rules {
			edits = append(edits, api.Edit{PutRule: &v.Rule, Owner: &p.Person})
		}
	}
	if len(edits) != 11 {
		t.Fatalf("%d rules", len(edits))
	}
	body, err := json.Marshal(api.NewDraft{Version: rules.Version, Edits: &edits})
	if err != nil {
		t.Fatal(err)
	}
	code, data := s.do(t, http.MethodPost, "/drafts", string(body))
	d := decode[api.Draft](t, data)
	if code != http.StatusOK || len(d.Problems) != 0 || len(d.Changes) != 0 {
		t.Errorf("%d %s", code, data)
	}
	if v, _ := ruleIn(rules, "l3"); len(v.Limits) != 2 || v.Limits[0].Aspect != api.LimitAspectSteer {
		t.Errorf("above l3: %+v", v.Limits)
	}
}

// TestDraft goes the whole way: edit, look, try, keep; and two who edit at once.
func TestDraft(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	s.live(t) // laptop runs a flow to 198.51.100.10:443
	callers := s.family(t)
	me, viewer := callers["admin"](), callers["viewer"]()
	make := func(edits string, header http.Header) (int, api.Draft, []byte) {
		t.Helper()
		code, data := s.call(t, http.MethodPost, "/drafts", `{"version":1,"edits":[`+edits+`]}`, header)
		var d api.Draft
		if code == http.StatusOK {
			d = decode[api.Draft](t, data)
		}
		return code, d, data
	}
	const all = `{"putRule":{"id":"all-lte","name":"All over lte","force":"must","priority":10,"steer":{"mode":"fixed","use":[{"link":"lte"}]}}}`
	code, d, data := make(all, me)
	if code != http.StatusOK || len(d.Problems) != 0 || len(d.Changes) != 1 || d.Effects == nil || d.Effects.Flows != 1 || len(d.Effects.Devices) != 1 || d.Effects.Devices[0] != "laptop" {
		t.Fatalf("%d %s", code, data)
	}
	lost := map[string]bool{}
	for _, f := range d.Effects.Lost {
		lost[f.Rule] = f.By == "all-lte"
	}
	if len(lost) != 3 || !lost["work"] || !lost["wifi-bank"] || !lost["bulk"] {
		t.Errorf("no longer count: %v", lost)
	}
	if m := d.Effects.Moves; len(m) != 1 || m[0].Before == m[0].After || m[0].Flow.Device != "laptop" {
		t.Errorf("moves: %+v", m)
	}
	// Impossible edits are problems with their place, or are refused.
	if _, bad, data := make(`{"putRule":{"id":"x","force":"must","steer":{"mode":"fixed"}}}`, me); !strings.Contains(string(data), "rule x") {
		t.Errorf("%+v %s", bad, data)
	}
	if code, _, data := make(`{"deleteRule":"none"}`, me); code != http.StatusNotFound {
		t.Errorf("%d %s", code, data)
	}
	if code, _, data := make(`{}`, me); code != http.StatusBadRequest {
		t.Errorf("%d %s", code, data)
	}
	if code, data := s.call(t, http.MethodPost, "/drafts", `{"version":7,"edits":[]}`, me); code != http.StatusConflict || !strings.Contains(string(data), "version 7 was edited, version 1 is in force") {
		t.Errorf("another version: %d %s", code, data)
	}
	// Somebody else's draft is nobody's.
	if code, _ := s.call(t, http.MethodGet, "/drafts/"+d.Id, "", callers["member"]()); code != http.StatusNotFound {
		t.Errorf("a member gets the draft: %d", code)
	}
	_, second, _ := make(`{"order":["no-gambling","calls"]}`, me)
	code, data = s.call(t, http.MethodPost, "/drafts/"+d.Id+"/apply", `{"seconds":600}`, me)
	trial := decode[api.Trial](t, data)
	if code != http.StatusOK || !trial.Running || trial.Mine == nil || !*trial.Mine || trial.LeftMs == nil || *trial.LeftMs <= 0 {
		t.Fatalf("%d %s", code, data)
	}
	for name, header := range map[string]http.Header{"another session": callers["admin"](), "a token": callers["rules"]()} {
		if code, data := s.call(t, http.MethodPost, "/trial/keep", `{"id":"`+d.Id+`"}`, header); code != http.StatusForbidden {
			t.Errorf("kept by %s: %d %s", name, code, data)
		}
	}
	if _, data := s.call(t, http.MethodGet, "/trial", "", viewer); !strings.Contains(string(data), `"running":true`) || strings.Contains(string(data), `"mine":true`) {
		t.Errorf("as a viewer: %s", data)
	}
	if code, _ := s.call(t, http.MethodPost, "/drafts/"+second.Id+"/apply", `{}`, me); code != http.StatusConflict {
		t.Errorf("a second trial: %d", code)
	}
	code, data = s.call(t, http.MethodPost, "/trial/keep", `{"id":"`+d.Id+`"}`, me)
	if trial := decode[api.Trial](t, data); code != http.StatusOK || trial.Running || trial.Version != 2 {
		t.Errorf("%d %s", code, data)
	}
	if code, data := s.call(t, http.MethodPost, "/drafts/"+second.Id+"/apply", `{}`, me); code != http.StatusConflict || !strings.Contains(string(data), `"conflict"`) {
		t.Errorf("a draft of the version before: %d %s", code, data)
	}
	// The record has it, with what it was and became.
	_, data = s.call(t, http.MethodGet, "/audit?action=policy", "", me)
	audit := decode[[]api.AuditEntry](t, data)
	if len(audit) != 2 || audit[0].Action != "policy.keep" || audit[1].Action != "policy.try" || audit[1].Actor != "boss" || !strings.Contains(audit[1].After, "all-lte") {
		t.Errorf("%s", data)
	}
}

// TestMemberEdits: a member changes their own rules, and nothing else by any way.
func TestMemberEdits(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	callers := s.family(t)
	me := callers["member"]() // leo, who owns the tablet
	const mine = `"putRule":{"id":"my-games","name":"Games over lte","what":{"categories":["games"]},"steer":{"use":[{"link":"lte"}]}}`
	for name, body := range map[string]string{
		"the whole policy":            `{"version":1,"text":"house: []"}`,
		"a rule of the house":         `{"version":1,"edits":[{"deleteRule":"calls"}]}`,
		"another person's rule":       `{"version":1,"edits":[{"deleteRule":"work"}]}`,
		"another person's order":      `{"version":1,"edits":[{"order":["work","bulk"]}]}`,
		"an id of the house":          `{"version":1,"edits":[{"putRule":{"id":"calls","steer":{"mode":"any"}}}]}`,
		"a rule for another person":   `{"version":1,"edits":[{` + mine + `,"owner":"ana"}]}`,
		"a rule for the house":        `{"version":1,"edits":[{` + mine + `,"owner":""}]}`,
		"a device":                    `{"version":1,"edits":[{"putDevice":{"id":"laptop","owner":"leo"}}]}`,
		"a person":                    `{"version":1,"edits":[{"putPerson":{"id":"x"}}]}`,
		"a group":                     `{"version":1,"edits":[{"putGroup":{"id":"x"}}]}`,
		"another edit beside a right": `{"version":1,"edits":[{` + mine + `,"putDevice":{"id":"laptop","owner":"leo"}},{"deleteDevice":"laptop"}]}`,
	} {
		if code, data := s.call(t, http.MethodPost, "/drafts", body, me); code < 400 || strings.Contains(string(data), "Ana") {
			t.Errorf("%s: %d %s", name, code, data)
		}
	}
	// A rule about a device of others is a problem of the policy itself.
	_, data := s.call(t, http.MethodPost, "/drafts", `{"version":1,"edits":[{"putRule":{"id":"x","who":{"devices":["laptop"]},"steer":{"mode":"any"}}}]}`, me)
	if !strings.Contains(string(data), "who.devices") && !strings.Contains(string(data), "problems") {
		t.Errorf("%s", data)
	}
	code, data := s.call(t, http.MethodPost, "/drafts", `{"version":1,"edits":[{`+mine+`}]}`, me)
	d := decode[api.Draft](t, data)
	if code != http.StatusOK || d.Text != nil || len(d.Changes) != 1 {
		t.Fatalf("%d %s", code, data)
	}
	if code, data := s.call(t, http.MethodPost, "/drafts/"+d.Id+"/apply", `{}`, me); code != http.StatusOK {
		t.Fatalf("%d %s", code, data)
	}
	if code, data := s.call(t, http.MethodPost, "/trial/keep", `{"id":"`+d.Id+`"}`, me); code != http.StatusOK {
		t.Fatalf("%d %s", code, data)
	}
	_, data = s.call(t, http.MethodGet, "/rules", "", me)
	rules := decode[api.Rules](t, data)
	if _, ok := ruleIn(rules, "my-games"); !ok || len(rules.People) != 1 || len(rules.House) != 0 || rules.Groups != nil {
		t.Errorf("%s", data)
	}
	// An admin's trial is not a member's to end.
	_, data = s.call(t, http.MethodPost, "/drafts", `{"version":2,"edits":[{"deleteRule":"work"}]}`, callers["rules"]())
	d = decode[api.Draft](t, data)
	if code, data := s.call(t, http.MethodPost, "/drafts/"+d.Id+"/apply", `{}`, callers["rules"]()); code != http.StatusOK {
		t.Fatalf("%d %s", code, data)
	}
	if code, data := s.call(t, http.MethodPost, "/trial/back", `{"id":"`+d.Id+`"}`, me); code != http.StatusNotFound {
		t.Errorf("%d %s", code, data)
	}
	if _, data := s.call(t, http.MethodGet, "/trial", "", me); strings.Contains(string(data), "work") || strings.Contains(string(data), "boss") {
		t.Errorf("a member sees the trial of others: %s", data)
	}
	if code, data := s.call(t, http.MethodPost, "/trial/back", `{"id":"`+d.Id+`"}`, callers["admin"]()); code != http.StatusOK {
		t.Errorf("%d %s", code, data)
	}
}

// TestRequests: a member asks, an admin answers, and what is accepted holds for that person alone.
func TestRequests(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	callers := s.family(t)
	me, boss := callers["member"](), callers["admin"]()
	code, data := s.call(t, http.MethodPost, "/requests", `{"text":"let me use lte for school","rule":{"id":"x","force":"must","who":{"people":["ana"]},"what":{"domains":["school.example"]},"steer":{"use":[{"link":"lte"}]}}}`, me)
	r := decode[api.Request](t, data)
	if code != http.StatusOK || r.Person != "leo" || r.Rule == nil || (*r.Rule.Who.People)[0] != "leo" {
		t.Fatalf("%d %s", code, data)
	}
	if code, data := s.call(t, http.MethodPost, "/requests", `{"text":"x","rule":{"id":"x","what":{"domains":["???"]},"steer":{"mode":"any"}}}`, me); code != http.StatusUnprocessableEntity {
		t.Errorf("%d %s", code, data)
	}
	code, data = s.call(t, http.MethodPost, "/requests/1/answer", `{"accept":true,"text":"fine"}`, boss)
	if r = decode[api.Request](t, data); code != http.StatusOK || r.State != api.RequestStateAccepted || r.By == nil || *r.By != "boss" {
		t.Fatalf("%d %s", code, data)
	}
	_, data = s.call(t, http.MethodGet, "/rules", "", boss)
	v, ok := ruleIn(decode[api.Rules](t, data), "request-1")
	if !ok || (*v.Rule.Who.People)[0] != "leo" || *v.Rule.Name != "let me use lte for school" {
		t.Errorf("%s", data)
	}
	if code, _ := s.call(t, http.MethodPost, "/requests/1/answer", `{"accept":false}`, boss); code != http.StatusNotFound {
		t.Errorf("answered twice: %d", code)
	}
	if code, data := s.call(t, http.MethodPost, "/requests", `{"text":"more time"}`, me); code >= http.StatusBadRequest {
		t.Fatalf("%d %s", code, data)
	}
	if code, data := s.call(t, http.MethodPost, "/requests/2/answer", `{"accept":false}`, boss); code != http.StatusOK {
		t.Errorf("%d %s", code, data)
	}
	_, data = s.call(t, http.MethodGet, "/requests", "", me)
	if list := decode[[]api.Request](t, data); len(list) != 2 || list[0].State != api.RequestStateDeclined || list[1].State != api.RequestStateAccepted {
		t.Errorf("%s", data)
	}
}
