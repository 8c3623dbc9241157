package policy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/policy/policytest"
)

const familyHead = `
time_zone: Europe/Madrid
people: [{id: ana}, {id: ben}]
devices:
  - {id: pc, owner: ana}
  - {id: phone, owner: ana}
  - {id: tv}
groups: [{id: kids, people: [ana]}]
`

// decide parses rules in short form, one a line: "id tier fields", where tier is must, bound, default or a person.
func decide(t *testing.T, rules string, q policy.Query) policy.Decision {
	t.Helper()
	text := familyHead
	house, personal := "", map[string]string{}
	for line := range strings.Lines(strings.TrimSpace(rules)) {
		parts := strings.SplitN(strings.TrimSpace(line), " ", 3)
		switch parts[1] {
		case "must", "bound", "default":
			house += fmt.Sprintf("  - {id: %s, force: %s, %s}\n", parts[0], parts[1], parts[2])
		default:
			personal[parts[1]] += fmt.Sprintf("    - {id: %s, %s}\n", parts[0], parts[2])
		}
	}
	if house != "" {
		text += "house:\n" + house
	}
	if len(personal) > 0 {
		text += "personal:\n"
	}
	for _, owner := range []string{"ana", "ben"} {
		if personal[owner] != "" {
			text += "  " + owner + ":\n" + personal[owner]
		}
	}
	p, err := policy.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	c := mustCompile(t, p)
	if !q.Subject.Router {
		q.Subject = c.Subject(q.Subject.Device)
	}
	if q.Time.IsZero() {
		q.Time = time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC) // Wednesday, 13:00 in Madrid
	}
	return c.Decide(q)
}

func onPC(t policy.Target) policy.Query {
	return policy.Query{Subject: policy.Subject{Device: "pc"}, Target: t}
}

// outcomes writes the reasons of an aspect as "rule outcome(by)".
func outcomes(d policy.Decision, a policy.Aspect) string {
	var out []string
	for _, r := range d.Reasons {
		if r.Aspect != a {
			continue
		}
		id := r.RuleID
		if id == "" {
			id = "built-in"
		}
		text := id + " " + r.Outcome.String()
		if r.By != "" {
			text += "(" + r.By + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func steerText(s policy.Steer) string {
	text := s.Mode.String()
	for _, l := range s.Use {
		text += " " + l.Link
		if s.Mode == policy.Balance {
			text += fmt.Sprintf(":%d", l.Weight)
		}
	}
	if len(s.Allow) > 0 {
		text += " of " + strings.Join(s.Allow, ",")
	}
	if s.KillSwitch {
		text += " kill"
	}
	if s.OverQuota {
		text += " over-quota"
	}
	return text
}

func TestSteer(t *testing.T) {
	tests := []struct{ name, rules, want, why string }{
		{"nobody says", `x default log: true`, "any", "built-in decided"},
		{"default", `d default steer: {use: [lte]}`, "failover lte", "d decided"},
		{"user before default", "d default steer: {use: [lte]}\nu ana steer: {use: [wifi, lte]}",
			"failover wifi lte", "u decided, d overruled(u)"},
		{"must before all", "m must steer: {use: [fiber]}\nd default steer: {use: [lte]}\nu ana steer: {use: [wifi]}",
			"failover fiber", "m decided, u overruled(m), d overruled(m)"},
		{"another person's rule", "u ben steer: {use: [wifi]}", "any", "built-in decided"},
		{"bound narrows a user", "b bound steer: {forbid: [lte]}\nu ana steer: {use: [lte, wifi]}",
			"failover wifi of fiber,wifi", "b limited, u clamped(b)"},
		{"bound keeps the order", "b bound steer: {allow: [fiber, wifi]}\nu ana steer: {use: [wifi, fiber]}",
			"failover wifi fiber of fiber,wifi", "b limited, u decided"},
		{"a kill switch needs no last resort", "b bound steer: {forbid: [lte]}\nu ana steer: {use: [wifi], kill_switch: true}",
			"failover wifi kill", "b no-effect, u decided"},
		{"bound narrows a balance", "b bound steer: {forbid: [lte]}\nu ana steer: {use: {fiber: 7, lte: 3}, mode: balance}",
			"balance fiber:7 of fiber,wifi", "b limited, u clamped(b)"},
		{"bound leaves a fixed link", "b bound steer: {forbid: [lte]}\nu ana steer: {use: [wifi], mode: fixed}",
			"fixed wifi", "b no-effect, u decided"},
		{"bound empties a user: default", "b bound steer: {forbid: [lte]}\nu ana steer: {use: [lte], mode: fixed}\nd default steer: {use: [lte, fiber]}",
			"failover fiber of fiber,wifi", "b limited, u overruled(b), d clamped(b)"},
		{"bound empties both: built-in", "b bound steer: {forbid: [lte]}\nu ana steer: {use: [lte]}\nd default steer: {use: [lte]}",
			"any fiber wifi of fiber,wifi", "b limited, u overruled(b), d overruled(b), built-in clamped(b)"},
		{"bound on the built-in", "b bound steer: {forbid: [lte]}", "any fiber wifi of fiber,wifi", "b limited, built-in clamped(b)"},
		{"bound on any", "b bound steer: {allow: [lte]}\nu ana steer: {mode: any}", "any lte of lte", "b limited, u clamped(b)"},
		{"bounds intersect", "b bound steer: {allow: [lte, wifi]}\nc bound steer: {allow: [wifi, fiber]}\nu ana steer: {mode: any}",
			"any wifi of wifi", "b limited, c limited, u clamped(b)"},
		{"bounds leave nothing", "b bound steer: {allow: [lte]}\nc bound steer: {forbid: [lte]}\nu ana steer: {use: [fiber]}",
			"failover kill", "b limited, c limited, u overruled(b), built-in clamped(b)"},
		{"a bound of everything", "b bound steer: {allow: [lte, wifi, fiber]}\nu ana steer: {use: [lte]}", "failover lte", "b no-effect, u decided"},
		{"a must prevails over a bound", "m must steer: {use: [lte], mode: fixed}\nb bound steer: {forbid: [lte]}",
			"fixed lte", "m decided, b no-effect(m)"},
		{"behind a must the bound holds", "m must steer: {use: [lte]}\nb bound steer: {forbid: [lte]}",
			"failover lte of fiber,wifi,lte", "m decided, b limited"},
		{"kill switch of a bound", "b bound steer: {kill_switch: true}\nu ana steer: {use: [wifi]}",
			"failover wifi kill", "b limited, u decided"},
		{"quota of a bound", "b bound steer: {over_quota: true}\nu ana steer: {use: [lte]}",
			"failover lte over-quota", "b limited, u decided"},
		{"priority first", "a ana steer: {use: [lte]}\nb ana steer: {use: [wifi]}, priority: 1", "failover wifi", "b decided, a overruled(b)"},
		{"device before person", "a ana steer: {use: [lte]}, who: {people: [ana]}\nb ana steer: {use: [wifi]}, who: {devices: [pc]}",
			"failover wifi", "b decided, a overruled(b)"},
		{"person before group before all", "a default steer: {use: [lte]}\nb default steer: {use: [wifi]}, who: {groups: [kids]}\nc default steer: {use: [fiber]}, who: {people: [ana]}",
			"failover fiber", "c decided, b overruled(c), a overruled(c)"},
		{"who before what", "a default steer: {use: [lte]}, what: {apps: [zoom]}\nb default steer: {use: [wifi]}, who: {groups: [kids]}",
			"failover wifi", "b decided, a overruled(b)"},
		{"app before category before domain before address before service", `
e default steer: {use: [lte]}
d default steer: {use: [lte]}, what: {services: [tcp/443]}
c default steer: {use: [lte]}, what: {addresses: [203.0.113.0/24]}
b default steer: {use: [lte]}, what: {domains: [example.org]}
a default steer: {use: [lte]}, what: {categories: [video-calls]}
z default steer: {use: [fiber]}, what: {apps: [zoom]}`, "failover fiber",
			"z decided, a overruled(z), b overruled(z), c overruled(z), d overruled(z), e overruled(z)"},
		{"id last", "b ana steer: {use: [lte]}\na ana steer: {use: [wifi]}", "failover wifi", "a decided, b overruled(a)"},
		{"disabled", "a ana steer: {use: [lte]}, disabled: true", "any", "built-in decided"},
		{"out of hours", `a ana steer: {use: [lte]}, when: ["mon-fri 14:00-15:00"]`, "any", "built-in decided"},
		{"in hours", `a ana steer: {use: [lte]}, when: ["wed 13:00-13:01"]`, "failover lte", "a decided"},
		{"from last night", `a ana steer: {use: [lte]}, when: ["tue 22:00-13:30"]`, "failover lte", "a decided"},
	}
	target := policy.Target{App: "zoom", Category: "video-calls", Host: "www.example.org",
		Addr: netip.MustParseAddr("203.0.113.9"), Proto: flow.ProtoTCP, Port: 443}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := decide(t, tt.rules, onPC(target))
			if diff := cmp.Diff([]string{tt.want, tt.why}, []string{steerText(d.Steer), outcomes(d, policy.AspectSteer)}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestQoS(t *testing.T) {
	tests := []struct{ name, rules, want, why string }{
		{"nobody says", "x default log: true", "{}", "built-in decided"},
		{"must before user", "m must qos: {class: bulk}\nu ana qos: {class: web}", "{class: bulk}", "m decided, u overruled(m)"},
		{"user before default", "d default qos: {class: bulk, cap: {down: 1mbit}}\nu ana qos: {cap: {down: 5mbit}}",
			"{class: bulk, cap: {down: 5mbit}}", "u decided, d decided(u)"},
		{"cap: minimum", "b bound qos: {cap: {down: 5mbit}}\nu ana qos: {cap: {down: 9mbit, up: 9mbit}}",
			"{cap: {down: 5mbit, up: 9mbit}}", "b limited, u clamped(b)"},
		{"cap: a user lowers it", "b bound qos: {cap: {down: 5mbit}}\nu ana qos: {cap: {down: 2mbit}}", "{cap: {down: 2mbit}}", "b no-effect, u decided"},
		{"cap: the smallest of bounds", "b bound qos: {cap: {down: 5mbit}}\nc bound qos: {cap: {down: 3mbit}}", "{cap: {down: 3mbit}}",
			"b no-effect, c limited, built-in clamped(c)"},
		{"cap: must above bound", "m must qos: {cap: {down: 9mbit}}\nb bound qos: {cap: {down: 5mbit}}\nu ana qos: {cap: {down: 1mbit}}",
			"{cap: {down: 9mbit}}", "m decided, b no-effect, u overruled(m)"},
		{"guarantee: budget", "b bound qos: {guarantee: {up: 2mbit}}\nu ana qos: {guarantee: {up: 3mbit}}", "{guarantee: {up: 2mbit}}", "b limited, u clamped(b)"},
		{"guarantee: inside the budget", "b bound qos: {guarantee: {up: 2mbit}}\nu ana qos: {guarantee: {up: 1mbit}}", "{guarantee: {up: 1mbit}}", "b no-effect, u decided"},
		{"guarantee: not more than the cap", "d default qos: {guarantee: {down: 5mbit}}\nu ana qos: {cap: {down: 2mbit}}",
			"{guarantee: {down: 2mbit}, cap: {down: 2mbit}}", "u decided, d decided"},
		{"guarantee: a must's is not lowered by a user's cap", "m must qos: {guarantee: {down: 5mbit}}\nu ana qos: {cap: {down: 2mbit}}",
			"{guarantee: {down: 5mbit}, cap: {down: 5mbit}}", "m decided, u decided"},
		{"priority: clamped up", "b bound qos: {priority: {min: 3, max: 5}}\nu ana qos: {priority: 0}", "{priority: 3}", "b limited, u clamped(b)"},
		{"priority: clamped down", "b bound qos: {priority: {min: 3, max: 5}}\nu ana qos: {priority: 7}", "{priority: 5}", "b limited, u clamped(b)"},
		{"priority: inside", "b bound qos: {priority: {min: 3, max: 5}}\nu ana qos: {priority: 4}", "{priority: 4}", "b no-effect, u decided"},
		{"priority: the range stays for the class", "b bound qos: {priority: {min: 3}}\nc bound qos: {priority: {max: 5}}", "{priority: {min: 3, max: 5}}",
			"b limited, c limited, built-in decided"},
		{"throttle: beside the cap", "m must qos: {throttle: {down: 1mbit}}\nu ana qos: {cap: {down: 5mbit}, throttle: {down: 9mbit}}",
			"{cap: {down: 5mbit}, throttle: {down: 1mbit}}", "m decided, u decided(m)"},
		{"throttle: minimum", "b bound qos: {throttle: {down: 1mbit}}\nu ana qos: {throttle: {down: 5mbit}}", "{throttle: {down: 1mbit}}", "b limited, u clamped(b)"},
		{"throttle: a bound's holds if nobody says one", "b bound qos: {throttle: {up: 64kbit}}", "{throttle: {up: 64kbit}}", "b limited, built-in clamped(b)"},
		{"dscp: the first that says it", "d default qos: {dscp: keep}\nu ana qos: {dscp: 0}", "{dscp: 0}", "u decided, d overruled(u)"},
		{"dscp: kept", "d default qos: {dscp: keep}", "{dscp: 64}", "d decided"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := decide(t, tt.rules, onPC(policy.Target{}))
			if diff := cmp.Diff([]string{tt.want, tt.why}, []string{qosText(d.QoS), outcomes(d, policy.AspectQoS)}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// qosText writes the quality as the YAML of a rule would.
func qosText(q policy.QoS) string {
	var out []string
	if q.Class != "" {
		out = append(out, "class: "+q.Class)
	}
	if q.Priority != nil {
		out = append(out, fmt.Sprintf("priority: %d", *q.Priority))
	}
	if q.MinPriority != nil {
		out = append(out, fmt.Sprintf("priority: {min: %d, max: %d}", *q.MinPriority, *q.MaxPriority))
	}
	for _, pair := range []struct {
		name     string
		down, up policy.Rate
	}{{"guarantee", q.GuaranteeDown, q.GuaranteeUp}, {"cap", q.CapDown, q.CapUp}, {"throttle", q.ThrottleDown, q.ThrottleUp}} {
		var rates []string
		if pair.down != 0 {
			rates = append(rates, "down: "+pair.down.String())
		}
		if pair.up != 0 {
			rates = append(rates, "up: "+pair.up.String())
		}
		if len(rates) > 0 {
			out = append(out, pair.name+": {"+strings.Join(rates, ", ")+"}")
		}
	}
	if q.DSCP != nil {
		out = append(out, fmt.Sprintf("dscp: %d", *q.DSCP))
	}
	return "{" + strings.Join(out, ", ") + "}"
}

func TestFilter(t *testing.T) {
	const block, allow = "filter: {block: true}", "filter: {allow: true}"
	mode := func(m string) string { return "filter: {mode: " + m + "}" }
	tests := []struct{ name, rules, want, why string }{
		{"nobody says", "x default log: true", "pass filter log", "built-in decided"},
		{"must block before must allow", "m must " + block + "\nn must " + allow, "block filter", "m decided, n overruled(m)"},
		{"must allow before user block", "m must " + allow + "\nu ana " + block, "pass filter", "m decided, u overruled(m)"},
		{"user block before user allow", "u ana " + block + "\nv ana " + allow + ", priority: 9", "block filter", "v overruled(u), u decided"},
		{"user allow before default", "u ana " + allow + "\nd default " + block, "pass filter", "u decided, d overruled(u)"},
		{"user block before default", "u ana " + block + "\nd default " + allow, "block filter", "u decided, d overruled(u)"},
		{"defaults by order", "c default " + block + "\nd default " + allow + ", who: {devices: [pc]}", "pass filter", "d decided, c overruled(d)"},
		{"must block, user allow", "m must " + block + "\nu ana " + allow, "block filter", "m decided, u overruled(m)"},
		{"liftable", "m must filter: {block: true, liftable: true}\nu ana " + allow, "pass filter", "m overruled(u), u decided"},
		{"liftable, nobody lifts", "m must filter: {block: true, liftable: true}\nn must " + allow, "block filter", "m decided, n overruled(m)"},
		{"liftable, lifted and blocked", "m must filter: {block: true, liftable: true}\nu ana " + allow + "\nv ana " + block, "block filter",
			"m decided, u overruled(m), v overruled(m)"},
		{"liftable beside one that is not", "m must filter: {block: true, liftable: true}\nn must filter: {block: true, silent: true}\nu ana " + allow,
			"block filter silent", "m overruled(n), n decided, u overruled(n)"},
		{"silent", "u ana filter: {block: true, silent: true}", "block filter silent", "u decided"},
		{"mode of a user", "u ana " + mode("deny-all"), "block deny-all", "u decided"},
		{"allow in deny-all", "u ana " + mode("deny-all") + "\nv ana " + allow, "pass deny-all", "u no-effect(v), v decided"},
		{"default allow in deny-all", "u ana " + mode("deny-all") + "\nd default " + allow, "pass deny-all", "u no-effect(d), d decided"},
		{"default mode", "d default " + mode("deny-all"), "block deny-all", "d decided"},
		{"user mode before default mode", "d default " + mode("deny-all") + "\nu ana " + mode("filter"), "pass filter", "u decided, d overruled(u)"},
		{"bound on a user's mode", "b bound " + mode("deny-all") + "\nu ana " + mode("allow-all"), "block deny-all", "b limited, u clamped(b)"},
		{"bound on the built-in", "b bound " + mode("deny-all"), "block deny-all", "b limited"},
		{"bound below", "b bound " + mode("filter") + "\nu ana " + mode("deny-all"), "block deny-all", "b no-effect, u decided"},
		{"least mode filter against allow-all", "b bound " + mode("filter") + "\nu ana " + mode("allow-all") + "\nv ana " + block, "block filter",
			"b no-effect(v), u clamped(b), v decided"},
		{"a user is stricter than a must", "m must " + mode("filter") + "\nu ana " + mode("deny-all"), "block deny-all", "m overruled(u), u decided"},
		{"a user is less strict than a must", "m must " + mode("deny-all") + "\nu ana " + mode("filter"), "block deny-all", "m decided, u overruled(m)"},
		{"must mode before default mode", "m must " + mode("allow-all") + "\nd default " + mode("deny-all"), "pass allow-all", "m decided, d overruled(m)"},
		{"allow-all: a user's block", "u ana " + mode("allow-all") + "\nv ana " + block, "pass allow-all", "u decided, v overruled(u)"},
		{"allow-all: a default block", "u ana " + mode("allow-all") + "\nd default " + block, "pass allow-all", "u decided, d overruled(u)"},
		{"allow-all: a must block", "u ana " + mode("allow-all") + "\nm must " + block, "block allow-all", "m decided, u no-effect(m)"},
		{"deny-all of a bound: no user allows", "b bound " + mode("deny-all") + "\nu ana " + allow, "block deny-all", "b limited, u overruled(b)"},
		{"deny-all of a bound, liftable", "b bound filter: {mode: deny-all, liftable: true}\nu ana " + allow, "pass deny-all", "b no-effect(u), u decided"},
		{"deny-all of a bound: the house allows", "b bound " + mode("deny-all") + "\nd default " + allow, "pass deny-all", "b no-effect(d), d decided"},
		{"deny-all of a must: no user allows", "m must " + mode("deny-all") + "\nu ana " + allow, "block deny-all", "m decided, u overruled(m)"},
		{"log is or", "m must log: true\nu ana " + block, "block filter log", "u decided"},
		{"a user's log", "u ana log: true", "pass filter log", "built-in decided"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := decide(t, tt.rules, onPC(policy.Target{}))
			got := "pass " + d.Mode.String()
			if d.Blocked {
				got = "block " + d.Mode.String()
			}
			if d.Silent {
				got += " silent"
			}
			if d.Log {
				got += " log"
			}
			if diff := cmp.Diff([]string{tt.want, tt.why}, []string{got, outcomes(d, policy.AspectFilter)}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWho(t *testing.T) {
	const rules = `
all must log: true
router must log: true, who: {router: true}
tv must log: true, who: {devices: [tv]}
kids must log: true, who: {groups: [kids]}
ana must log: true, who: {people: [ana]}
mine ana log: true
phone ana log: true, who: {devices: [phone]}`
	for _, tt := range []struct {
		subject policy.Subject
		want    string
	}{
		{policy.Subject{Device: "pc"}, "ana decided, kids decided, all decided, mine decided"},
		{policy.Subject{Device: "phone"}, "ana decided, kids decided, all decided, phone decided, mine decided"},
		{policy.Subject{Device: "tv"}, "tv decided, all decided"},
		{policy.Subject{Device: "stranger"}, "all decided"},
		{policy.Subject{}, "all decided"},
		{policy.Subject{Router: true}, "router decided"},
	} {
		got := outcomes(decide(t, rules, policy.Query{Subject: tt.subject}), policy.AspectLog)
		if got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.subject, got, tt.want)
		}
	}
}

func TestWhat(t *testing.T) {
	addr := netip.MustParseAddr
	tests := []struct {
		what string
		yes  []policy.Target
		no   []policy.Target
	}{
		{"apps: [zoom], domains: [example.org]",
			[]policy.Target{{App: "zoom"}, {Host: "example.org"}, {Host: "a.b.example.org"}},
			[]policy.Target{{}, {App: "meet"}, {Host: "notexample.org"}, {Host: "org"}}},
		{`domains: ["=example.org"]`, []policy.Target{{Host: "example.org"}}, []policy.Target{{Host: "www.example.org"}}},
		{`domains: [a.org, b.org, c.org, d.org, e.org, f.org, g.org, h.org, "=i.org", "España.es"]`,
			[]policy.Target{{Host: "h.org"}, {Host: "x.y.h.org"}, {Host: "i.org"}, {Host: "www.xn--espaa-rta.es"}},
			[]policy.Target{{Host: "x.i.org"}, {Host: "org"}, {Host: "xh.org"}, {}}},
		{"categories: [games]", []policy.Target{{Category: "games"}}, []policy.Target{{App: "steam"}, {}}},
		{`addresses: [203.0.113.0/24, "2001:db8::/32"]`,
			[]policy.Target{{Addr: addr("203.0.113.1")}, {Addr: addr("::ffff:203.0.113.1")}, {Addr: addr("2001:db8::1")}},
			[]policy.Target{{Addr: addr("203.0.114.1")}, {}}},
		{"services: [tcp/443, udp, icmp]",
			[]policy.Target{{Proto: 6, Port: 443}, {Proto: 17, Port: 9}, {Proto: 1}, {Proto: 58}},
			[]policy.Target{{Proto: 6, Port: 80}, {Proto: 132, Port: 443}, {}}},
		{"dscp: [0, 46]", []policy.Target{{DSCP: 46}, {}}, []policy.Target{{DSCP: 8}}},
		{"apps: [zoom], services: [udp/3478-3481]", []policy.Target{{App: "zoom", Proto: 17, Port: 3480}},
			[]policy.Target{{App: "zoom", Proto: 17, Port: 443}, {Proto: 17, Port: 3480}}},
	}
	for _, tt := range tests {
		for want, targets := range map[bool][]policy.Target{true: tt.yes, false: tt.no} {
			for _, target := range targets {
				if got := decide(t, "r must log: true, what: {"+tt.what+"}", onPC(target)).Log; got != want {
					t.Errorf("{%s} selects %+v: %v, want %v", tt.what, target, got, want)
				}
			}
		}
	}
}

// The hour that is left out has no windows, the hour that is repeated has them twice.
func TestScheduleOverClockChanges(t *testing.T) {
	for _, tt := range []struct {
		window, utc string
		want        bool
	}{
		{"sun 02:00-02:30", "2026-03-29T00:59:59Z", false}, // 01:59:59, then 03:00
		{"sun 02:00-02:30", "2026-03-29T01:00:00Z", false},
		{"sun 01:30-03:00", "2026-03-29T00:59:59Z", true},
		{"sun 01:30-03:00", "2026-03-29T01:00:00Z", false},
		{"sun 02:00-02:30", "2026-10-25T00:10:00Z", true}, // 02:10 the first time
		{"sun 02:00-02:30", "2026-10-25T01:10:00Z", true}, // and the second
		{"sun 02:00-02:30", "2026-10-25T00:40:00Z", false},
		{"sat 22:00-06:00", "2026-10-25T04:59:00Z", true},
		{"sat 22:00-06:00", "2026-10-25T05:00:00Z", false},
		{"sat", "2026-10-24T21:59:59Z", true},
		{"sat", "2026-10-24T22:00:00Z", false},
		{"fri-mon 00:00-24:00", "2026-03-26T12:00:00Z", false},
	} {
		at, err := time.Parse(time.RFC3339, tt.utc)
		if err != nil {
			t.Fatal(err)
		}
		q := onPC(policy.Target{})
		q.Time = at
		if got := decide(t, fmt.Sprintf("r must log: true, when: [%q]", tt.window), q).Log; got != tt.want {
			t.Errorf("%s at %s: %v, want %v", tt.window, tt.utc, got, tt.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	p, err := policy.Parse("test.yaml", []byte("house: [{id: a, force: must, steer: {use: [fibre, lte]}}]"))
	if err != nil {
		t.Fatal(err)
	}
	c, warnings, err := policy.Compile(p, policytest.Known())
	if err != nil {
		t.Fatal(err)
	}
	want := []policy.Warning{{RuleID: "a", Text: `steer.use: there is no link "fibre", it counts as dead; links are fiber, wifi, lte; did you mean "fiber"?`}}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"fiber", "wifi", "lte", "fibre"}, c.Links()); diff != "" {
		t.Error(diff)
	}
}

func TestCompileRefusesWhatTheCatalogueLacks(t *testing.T) {
	p, err := policy.Parse("test.yaml", []byte("house: [{id: a, force: must, what: {apps: [zooom], categories: [game]}, log: true}]"))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = policy.Compile(p, policytest.Known())
	want := "checking the policy: rule a: what.apps: the catalogue has no application \"zooom\"\n" +
		"rule a: what.categories: the catalogue has no category \"game\""
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
