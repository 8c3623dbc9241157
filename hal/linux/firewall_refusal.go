package linux

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/trenza-router/trenza/hal"
)

// excerpt is how many bytes of an offending line an error shows: a set's elements may stand on one line of megabytes.
const excerpt = 200

// parseRefusal finds the first error in what nft wrote to stderr and the line of text that it speaks of. nft writes
//
//	/dev/stdin:4:11-15: Error: No such file or directory
//	 ip saddr @nope accept
//	          ^^^^^
//
// with 1-based columns that count bytes, and leaves the place out when it has none. It takes any bytes and never panics.
func parseRefusal(stderr, text string) *hal.RulesetError {
	var first string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if first == "" {
			first = line
		}
		place, message, ok := strings.Cut(line, "Error: ")
		if !ok || place != "" && !strings.HasSuffix(place, ": ") {
			continue
		}
		e := &hal.RulesetError{Message: clip(strings.TrimSpace(message), 0)}
		n, from, to, ok := parsePlace(strings.TrimSuffix(place, ": "))
		if !ok {
			return e
		}
		source, ok := lineOf(text, n)
		if !ok {
			return e
		}
		e.Line, e.Text = n, clip(source, from-1)
		if from >= 1 && from <= to && to <= len(source) && to-from < excerpt/2 && strings.TrimSpace(source[from-1:to]) != "" {
			e.Message += " (at " + strconv.Quote(source[from-1:to]) + ")"
		}
		return e
	}
	return &hal.RulesetError{Message: clip(first, 0)}
}

// parsePlace reads "/dev/stdin:4:11-15".
func parsePlace(s string) (line, from, to int, ok bool) {
	parts := strings.Split(s, ":")
	if len(parts) < 3 {
		return 0, 0, 0, false
	}
	line, err := strconv.Atoi(parts[len(parts)-2])
	a, b, cut := strings.Cut(parts[len(parts)-1], "-")
	if err != nil || !cut || line < 1 {
		return 0, 0, 0, false
	}
	if from, err = strconv.Atoi(a); err != nil {
		return 0, 0, 0, false
	}
	if to, err = strconv.Atoi(b); err != nil {
		return 0, 0, 0, false
	}
	return line, from, to, true
}

// lineOf is the n-th line of text, counted from 1; the end of the text counts as one more line, because nft
// reports a missing brace there.
func lineOf(text string, n int) (string, bool) {
	for ; n > 1; n-- {
		i := strings.IndexByte(text, '\n')
		if i < 0 {
			return "", false
		}
		text = text[i+1:]
	}
	line, _, _ := strings.Cut(text, "\n")
	return line, true
}

// clip cuts a line down to an excerpt around the byte at, on borders of characters.
func clip(s string, at int) string {
	from := 0
	if at > excerpt/2 && len(s) > excerpt {
		from = min(at-excerpt/2, len(s)-excerpt)
	}
	to := min(from+excerpt, len(s))
	for from > 0 && from < to && !utf8.RuneStart(s[from]) {
		from++
	}
	for to < len(s) && to > from && !utf8.RuneStart(s[to]) {
		to--
	}
	cut := strings.TrimSpace(s[from:to])
	if from > 0 {
		cut = "…" + cut
	}
	if to < len(s) {
		cut += "…"
	}
	return cut
}

// denied tells whether nft failed because the process may not speak to nftables at all. It then names no line.
func denied(stderr string) bool {
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if strings.HasSuffix(line, "Operation not permitted") && strings.Contains(line, "cache initialization failed") ||
			strings.HasSuffix(line, "(you must be root)") {
			return true
		}
	}
	return false
}
