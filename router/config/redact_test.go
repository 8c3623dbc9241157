package config

import (
	"strings"
	"testing"
)

// TestRedact: every way to write a secret is found, comments of the author stay, and the file still says the same.
func TestRedact(t *testing.T) {
	const file = `# our house
lan: [{device: lan0, wifi: [{ssid: Casa, passphrase: "battery, staple", country: ES}]}]
links:
  - name: lte
    hardware: {kind: modem, pin: "4711", apn: internet, user: u, password: 'hunter2 is long'} # the card from the drawer
  - name: stick
    hardware:
      kind: modem
      # password: an older secret
      pin: 0815
      password: plain secret words
  - name: fiber
    device: wan1
`
	c, err := Parse("house.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.secrets()); n != 5 {
		t.Fatalf("%d secrets", n)
	}
	out, err := Redact("house.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"4711", "battery", "hunter2", "0815", "plain secret", "older secret"} {
		if strings.Contains(out, gone) {
			t.Errorf("%s is still there:\n%s", gone, out)
		}
	}
	for _, stays := range []string{"# our house", "the card from the drawer", "apn: internet", "ssid: Casa", "device: wan1"} {
		if !strings.Contains(out, stays) {
			t.Errorf("%s is gone:\n%s", stays, out)
		}
	}
	// What it cannot be sure of it does not tell.
	for _, hidden := range []string{
		strings.Replace(file, "pin: 0815", "\"pin\": 0815", 1),
		strings.Replace(file, "# our house", "# plain secret words", 1),
		strings.Replace(file, "password: plain secret words", "password: |\n        plain secret words", 1),
	} {
		if out, err := Redact("house.yaml", []byte(hidden)); err == nil && (strings.Contains(out, "plain secret") || strings.Contains(out, "0815")) {
			t.Errorf("told:\n%s", out)
		}
	}
}
