package domainlist

import (
	"io"
	"slices"
	"strings"
)

// ParseAdblock reads the part of an adblock list that is about whole hosts, as name servers use it: "||example.com^" with all names below,
// "|example.com^" and lines of a hosts file for that name alone, "@@" before it for an exception. Rules about paths, pages and conditions are
// counted. file is for messages. An error means that nothing could be read; wrong lines are in the list.
func ParseAdblock(file string, from io.Reader) (List, error) {
	var r reader
	r.lines(file, from, r.adblockLine)
	return r.done()
}

// cosmetic are the separators of rules that change pages instead of stopping requests.
var cosmetic = [...]string{"##", "#@#", "#?#", "#@?#", "#$#", "#@$#", "#$?#", "#%#", "#@%#", "$$", "$@$"}

// harmless are the options that change nothing about a rule for whole hosts.
var harmless = []string{"important", "all", "document", "doc"}

func (r *reader) adblockLine(line string) {
	if line[0] == '!' || line[0] == '[' && strings.HasSuffix(line, "]") {
		return
	}
	if slices.ContainsFunc(cosmetic[:], func(s string) bool { return strings.Contains(line, s) }) {
		r.skip("changes to pages")
		return
	}
	if line[0] == '#' {
		return
	}
	if fields := strings.Fields(line); len(fields) > 1 && isAddress(fields[0]) {
		line, _, _ = strings.Cut(line, "#")
		r.hostsLine(strings.Fields(line))
		return
	}
	to := &r.list.Domains
	rule, exception := strings.CutPrefix(line, "@@")
	if exception {
		to = &r.list.Except
	}
	if strings.HasPrefix(rule, "/") && strings.LastIndexByte(rule, '/') > 0 {
		r.skip("regular expressions")
		return
	}
	rule, options, conditional := strings.Cut(rule, "$")
	if conditional {
		for _, o := range strings.Split(options, ",") {
			if !slices.Contains(harmless, o) {
				r.skip("rules with conditions")
				return
			}
		}
	}
	pattern, whole := strings.CutPrefix(rule, "||")
	pattern, exact := strings.CutPrefix(pattern, "|")
	name, ended := cutEnd(pattern)
	switch host, ok := clean(name); {
	case whole && exact, name == "":
		r.wrong("%.80q is not a rule", line)
	case strings.ContainsAny(name, "/?=&:"):
		r.skip("rules about paths and addresses of pages")
	case strings.Contains(name, "*"):
		r.skip("patterns with wildcards")
	case isAddress(name):
		r.skip("addresses instead of names")
	case !ended, !whole && !exact:
		r.skip("parts of addresses of pages")
	case !ok:
		r.wrong("%.80q is not a host name", name)
	case !strings.Contains(host, "."):
		r.skip("whole top-level domains")
	default:
		r.add(to, Domain{Name: host, Exact: exact})
	}
}

// cutEnd takes the mark of a name's end off: "^" or "^|".
func cutEnd(s string) (string, bool) {
	s, bar := strings.CutSuffix(s, "|")
	name, ended := strings.CutSuffix(s, "^")
	return name, ended || bar
}
