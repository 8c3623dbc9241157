package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a policy, and what would be right.
type Problem struct {
	File         string // "" if the policy did not come from a file
	Line, Column int    // from 1; 0 when not known
	RuleID       string // "" for what is not part of a rule
	Field        string // as in YAML, for instance "steer.use"; "" for the whole
	Text         string

	path string // where it stands in the Policy, see document.positions
}

func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		fmt.Fprintf(&b, "%s:", p.File)
	}
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:%d:", p.Line, p.Column)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if p.RuleID != "" {
		fmt.Fprintf(&b, "rule %s: ", p.RuleID)
	}
	if p.Field != "" {
		fmt.Fprintf(&b, "%s: ", p.Field)
	}
	return b.String() + p.Text
}

// Problems is everything that is wrong with a policy, one a line.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// oneOf lists words for a sentence: "a, b or c".
func oneOf(words []string) string {
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" })
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// closest finds the word that was probably meant; "" if none is near.
func closest(word string, words []string) string {
	best, bestDistance := "", 3
	for _, w := range words {
		if d := distance(word, w); d < bestDistance && d < len(w) {
			best, bestDistance = w, d
		}
	}
	return best
}

// distance is the number of letters to change, add or leave out to get from a to b (Levenshtein); words are short.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// didYouMean is a hint to append to a message about an unknown word.
func didYouMean(word string, words []string) string {
	if w := closest(word, words); w != "" {
		return fmt.Sprintf("; did you mean %q?", w)
	}
	return ""
}
