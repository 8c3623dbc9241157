package policy

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"

	"github.com/trenza-router/trenza/router/flow"
)

func same(s string) (string, error) { return s, nil }

func (d *document) policy(body ast.Node) Policy {
	var p Policy
	d.mapping(body, "", "a policy", "", []key{
		{"time_zone", func(n ast.Node, _ string) { p.TimeZone, _ = d.text(n, "", "a time zone") }},
		{"people", func(n ast.Node, path string) {
			readEntries(d, n, path, &p.People, d.person)
		}},
		{"devices", func(n ast.Node, path string) {
			readEntries(d, n, path, &p.Devices, d.device)
		}},
		{"groups", func(n ast.Node, path string) {
			readEntries(d, n, path, &p.Groups, d.group)
		}},
		{"house", func(n ast.Node, path string) {
			d.rules(n, path, &p.Main, Rule{Tier: Main})
		}},
		{"personal", func(n ast.Node, path string) {
			d.pairs(n, path, "personal", "", func(owner string, pair *ast.MappingValueNode, path string) {
				d.rules(pair.Value, path, &p.User, Rule{Tier: User, Owner: owner})
			})
		}},
	})
	return p
}

// readEntries reads a list of people, devices or groups.
func readEntries[T any](d *document, n ast.Node, path string, to *[]T, read func(n ast.Node, path string) T) {
	d.list(n, path, "", func(n ast.Node, path string) {
		d.entry = path
		*to = append(*to, read(n, path))
		d.entry = ""
	})
}

func (d *document) person(n ast.Node, path string) Person {
	var p Person
	d.mapping(n, path, "a person", "", []key{
		{"id", func(n ast.Node, _ string) { p.ID, _ = d.text(n, "", "an id") }},
		{"name", func(n ast.Node, _ string) { p.Name, _ = d.text(n, "", "a name") }},
	})
	return p
}

func (d *document) device(n ast.Node, path string) Device {
	var v Device
	d.mapping(n, path, "a device", "", []key{
		{"id", func(n ast.Node, _ string) { v.ID, _ = d.text(n, "", "an id") }},
		{"name", func(n ast.Node, _ string) { v.Name, _ = d.text(n, "", "a name") }},
		{"owner", func(n ast.Node, _ string) { v.Owner, _ = d.text(n, "", "a person's id") }},
		{"macs", func(n ast.Node, path string) {
			v.MACs = values(d, n, path, "", "an Ethernet address", flow.ParseMAC)
		}},
		{"addresses", func(n ast.Node, path string) {
			v.Addrs = values(d, n, path, "", "an IP address", parseAddr)
		}},
	})
	return v
}

func (d *document) group(n ast.Node, path string) Group {
	var g Group
	d.mapping(n, path, "a group", "", []key{
		{"id", func(n ast.Node, _ string) { g.ID, _ = d.text(n, "", "an id") }},
		{"name", func(n ast.Node, _ string) { g.Name, _ = d.text(n, "", "a name") }},
		{"devices", func(n ast.Node, path string) { g.Devices = values(d, n, path, "", "a device's id", same) }},
		{"people", func(n ast.Node, path string) { g.People = values(d, n, path, "", "a person's id", same) }},
	})
	return g
}

// rules reads a list of rules into a tier. Their positions are kept under the place in the policy, "user/7", which the
// place in the file does not tell.
func (d *document) rules(n ast.Node, path string, tier *[]Rule, blank Rule) {
	d.list(n, path, "", func(n ast.Node, _ string) {
		at := fmt.Sprintf("%s/%d", blank.Tier, len(*tier))
		d.positions[at] = start(n)
		*tier = append(*tier, d.rule(n, at, blank))
	})
}

func (d *document) rule(n ast.Node, path string, r Rule) Rule {
	d.entry, d.ruleID = path, ruleID(n)
	defer func() { d.entry, d.ruleID = "", "" }()
	keys := []key{
		{"id", func(n ast.Node, _ string) { r.ID, _ = d.text(n, "id", "an id") }},
		{"name", func(n ast.Node, _ string) { r.Name, _ = d.text(n, "name", "a name") }},
		{"priority", func(n ast.Node, _ string) { r.Priority = d.number(n, "priority") }},
		{"disabled", func(n ast.Node, _ string) { r.Disabled = d.boolean(n, "disabled") }},
		{"who", func(n ast.Node, path string) { r.Who = d.who(n, path) }},
		{"what", func(n ast.Node, path string) { r.What = d.what(n, path) }},
		{"when", func(n ast.Node, path string) {
			r.When = values(d, n, path, "when", "a window like mon-fri 08:00-14:00", parseWindow)
		}},
		{"from", func(n ast.Node, _ string) { r.From = d.moment(n, "from") }},
		{"until", func(n ast.Node, _ string) { r.Until = d.moment(n, "until") }},
		{"steer", func(n ast.Node, path string) { r.Steer = d.steer(n, path) }},
		{"qos", func(n ast.Node, path string) { r.QoS = d.qos(n, path) }},
		{"filter", func(n ast.Node, path string) { r.Filter = d.filter(n, path) }},
		{"log", func(n ast.Node, _ string) { r.Log = d.boolean(n, "log") }},
	}
	if r.Tier == Main {
		keys = append(keys, key{"force", func(n ast.Node, _ string) { r.Force = Force(d.word(n, "force", forceNames())) }})
	}
	what := "a rule"
	if r.Tier == User {
		what = "a personal rule"
	}
	d.mapping(n, path, what, "", keys)
	return r
}

// ruleID looks for a rule's id before the rule is read, so that messages can name it.
func ruleID(n ast.Node) string {
	values := []*ast.MappingValueNode{}
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = append(values, n)
	}
	for _, pair := range values {
		if s, ok := pair.Value.(*ast.StringNode); ok && pair.Key.String() == "id" && isSlug(s.Value) {
			return s.Value
		}
	}
	return ""
}

func (d *document) who(n ast.Node, path string) Who {
	var w Who
	d.mapping(n, path, "who", "who", []key{
		{"people", func(n ast.Node, path string) { w.People = values(d, n, path, "who.people", "a person's id", same) }},
		{"groups", func(n ast.Node, path string) { w.Groups = values(d, n, path, "who.groups", "a group's id", same) }},
		{"devices", func(n ast.Node, path string) { w.Devices = values(d, n, path, "who.devices", "a device's id", same) }},
		{"router", func(n ast.Node, _ string) { w.Router = d.boolean(n, "who.router") }},
	})
	return w
}

func (d *document) what(n ast.Node, path string) What {
	var w What
	d.mapping(n, path, "what", "what", []key{
		{"apps", func(n ast.Node, path string) { w.Apps = values(d, n, path, "what.apps", "an application's id", same) }},
		{"categories", func(n ast.Node, path string) {
			w.Categories = values(d, n, path, "what.categories", "a category's id", same)
		}},
		{"domains", func(n ast.Node, path string) {
			w.Domains = values(d, n, path, "what.domains", "a domain name", parseDomain)
		}},
		{"addresses", func(n ast.Node, path string) {
			w.Addresses = values(d, n, path, "what.addresses", "an address range", parsePrefix)
		}},
		{"services", func(n ast.Node, path string) {
			w.Services = values(d, n, path, "what.services", "a service like tcp/443", parseService)
		}},
		{"dscp", func(n ast.Node, path string) {
			w.DSCP = values(d, n, path, "what.dscp", "a number from 0 to 63", parseDSCP)
		}},
		{"protocol", func(n ast.Node, path string) {
			w.Protocols = values(d, n, path, "what.protocol", "a protocol's name", same)
		}},
		{"tls_name", func(n ast.Node, path string) { w.TLSNames = d.patterns(n, path, "what.tls_name") }},
		{"http", func(n ast.Node, path string) {
			d.mapping(n, path, "http", "what.http", []key{
				{"host", func(n ast.Node, path string) { w.HTTP.Hosts = d.patterns(n, path, "what.http.host") }},
				{"path", func(n ast.Node, path string) { w.HTTP.Paths = d.patterns(n, path, "what.http.path") }},
			})
		}},
		{"payload", func(n ast.Node, path string) { w.Payload = d.patterns(n, path, "what.payload") }},
	})
	return w
}

func (d *document) patterns(n ast.Node, path, field string) []Pattern {
	return values(d, n, path, field, "a keyword, or an expression as re:^ads[0-9]", parsePattern)
}

func (d *document) steer(n ast.Node, path string) *Steer {
	s := &Steer{}
	var weightless bool
	links := func(list *[]string, field string) func(n ast.Node, path string) {
		return func(n ast.Node, path string) { *list = values(d, n, path, field, "a link's name", same) }
	}
	d.mapping(n, path, "steer", "steer", []key{
		{"use", func(n ast.Node, path string) { s.Use, weightless = d.use(n, path) }},
		{"mode", func(n ast.Node, _ string) { s.Mode = SteerMode(d.word(n, "steer.mode", steerModeNames())) }},
		{"sticky", func(n ast.Node, _ string) { s.Sticky = Sticky(d.word(n, "steer.sticky", stickyNames())) }},
		{"failback", func(n ast.Node, _ string) { s.Failback = Failback(d.word(n, "steer.failback", failbackNames())) }},
		{"delivery", func(n ast.Node, _ string) { s.Delivery = Delivery(d.word(n, "steer.delivery", deliveryNames())) }},
		{"kill_switch", func(n ast.Node, _ string) { s.KillSwitch = d.boolean(n, "steer.kill_switch") }},
		{"strict", func(n ast.Node, _ string) { s.Strict = d.boolean(n, "steer.strict") }},
		{"over_quota", func(n ast.Node, _ string) { s.OverQuota = d.boolean(n, "steer.over_quota") }},
		{"allow", links(&s.Allow, "steer.allow")},
		{"forbid", links(&s.Forbid, "steer.forbid")},
	})
	if weightless && s.Mode == Balance {
		for i := range s.Use {
			s.Use[i].Weight = 1
		}
	}
	return s
}

// use reads links as a list, or as a mapping from link to weight. Weightless tells that it was a list.
func (d *document) use(n ast.Node, path string) (use []LinkShare, weightless bool) {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
	default:
		for _, l := range values(d, n, path, "steer.use", "a link's name", same) {
			use = append(use, LinkShare{Link: l})
		}
		return use, true
	}
	d.pairs(n, path, "use", "steer.use", func(link string, pair *ast.MappingValueNode, at string) {
		weight := d.number(pair.Value, "steer.use")
		d.positions[fmt.Sprintf("%s/%d", path, len(use))] = start(pair.Value)
		if weight == 0 {
			d.bad(pair.Value, "steer.use", "the weight of %s is 0; use 1 to %d, or leave the link out", link, maxWeight)
		}
		use = append(use, LinkShare{Link: link, Weight: weight})
	})
	return use, false
}

func (d *document) qos(n ast.Node, path string) *QoS {
	q := &QoS{}
	rates := func(field string, down, up *Rate) func(n ast.Node, path string) {
		return func(n ast.Node, path string) {
			d.mapping(n, path, field, "qos."+field, []key{
				{"down", func(n ast.Node, _ string) { *down, _ = value(d, n, "qos."+field+".down", "a rate", parseRate) }},
				{"up", func(n ast.Node, _ string) { *up, _ = value(d, n, "qos."+field+".up", "a rate", parseRate) }},
			})
		}
	}
	number := func(field string, to **int) func(n ast.Node, _ string) {
		return func(n ast.Node, _ string) { v := d.number(n, field); *to = &v }
	}
	d.mapping(n, path, "qos", "qos", []key{
		{"class", func(n ast.Node, _ string) { q.Class, _ = d.text(n, "qos.class", "a class") }},
		{"priority", func(n ast.Node, path string) {
			switch n.(type) {
			case *ast.MappingNode, *ast.MappingValueNode:
				d.mapping(n, path, "priority", "qos.priority", []key{
					{"min", number("qos.priority.min", &q.MinPriority)},
					{"max", number("qos.priority.max", &q.MaxPriority)},
				})
			default:
				number("qos.priority", &q.Priority)(n, path)
			}
		}},
		{"guarantee", rates("guarantee", &q.GuaranteeDown, &q.GuaranteeUp)},
		{"cap", rates("cap", &q.CapDown, &q.CapUp)},
		{"throttle", rates("throttle", &q.ThrottleDown, &q.ThrottleUp)},
		{"dscp", func(n ast.Node, _ string) { q.DSCP = d.codePoint(n) }},
	})
	return q
}

// keepDSCP stands in YAML for KeepDSCP.
const keepDSCP = "keep"

// codePoint reads 0 to 63, or keep.
func (d *document) codePoint(n ast.Node) *int {
	v := KeepDSCP
	if s, ok := n.(*ast.StringNode); ok && s.Value == keepDSCP {
		return &v
	}
	v = d.number(n, "qos.dscp")
	if v == KeepDSCP {
		d.bad(n, "qos.dscp", "%d is out of range; use 0 to 63, or keep for what the device set", v)
	}
	return &v
}

func (d *document) filter(n ast.Node, path string) *Filter {
	f := &Filter{}
	action := func(a FilterAction) func(n ast.Node, _ string) {
		return func(n ast.Node, _ string) {
			switch {
			case !d.boolean(n, "filter."+a.String()):
				d.bad(n, "filter."+a.String(), "can only be true; leave it out otherwise")
			case f.Action != NoAction:
				d.bad(n, "filter."+a.String(), "a rule blocks or allows, not both")
			}
			f.Action = a
		}
	}
	d.mapping(n, path, "filter", "filter", []key{
		{"block", action(Block)},
		{"allow", action(Allow)},
		{"mode", func(n ast.Node, _ string) { f.Mode = FilterMode(d.word(n, "filter.mode", filterModeNames())) }},
		{"liftable", func(n ast.Node, _ string) { f.Liftable = d.boolean(n, "filter.liftable") }},
		{"silent", func(n ast.Node, _ string) { f.Silent = d.boolean(n, "filter.silent") }},
	})
	return f
}
