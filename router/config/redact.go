package config

import (
	"fmt"
	"regexp"
	"strings"
)

// secretLine is a key of the file whose value is a Secret, at the beginning of a line, in a list, in braces or behind a comment sign; needed
// is one that must have a value.
var secretLine, needed = keyLine("code|password|pin"), keyLine("passphrase")

func keyLine(keys string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)((?:^|[\s{,#-])(?:` + keys + `)\s*:\s*)("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s,}#][^,}#\n]*)`)
}

// withheld stands for a secret that must have a value.
const withheld = "--------"

// Redact is the text of a configuration without its secrets, with all else as its author wrote it. It fails when it cannot be sure to have
// found them all.
func Redact(name string, text []byte) (string, error) {
	before, err := Parse(name, text)
	if err != nil {
		return "", err
	}
	out := needed.ReplaceAllString(secretLine.ReplaceAllString(string(text), `$1""`), `$1"`+withheld+`"`)
	after, err := Parse(name, []byte(out))
	if err != nil {
		return "", fmt.Errorf("taking the secrets out of the configuration: %w", err)
	}
	if left := after.secrets(); len(left) > 0 {
		return "", fmt.Errorf("taking the secrets out of the configuration: %s is written in a way that hides %d of them; write each key on a line of its own", name, len(left))
	}
	for _, secret := range before.secrets() {
		if len(secret) >= 8 && strings.Contains(out, secret) {
			return "", fmt.Errorf("taking the secrets out of the configuration: one of them stands in another place of %s, too", name)
		}
	}
	return out, nil
}

// secrets are the values that the file has of type Secret.
func (c Config) secrets() []string {
	var out []string
	add := func(s Secret) {
		if s != "" && s != withheld {
			out = append(out, string(s))
		}
	}
	for _, l := range c.LAN {
		for _, w := range l.WiFi {
			add(w.Passphrase)
		}
	}
	for _, l := range c.Links {
		add(l.Hardware.PIN)
		add(l.Hardware.Password)
		if l.Relay != nil {
			add(l.Relay.Code)
		}
	}
	return out
}
