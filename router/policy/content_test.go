package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/policy/policytest"
)

// Rules about content are asked when the content is known, and name tier and words like any other.
func TestContentBlocks(t *testing.T) {
	p, err := policy.Parse("content.yaml", []byte(`
people: [{id: ana}]
devices: [{id: laptop, owner: ana}, {id: tv}]
house:
  - {id: gambling, name: No gambling, force: must, what: {tls_name: [casino, "re:^(www\\.)?bet[0-9]+\\."]}, filter: {block: true, liftable: true}}
  - {id: forms, force: must, what: {http: {host: "re:^forms\\.", path: [/upload, "re:\\?key="]}, services: [tcp/80]}, filter: {block: true}}
personal:
  ana:
    - {id: peers, what: {protocol: bittorrent}, filter: {block: true, silent: true}}
    - {id: secret, what: {payload: ["re:\\x00\\x01", "Top Secret"]}, filter: {block: true}}
`))
	if err != nil {
		t.Fatal(err)
	}
	c, warnings, err := policy.Compile(p, policytest.Known())
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	for name, tt := range map[string]struct {
		device  string
		port    uint16
		content *policy.Content
		rule    string // that blocks; "" for none
	}{
		"not looked into":          {"laptop", 443, nil, ""},
		"nothing known":            {"laptop", 443, &policy.Content{}, ""},
		"keyword in another case":  {"tv", 443, &policy.Content{TLSName: "www.CASINO.example"}, "gambling"},
		"expression":               {"tv", 443, &policy.Content{TLSName: "bet365.example"}, "gambling"},
		"expression holds":         {"tv", 443, &policy.Content{TLSName: "alphabet365.example"}, ""},
		"one of two keys":          {"tv", 80, &policy.Content{HTTPHost: "forms.example", HTTPPath: "/"}, ""},
		"both keys":                {"tv", 80, &policy.Content{HTTPHost: "forms.example", HTTPPath: "/a?key=1"}, "forms"},
		"another service":          {"tv", 8080, &policy.Content{HTTPHost: "forms.example", HTTPPath: "/a?key=1"}, ""},
		"protocol":                 {"laptop", 6881, &policy.Content{Protocol: "bittorrent"}, "peers"},
		"another person's":         {"tv", 6881, &policy.Content{Protocol: "bittorrent"}, ""},
		"bytes":                    {"laptop", 9, &policy.Content{Payload: []byte("a\x00\x01\xff")}, "secret"},
		"keyword among bytes":      {"laptop", 9, &policy.Content{Payload: []byte("\xff\xfetop secret\x80")}, "secret"},
		"no name, no match by one": {"laptop", 443, &policy.Content{Protocol: "tls"}, ""},
	} {
		d := c.Decide(policy.Query{Subject: c.Subject(tt.device), Target: policy.Target{Proto: 6, Port: tt.port, Content: tt.content}, Time: time.Unix(0, 0)})
		rule := ""
		for _, r := range d.Reasons {
			if r.Aspect == policy.AspectFilter && r.Outcome == policy.Decided {
				rule = r.RuleID
			}
		}
		if rule != tt.rule || d.Blocked != (tt.rule != "") || d.Silent != (tt.rule == "peers") {
			t.Errorf("%s: blocked %v silently %v by %q, want %q", name, d.Blocked, d.Silent, rule, tt.rule)
		}
	}
	ends := func(device string, port uint16) (ids []string) {
		for _, r := range c.MayEnd(policy.Query{Subject: c.Subject(device), Target: policy.Target{Proto: 6, Port: port}, Time: time.Unix(0, 0)}) {
			ids = append(ids, r.RuleID)
		}
		return ids
	}
	if got := [][]string{ends("tv", 443), ends("laptop", 80)}; !slices.Equal(got[0], []string{"gambling"}) || !slices.Equal(got[1], []string{"forms", "gambling", "peers", "secret"}) {
		t.Errorf("flows may be ended by %v", got)
	}
	if d := c.DecideName(c.Subject("tv"), "", "", "www.casino.example", time.Unix(0, 0)); d.Blocked {
		t.Error("a name is refused for a rule about content, which may be another in the flow")
	}
}

// An expression made to take for ever is over in time: RE2 goes once over what it reads.
func TestExpressionsCannotHang(t *testing.T) {
	p := policy.Policy{Main: []policy.Rule{{ID: "slow", Tier: policy.Main, Force: policy.Must,
		What: policy.What{Payload: []policy.Pattern{`re:(x+x+)+y`, `re:(a|aa)+$`}}, Filter: &policy.Filter{Action: policy.Block}}}}
	c, _, err := policy.Compile(p, policy.Known{})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{strings.Repeat("x", 16<<10), strings.Repeat("a", 16<<10) + "b"} {
		done := make(chan bool, 1)
		go func() {
			done <- c.Decide(policy.Query{Target: policy.Target{Content: &policy.Content{Payload: []byte(text)}}}).Blocked
		}()
		select {
		case blocked := <-done:
			if blocked {
				t.Error("blocked")
			}
		case <-time.After(time.Minute): // exponential in 16,384 would not end at all
			t.Fatal("an expression hangs")
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"casino", "re:^a(b|c)+", "re:a)b", "re:(", "re:x[a-", `re:\pN{3}`, "re:(a{20}){20}", "\x00"} {
		f.Add(s, "text")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		p := policy.Policy{Main: []policy.Rule{{ID: "r", Tier: policy.Main, Force: policy.Must,
			What: policy.What{Payload: []policy.Pattern{policy.Pattern(pattern)}}, Filter: &policy.Filter{Action: policy.Block}}}}
		c, _, err := policy.Compile(p, policy.Known{})
		if err != nil {
			return
		}
		c.Decide(policy.Query{Target: policy.Target{Content: &policy.Content{Payload: []byte(text)}}})
		written, err := policy.Format(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := policy.Parse("again", written)
		if err != nil || again.Main[0].What.Payload[0] != policy.Pattern(pattern) {
			t.Fatalf("%q is not read back: %v", pattern, err)
		}
	})
}
