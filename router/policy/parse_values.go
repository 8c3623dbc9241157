package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/trenza-router/trenza/router/flow"
)

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, fmt.Errorf("%q is not an IP address; write it like 192.0.2.5 or 2001:db8::5", s)
	}
	return a, nil
}

// parsePrefix reads an address range, or an address as the range of itself.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is not an address range; write it like 203.0.113.0/24 or 2001:db8::/32", s)
	}
	return p, nil
}

// parseDomain reads a domain selector. Letters outside ASCII become punycode (RFC 5891).
func parseDomain(s string) (Domain, error) {
	name, exact := strings.CutPrefix(s, "=")
	ascii := strings.ToLower(name)
	if strings.ContainsFunc(name, func(r rune) bool { return r > 127 }) {
		var err error
		if ascii, err = idna.Lookup.ToASCII(name); err != nil {
			return Domain{}, fmt.Errorf("%.60q is not a domain name; write it like example.org", name)
		}
	}
	d := Domain{Name: strings.TrimSuffix(ascii, "."), Exact: exact}
	return d, checkDomain(d.Name)
}

// parseService reads "tcp/443", "udp/5000-6000", "tcp" or "icmp".
func parseService(s string) (Service, error) {
	name, ports, hasPorts := strings.Cut(s, "/")
	wrong := fmt.Errorf("%q is not a service; write it like tcp/443, udp/5000-6000, tcp, icmp or 47", s)
	proto, err := flow.ParseProto(name)
	if err != nil || name == "" {
		return Service{}, wrong
	}
	if !hasPorts {
		return Service{Proto: proto}, nil
	}
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 16)
	if err != nil {
		return Service{}, wrong
	}
	to, err := strconv.ParseUint(last, 10, 16)
	if err != nil {
		return Service{}, wrong
	}
	if to == 0 {
		return Service{}, fmt.Errorf("%q: port 0 is not used; write %s alone for all ports", s, name)
	}
	return Service{Proto: proto, First: uint16(from), Last: uint16(to)}, nil
}

func parseDSCP(s string) (uint8, error) {
	v, err := strconv.ParseUint(s, 10, 8)
	if err != nil || v > 63 {
		return 0, fmt.Errorf("%q is not a DSCP; use a number from 0 to 63", s)
	}
	return uint8(v), nil
}

// parseRate reads "5mbit" or "1.5mbit": bits per second with the unit bit, kbit, mbit or gbit, powers of ten.
func parseRate(s string) (Rate, error) {
	wrong := fmt.Errorf("%q is not a rate; write it like 500kbit, 20mbit or 1gbit (bits per second)", s)
	number, ok := strings.CutSuffix(strings.ToLower(s), "bit")
	if !ok || number == "" {
		return 0, wrong
	}
	scale := 0 // decimal places
	switch number[len(number)-1] {
	case 'k':
		scale = 3
	case 'm':
		scale = 6
	case 'g':
		scale = 9
	}
	if scale > 0 {
		number = number[:len(number)-1]
	}
	whole, fraction, _ := strings.Cut(strings.TrimSpace(number), ".")
	if len(fraction) > scale || strings.HasSuffix(number, ".") {
		return 0, wrong
	}
	v, err := strconv.ParseUint(whole+fraction+strings.Repeat("0", scale-len(fraction)), 10, 63)
	switch {
	case err != nil || whole == "":
		return 0, wrong
	case v == 0:
		return 0, fmt.Errorf("%q is no rate; leave the key out for no limit", s)
	}
	return Rate(v), nil
}

// parseWindow reads "mon-fri 08:00-14:00", "sat,sun", "22:00-06:00" or "daily".
func parseWindow(s string) (Window, error) {
	wrong := fmt.Errorf("%q is not a window; write it like mon-fri 08:00-14:00, sat,sun or 22:00-06:00", s)
	w := Window{Days: everyDay, To: minutesPerDay}
	words := strings.Fields(strings.ToLower(s))
	if len(words) == 0 || len(words) > 2 {
		return w, wrong
	}
	if span := words[len(words)-1]; strings.Contains(span, ":") {
		from, to, ok := strings.Cut(span, "-")
		if !ok {
			return w, wrong
		}
		var err error
		if w.From, err = parseClock(from); err != nil {
			return w, err
		}
		if w.To, err = parseClock(to); err != nil {
			return w, err
		}
		words = words[:len(words)-1]
	}
	switch len(words) {
	case 1:
		var err error
		if w.Days, err = parseDays(words[0]); err != nil {
			return w, err
		}
	case 2:
		return w, wrong
	}
	return w, nil
}

// parseClock reads HH:MM as minutes since midnight, up to 24:00.
func parseClock(s string) (int, error) {
	hour, minute, ok := strings.Cut(s, ":")
	h, err1 := strconv.ParseUint(hour, 10, 8)
	m, err2 := strconv.ParseUint(minute, 10, 8)
	if !ok || err1 != nil || err2 != nil || len(hour) > 2 || len(minute) != 2 || m > 59 || h*60+m > minutesPerDay {
		return 0, fmt.Errorf("%q is not a time of day; write it like 08:30, from 00:00 to 24:00", s)
	}
	return int(h*60 + m), nil
}

// parseDays reads "mon-fri", "sat,sun", "fri-mon" (over the week's end) or "daily".
func parseDays(s string) (uint8, error) {
	if s == "daily" {
		return everyDay, nil
	}
	var days uint8
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, to := slices.Index(dayNames(), first), slices.Index(dayNames(), last)
		if from < 0 || to < 0 {
			return 0, fmt.Errorf("%q names no days; use mon, tue, wed, thu, fri, sat, sun, ranges like mon-fri, or daily", part)
		}
		for day := from; ; day = (day + 1) % 7 {
			days |= 1 << day
			if day == to {
				break
			}
		}
	}
	return days, nil
}

// parseMoment reads a moment of RFC 3339, to the second.
func parseMoment(s string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return at, fmt.Errorf("%q is not a moment; write it like 2026-11-30T21:30:00+01:00", s)
	}
	return at.UTC().Truncate(time.Second), nil
}

func formatMoment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
