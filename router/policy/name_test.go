package policy_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/policy/policytest"
)

// TestDecideNameIsCertain: a name is refused only where no flow to it would pass, whatever address and port it has.
func TestDecideNameIsCertain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, _, err := policy.Compile(policytest.Policy(8, 6).Draw(t, "policy"), policytest.Known())
		if err != nil {
			t.Fatal(err)
		}
		q := policytest.Query(c).Draw(t, "query")
		x := q.Target
		if c.DecideName(q.Subject, x.App, x.Category, x.Host, q.Time).Blocked && !c.Decide(q).Blocked {
			t.Fatalf("the name %q is refused, and a flow to it passes: %+v", x.Host, x)
		}
	})
}

func TestDecideName(t *testing.T) {
	p, err := policy.Parse("test.yaml", []byte(`
people: [{id: ana}]
devices: [{id: laptop, owner: ana, macs: ["02:00:00:00:00:01"]}]
house:
  - {id: ads, name: No ads, force: must, what: {domains: [ads.example]}, filter: {block: true}}
  - {id: mail, force: must, what: {domains: [mail.example], services: [tcp/25]}, filter: {block: true}}
  - {id: games, force: default, what: {domains: [games.example]}, filter: {block: true}}
personal:
  ana: [{id: play, what: {services: [udp/27000-27100]}, filter: {allow: true}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := policy.Compile(p, policy.Known{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		device, host string
		blocked      bool
	}{
		{"laptop", "www.ads.example", true},
		{"stranger", "ads.example", true},
		{"laptop", "mail.example", false},  // only one port of it
		{"laptop", "games.example", false}, // ana allows some ports
		{"stranger", "games.example", true},
		{"laptop", "other.example", false},
	} {
		if d := c.DecideName(c.Subject(x.device), "", "", x.host, time.Unix(0, 0)); d.Blocked != x.blocked {
			t.Errorf("%s asks for %s: blocked %v, want %v", x.device, x.host, d.Blocked, x.blocked)
		}
	}
}
