package policy

import (
	"fmt"
	"strings"
	"time"
)

// The words of the YAML form, by value. They are functions and not variables so that nothing of the package can change.

func forceNames() []string { return []string{"", "must", "bound", "default"} }

func steerModeNames() []string { return []string{"failover", "fixed", "balance", "any"} }

func stickyNames() []string { return []string{"flow", "host", "site"} }

func failbackNames() []string { return []string{"drain", "move"} }

func deliveryNames() []string { return []string{"speed", "reliable", "latency", "saver"} }

func filterModeNames() []string { return []string{"", "allow-all", "filter", "deny-all"} }

func dayNames() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

func nameOf(names []string, v uint8) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("unknown(%d)", v)
}

func (t Tier) String() string { return nameOf([]string{"built-in", "main", "user"}, uint8(t)) }

func (f Force) String() string { return nameOf(forceNames(), uint8(f)) }

func (m SteerMode) String() string { return nameOf(steerModeNames(), uint8(m)) }

func (s Sticky) String() string { return nameOf(stickyNames(), uint8(s)) }

func (f Failback) String() string { return nameOf(failbackNames(), uint8(f)) }

func (d Delivery) String() string { return nameOf(deliveryNames(), uint8(d)) }

func (m FilterMode) String() string { return nameOf(filterModeNames(), uint8(m)) }

func (a FilterAction) String() string { return nameOf([]string{"", "block", "allow"}, uint8(a)) }

func (a Aspect) String() string { return nameOf([]string{"steer", "qos", "filter", "log"}, uint8(a)) }

func (o Outcome) String() string {
	return nameOf([]string{"decided", "limited", "clamped", "overruled", "no-effect"}, uint8(o))
}

// String writes the selector as YAML has it: "example.org", or "=www.example.org" for the name alone.
func (d Domain) String() string {
	if d.Exact {
		return "=" + d.Name
	}
	return d.Name
}

// Matches tells whether a host name (lower case, no final dot) is selected.
func (d Domain) Matches(host string) bool {
	if host == d.Name {
		return host != ""
	}
	return !d.Exact && len(host) > len(d.Name) && strings.HasSuffix(host, d.Name) && host[len(host)-len(d.Name)-1] == '.'
}

// String writes the pattern as YAML has it.
func (p Pattern) String() string { return string(p) }

// String writes the service as YAML has it: "tcp/443", "udp/5000-6000", "icmp".
func (s Service) String() string {
	switch {
	case s.First == 0 && s.Last == 0:
		return s.Proto.String()
	case s.First == s.Last:
		return fmt.Sprintf("%s/%d", s.Proto, s.First)
	}
	return fmt.Sprintf("%s/%d-%d", s.Proto, s.First, s.Last)
}

// String writes the rate with the largest unit that divides it: "5mbit", "1500kbit".
func (r Rate) String() string {
	switch {
	case r == 0:
		return "0bit"
	case r%1e9 == 0:
		return fmt.Sprintf("%dgbit", r/1e9)
	case r%1e6 == 0:
		return fmt.Sprintf("%dmbit", r/1e6)
	case r%1e3 == 0:
		return fmt.Sprintf("%dkbit", r/1e3)
	}
	return fmt.Sprintf("%dbit", r)
}

// String writes the window as YAML has it: "mon-fri 08:00-14:00", "sat" for the whole day, "22:00-06:00" for every day.
func (w Window) String() string {
	days := daysString(w.Days)
	if w.From == 0 && w.To == minutesPerDay {
		return days
	}
	span := fmt.Sprintf("%02d:%02d-%02d:%02d", w.From/60, w.From%60, w.To/60, w.To%60)
	if w.Days == everyDay {
		return span
	}
	return days + " " + span
}

// daysString lists days from Monday on, three or more in a row as a range, which may run over the week's end: "sun-thu".
func daysString(days uint8) string {
	if days == everyDay {
		return "daily"
	}
	set := func(day int) bool { return days&(1<<(day%7)) != 0 }
	start := int(time.Monday)
	for set(start) && set(start+6) {
		start += 6 // the run began the day before
	}
	var parts []string
	for n := 0; n < 7; n++ {
		if !set(start + n) {
			continue
		}
		first, run := dayNames()[(start+n)%7], 1
		for set(start+n+run) && n+run < 7 {
			run++
		}
		if run < 3 {
			parts = append(parts, first)
			continue
		}
		n += run - 1
		parts = append(parts, first+"-"+dayNames()[(start+n)%7])
	}
	return strings.Join(parts, ",")
}

// String names the rule in a sentence: `the house's rule "No games"`, `ana's rule "Calls on lte"`.
func (r *Rule) String() string {
	name := r.Name
	if name == "" {
		name = r.ID
	}
	if r.Tier == User {
		return fmt.Sprintf("%s's rule %q", r.Owner, name)
	}
	return fmt.Sprintf("the house's rule %q", name)
}
