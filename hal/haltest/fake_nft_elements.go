package haltest

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// editElements runs the "{ a, b : c }" of a text.
func (s *nftSet) editElements(at statement, verb, text string, now time.Time) error {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
		return at.refusal("syntax error: elements stand in braces")
	}
	var all []nftElement
	for _, item := range splitUnquoted(text[1:len(text)-1], ',') {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		e, err := s.parseElement(item)
		if err != nil {
			return at.refusal("%v", err)
		}
		if verb == "add" {
			all = append(all, e)
			continue
		}
		if !s.drop(e.key) && verb == "delete" {
			return at.refusal("No such file or directory: element %s", e.key)
		}
	}
	s.putAll(all, now)
	if s.size > 0 && len(s.elements) > s.size {
		return at.refusal("Too many open files in system: set %s has a size of %d", s.name, s.size)
	}
	return nil
}

func splitUnquoted(s string, by byte) []string {
	var parts []string
	quoted, from := false, 0
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == by && !quoted:
			parts, from = append(parts, s[from:i]), i+1
		}
	}
	return append(parts, s[from:])
}

// parseElement reads `key [timeout d] [expires d] [comment "c"] [: value]`. What it does not know, such as a range or a
// verdict, stays text; only a key of a known type that is wrong is an error.
func (s *nftSet) parseElement(item string) (nftElement, error) {
	key, value := item, ""
	if s.isMap {
		i := strings.LastIndex(item, " : ")
		if i < 0 {
			return nftElement{}, fmt.Errorf("element %s has no value", item)
		}
		key, value = item[:i], strings.TrimSpace(item[i+3:])
	}
	e := hal.Element{}
	if before, comment, ok := strings.Cut(key, " comment "); ok {
		var err error
		if e.Comment, err = strconv.Unquote(strings.TrimSpace(comment)); err != nil {
			return nftElement{}, fmt.Errorf("comment %s: %w", comment, err)
		}
		key = before
	}
	key, _, _ = strings.Cut(key, " expires ")
	if before, timeout, ok := strings.Cut(key, " timeout "); ok {
		var err error
		if e.Timeout, err = parseDuration(strings.TrimSpace(timeout)); err != nil {
			return nftElement{}, err
		}
		key = before
	}
	key = strings.TrimSpace(key)
	unknown := nftElement{key: key, text: item}
	texts := strings.Split(key, " . ")
	if s.hasFlag("interval") || len(texts) != len(s.types) {
		return unknown, nil
	}
	for i, t := range s.types {
		p, known, err := parsePart(strings.TrimSpace(t), texts[i])
		if err != nil {
			return nftElement{}, fmt.Errorf("element %s: %w", key, err)
		}
		if !known {
			return unknown, nil
		}
		e.Key = append(e.Key, p)
	}
	if s.isMap {
		if s.value != "mark" {
			return unknown, nil
		}
		n, err := strconv.ParseUint(value, 0, 32)
		if err != nil {
			return nftElement{}, fmt.Errorf("element %s: value %q is not a mark", key, value)
		}
		e.Value = uint32(n)
	}
	return knownElement(e), nil
}

func knownElement(e hal.Element) nftElement {
	return nftElement{key: formatKey(e.Key), known: true, value: e}
}

func parsePart(kind, text string) (p hal.KeyPart, known bool, err error) {
	switch kind {
	case "ipv4_addr", "ipv6_addr":
		a, err := netip.ParseAddr(text)
		if err == nil && a.Is4() != (kind == "ipv4_addr") {
			err = fmt.Errorf("%s is no %s", text, kind)
		}
		return a, true, err
	case "mark":
		n, err := strconv.ParseUint(text, 0, 32)
		return uint32(n), true, err
	case "inet_service":
		n, err := strconv.ParseUint(text, 0, 16)
		return uint16(n), true, err
	case "inet_proto":
		n, err := flow.ParseProto(strings.Replace(text, "ipv6-icmp", "icmpv6", 1))
		return n, true, err
	case "ether_addr":
		m, err := flow.ParseMAC(text)
		return m, true, err
	}
	return nil, false, nil
}

// formatKey prints a key as nft does.
func formatKey(key []hal.KeyPart) string {
	parts := make([]string, len(key))
	for i, p := range key {
		switch v := p.(type) {
		case uint32:
			parts[i] = fmt.Sprintf("0x%08x", v)
		default:
			parts[i] = fmt.Sprint(v)
		}
	}
	return strings.Join(parts, " . ")
}

// fits tells why an element cannot be in the set; nil when it can.
func (s *nftSet) fits(e hal.Element) error {
	switch {
	case s.hasFlag("interval"):
		return fmt.Errorf("the set holds ranges: %w", hal.ErrUnsupported)
	case len(e.Key) != len(s.types):
		return fmt.Errorf("key %v has %d parts, the set's type is %v", e.Key, len(e.Key), s.types)
	case len(e.Comment) > 127:
		return fmt.Errorf("element %v: the comment has %d bytes; at most 127 fit", e.Key, len(e.Comment))
	case e.Timeout < 0 || e.Timeout > 0 && !s.hasFlag("timeout"):
		return fmt.Errorf("element %v: timeout %s in a set with flags %v", e.Key, e.Timeout, s.flags)
	case !s.isMap && e.Value != 0:
		return fmt.Errorf("element %v: value %#x for a set; only maps have values", e.Key, e.Value)
	}
	for i, p := range e.Key {
		ok := false
		switch v := p.(type) {
		case netip.Addr:
			ok = s.types[i] == "ipv4_addr" && v.Is4() || s.types[i] == "ipv6_addr" && v.Is6() && v.Zone() == ""
		case uint32:
			ok = s.types[i] == "mark"
		case uint16:
			ok = s.types[i] == "inet_service"
		case flow.Proto:
			ok = s.types[i] == "inet_proto"
		case flow.MAC:
			ok = s.types[i] == "ether_addr"
		}
		if !ok {
			return fmt.Errorf("part %d of key %v is a %T, the set's type is %v", i+1, e.Key, p, s.types)
		}
	}
	return nil
}

// parseDuration reads 1d2h3m4s5ms, or plain seconds.
func parseDuration(s string) (time.Duration, error) {
	if n, err := strconv.Atoi(s); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	days, rest, ok := strings.Cut(s, "d")
	if !ok {
		return time.ParseDuration(s)
	}
	n, err := strconv.Atoi(days)
	if err != nil || rest == "" {
		return time.Duration(n) * 24 * time.Hour, err
	}
	d, err := time.ParseDuration(rest)
	return time.Duration(n)*24*time.Hour + d, err
}
