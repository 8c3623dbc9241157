package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/trenza-router/trenza/router/flow"
)

// lineWidth is the length up to which a value stands on one line.
const lineWidth = 110

// Format writes a policy in its YAML form; Parse gives the same policy back, but for what has no meaning: an empty list
// becomes nil, and the rules of one person stand together. The policy must be one that Parse could have made.
func Format(p Policy) ([]byte, error) {
	v := validator{p: &p}
	v.check()
	if len(v.problems) > 0 {
		return nil, fmt.Errorf("writing the policy as YAML: %w", v.problems)
	}
	var w writer
	if p.TimeZone != "" {
		w.line(0, "time_zone: "+quote(p.TimeZone))
	}
	writeSection(&w, "people", p.People, personFields)
	writeSection(&w, "devices", p.Devices, deviceFields)
	writeSection(&w, "groups", p.Groups, groupFields)
	if len(p.Main) > 0 {
		w.section("house")
		w.rules(2, p.Main)
	}
	if len(p.User) > 0 {
		w.section("personal")
		var owners []string
		for _, r := range p.User {
			if !slices.Contains(owners, r.Owner) {
				owners = append(owners, r.Owner)
			}
		}
		for _, o := range owners {
			w.line(2, quote(o)+":")
			w.rules(4, slices.DeleteFunc(slices.Clone(p.User), func(r Rule) bool { return r.Owner != o }))
		}
	}
	return []byte(w.String()), nil
}

// writer writes fields as YAML lines.
type writer struct{ strings.Builder }

func (w *writer) line(indent int, text string) {
	w.WriteString(strings.Repeat(" ", indent))
	w.WriteString(text)
	w.WriteByte('\n')
}

func (w *writer) section(name string) {
	if w.Len() > 0 {
		w.WriteByte('\n')
	}
	w.line(0, name+":")
}

// writeSection writes a list of things that each fit a line.
func writeSection[T any](w *writer, name string, list []T, fields func(T) mappingValue) {
	if len(list) == 0 {
		return
	}
	w.section(name)
	for _, v := range list {
		if text := fields(v).inline(); len(text) <= lineWidth {
			w.line(2, "- "+text)
		} else {
			w.block(2, fields(v))
		}
	}
}

func (w *writer) rules(indent int, rules []Rule) {
	for i, r := range rules {
		if i > 0 {
			w.WriteByte('\n')
		}
		w.block(indent, ruleFields(r))
	}
}

// block writes a mapping as an element of a list.
func (w *writer) block(indent int, m mappingValue) {
	for i, f := range m {
		lead := "  "
		if i == 0 {
			lead = "- "
		}
		w.field(indent+2, strings.Repeat(" ", indent)+lead, f)
	}
}

// field writes a key and its value, on one line if it fits. Lead is what stands before the key.
func (w *writer) field(indent int, lead string, f fieldValue) {
	text := f.value.inline()
	if len(lead)+len(f.key)+2+len(text) <= lineWidth {
		w.line(0, lead+f.key+": "+text)
		return
	}
	switch v := f.value.(type) {
	case mappingValue:
		w.line(0, lead+f.key+":")
		for _, inner := range v {
			w.field(indent+2, strings.Repeat(" ", indent+2), inner)
		}
	case listValue:
		w.line(0, lead+f.key+":")
		for _, e := range v {
			w.line(indent+2, "- "+e)
		}
	default:
		w.line(0, lead+f.key+": "+text)
	}
}

// yamlValue is a value of the YAML form: scalarValue, listValue or mappingValue.
type yamlValue interface{ inline() string }

type scalarValue string // as written

type listValue []string // elements as written

type mappingValue []fieldValue

type fieldValue struct {
	key   string
	value yamlValue
}

func (v scalarValue) inline() string { return string(v) }

func (v listValue) inline() string { return "[" + strings.Join(v, ", ") + "]" }

func (v mappingValue) inline() string {
	parts := make([]string, len(v))
	for i, f := range v {
		parts[i] = f.key + ": " + f.value.inline()
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// Helpers that add a field unless it has nothing to say.

func (v *mappingValue) text(key, s string) {
	if s != "" {
		*v = append(*v, fieldValue{key, scalarValue(quote(s))})
	}
}

func (v *mappingValue) raw(key, s string, said bool) {
	if said {
		*v = append(*v, fieldValue{key, scalarValue(s)})
	}
}

func (v *mappingValue) flag(key string, on bool) { v.raw(key, "true", on) }

func (v *mappingValue) number(key string, n *int) {
	if n != nil {
		v.raw(key, strconv.Itoa(*n), true)
	}
}

func (v *mappingValue) rate(key string, r Rate) { v.raw(key, r.String(), r != 0) }

func (v *mappingValue) mapping(key string, m mappingValue) {
	if len(m) > 0 {
		*v = append(*v, fieldValue{key, m})
	}
}

func addList[T any](v *mappingValue, key string, list []T, format func(T) string) {
	if len(list) == 0 {
		return
	}
	out := make(listValue, len(list))
	for i, e := range list {
		out[i] = quote(format(e))
	}
	*v = append(*v, fieldValue{key, out})
}

func personFields(p Person) (m mappingValue) {
	m.text("id", p.ID)
	m.text("name", p.Name)
	return m
}

func deviceFields(d Device) (m mappingValue) {
	m.text("id", d.ID)
	m.text("name", d.Name)
	m.text("owner", d.Owner)
	addList(&m, "macs", d.MACs, flow.MAC.String)
	addList(&m, "addresses", d.Addrs, netip.Addr.String)
	return m
}

func groupFields(g Group) (m mappingValue) {
	m.text("id", g.ID)
	m.text("name", g.Name)
	addList(&m, "devices", g.Devices, itself)
	addList(&m, "people", g.People, itself)
	return m
}

func ruleFields(r Rule) (m mappingValue) {
	m.text("id", r.ID)
	m.text("name", r.Name)
	m.text("force", r.Force.String())
	m.raw("priority", strconv.Itoa(r.Priority), r.Priority != 0)
	m.flag("disabled", r.Disabled)
	m.mapping("who", whoFields(r.Who))
	m.mapping("what", whatFields(r.What))
	addList(&m, "when", r.When, Window.String)
	m.text("from", formatMoment(r.From))
	m.text("until", formatMoment(r.Until))
	if r.Steer != nil {
		m.mapping("steer", steerFields(*r.Steer, r.Force == Bound))
	}
	if r.QoS != nil {
		m.mapping("qos", qosFieldsOf(*r.QoS))
	}
	if r.Filter != nil {
		m.mapping("filter", filterFields(*r.Filter))
	}
	m.flag("log", r.Log)
	return m
}

func whoFields(w Who) (m mappingValue) {
	addList(&m, "people", w.People, itself)
	addList(&m, "groups", w.Groups, itself)
	addList(&m, "devices", w.Devices, itself)
	m.flag("router", w.Router)
	return m
}

func whatFields(w What) (m mappingValue) {
	addList(&m, "apps", w.Apps, itself)
	addList(&m, "categories", w.Categories, itself)
	addList(&m, "domains", w.Domains, Domain.String)
	addList(&m, "addresses", w.Addresses, prefixText)
	addList(&m, "services", w.Services, Service.String)
	if len(w.DSCP) > 0 {
		list := make(listValue, len(w.DSCP))
		for i, v := range w.DSCP {
			list[i] = strconv.Itoa(int(v))
		}
		m = append(m, fieldValue{"dscp", list})
	}
	addList(&m, "protocol", w.Protocols, itself)
	addList(&m, "tls_name", w.TLSNames, Pattern.String)
	var http mappingValue
	addList(&http, "host", w.HTTP.Hosts, Pattern.String)
	addList(&http, "path", w.HTTP.Paths, Pattern.String)
	m.mapping("http", http)
	addList(&m, "payload", w.Payload, Pattern.String)
	return m
}

func steerFields(s Steer, bound bool) (m mappingValue) {
	if s.Mode == Balance {
		var shares mappingValue
		for _, share := range s.Use {
			shares.raw(quote(share.Link), strconv.Itoa(share.Weight), true)
		}
		m.mapping("use", shares)
	} else {
		addList(&m, "use", s.Use, func(share LinkShare) string { return share.Link })
	}
	m.raw("mode", s.Mode.String(), !bound)
	m.raw("sticky", s.Sticky.String(), s.Sticky != StickyFlow)
	m.raw("failback", s.Failback.String(), s.Failback != Drain)
	m.raw("delivery", s.Delivery.String(), s.Delivery != Speed)
	addList(&m, "allow", s.Allow, itself)
	addList(&m, "forbid", s.Forbid, itself)
	m.flag("kill_switch", s.KillSwitch)
	m.flag("strict", s.Strict)
	m.flag("over_quota", s.OverQuota)
	return m
}

func qosFieldsOf(q QoS) (m mappingValue) {
	m.text("class", q.Class)
	m.number("priority", q.Priority)
	var priority, guarantee, limit mappingValue
	priority.number("min", q.MinPriority)
	priority.number("max", q.MaxPriority)
	m.mapping("priority", priority)
	guarantee.rate("down", q.GuaranteeDown)
	guarantee.rate("up", q.GuaranteeUp)
	m.mapping("guarantee", guarantee)
	limit.rate("down", q.CapDown)
	limit.rate("up", q.CapUp)
	m.mapping("cap", limit)
	var throttle mappingValue
	throttle.rate("down", q.ThrottleDown)
	throttle.rate("up", q.ThrottleUp)
	m.mapping("throttle", throttle)
	if q.DSCP != nil && *q.DSCP == KeepDSCP {
		m.raw("dscp", keepDSCP, true)
	} else {
		m.number("dscp", q.DSCP)
	}
	return m
}

func filterFields(f Filter) (m mappingValue) {
	m.flag(f.Action.String(), f.Action != NoAction)
	m.raw("mode", f.Mode.String(), f.Mode != ModeUnset)
	m.flag("liftable", f.Liftable)
	m.flag("silent", f.Silent)
	return m
}

func itself(s string) string { return s }

func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// quote writes a text as a YAML scalar: plain where every reader takes it for the same text, else in double quotes, of
// which Go's escapes are a subset (YAML 1.2.2 section 5.7).
func quote(s string) string {
	if plainScalar(s) {
		return s
	}
	return strconv.Quote(s)
}

func plainScalar(s string) bool {
	switch strings.ToLower(s) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf":
		return false
	}
	if _, err := parsePrefix(s); err == nil && !strings.Contains(s, ":") {
		return true
	}
	return s != "" && isLetter(s[0]) && !strings.HasSuffix(s, " ") && !strings.ContainsFunc(s, func(r rune) bool {
		return r > 127 || !isLetter(byte(r)) && (r < '0' || r > '9') && !strings.ContainsRune("_./- ", r)
	})
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
