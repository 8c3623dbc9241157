package auth

import (
	"errors"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a password. NIST SP 800-63B section 3.1.1: length counts, rules about kinds of letters do not; what is commonly
// used or made of known words is refused.
const (
	minPassword = 10  // characters
	maxPassword = 256 // bytes
	leastScore  = 2
)

// Strength is what a password is worth.
type Strength struct {
	Score  int     // 0 (guessed at once) to 4 (will not be guessed)
	Bits   float64 // about how many yes-or-no questions a guesser needs
	OK     bool    // it may be used
	Advice string  // "" or one of AdviceShort and its like, for the page's own words
}

// Advice of Strength.
const (
	AdviceShort  = "short"
	AdviceLong   = "long"
	AdviceCommon = "common"
	AdviceName   = "name"
	AdviceSimple = "simple"
)

// ErrWeak: a password is not taken.
var ErrWeak = errors.New("this password is too easy to guess: use at least ten characters, best four or more words that do not belong together")

// common are the words that most guessed passwords are made of, and the router's own.
func common() []string {
	return []string{"password", "passw0rd", "contraseña", "contrasena", "qwerty", "qwertz", "asdfgh", "zxcvbn", "letmein", "welcome", "admin",
		"administrator", "router", "trenza", "internet", "wifi", "wlan", "secret", "dragon", "monkey", "iloveyou", "teamo", "sunshine", "princess",
		"football", "futbol", "master", "login", "hola", "hello", "abc", "changeme", "default", "guest", "invitado", "woaini", "mima", "familia", "family", "casa", "home"}
}

// Rate tells what a password is worth. names are words that a guesser would try first: the user's, the household's.
func Rate(password string, names ...string) Strength {
	if len(password) > maxPassword {
		return Strength{Advice: AdviceLong}
	}
	text := strings.ToLower(password)
	advice := ""
	for _, w := range names {
		if w = strings.ToLower(w); utf8.RuneCountInString(w) >= 3 && strings.Contains(text, w) {
			// A known word is worth one choice among few, not its letters.
			text, advice = strings.ReplaceAll(text, w, "\x01"), AdviceName
		}
	}
	for _, w := range common() {
		if strings.Contains(text, w) {
			text = strings.ReplaceAll(text, w, "\x01")
			if advice == "" {
				advice = AdviceCommon
			}
		}
	}
	s := Strength{Bits: bits(text, password)}
	for _, floor := range []float64{28, 40, 52, 66} {
		if s.Bits >= floor {
			s.Score++
		}
	}
	long := utf8.RuneCountInString(password) >= minPassword
	s.OK = s.Score >= leastScore && long
	switch {
	case s.OK:
	case !long:
		s.Advice = AdviceShort
	case advice != "":
		s.Advice = advice
	default:
		s.Advice = AdviceSimple
	}
	return s
}

// bits estimates the work of guessing text, whose known words are one character each: every character that does not follow from
// the one before is one choice among the kinds that the password uses, and letters in words are worth less than by chance.
func bits(text, original string) float64 {
	pool := 0.0
	for _, kind := range []struct {
		is   func(rune) bool
		size float64
	}{
		{unicode.IsLower, 26}, {unicode.IsUpper, 26}, {unicode.IsDigit, 10},
		{func(r rune) bool { return unicode.IsPunct(r) || unicode.IsSymbol(r) || r == ' ' }, 20},
		{func(r rune) bool {
			return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
		}, 2000},
	} {
		if strings.ContainsFunc(original, kind.is) {
			pool += kind.size
		}
	}
	choice := math.Log2(max(pool, 2))
	var seen []rune
	total, last, step := 0.0, rune(-1), rune(0)
	for _, r := range text {
		worth := choice
		switch d := r - last; {
		case r == '\x01':
			worth = 6
		case last >= 0 && (d == 0 || d == step && (d == 1 || d == -1)):
			worth = 0.5 // aaaa, 1234, zyxw
		case slices.Contains(seen, r):
			worth = choice * 0.6
		case unicode.IsLetter(r):
			worth = choice * 0.75
		}
		total += worth
		step, last = r-last, r
		seen = append(seen, r)
	}
	return total
}
