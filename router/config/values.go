package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// UnmarshalYAML reads "dhcp", "auto", "off" or {gateway: ADDRESS}.
func (a *Address) UnmarshalYAML(data []byte) error {
	var word string
	if err := yaml.Unmarshal(data, &word); err == nil {
		a.Mode, err = parseMode(word)
		return err
	}
	var stated struct {
		Gateway netip.Addr `yaml:"gateway"`
	}
	if err := yaml.UnmarshalWithOptions(data, &stated, yaml.Strict()); err != nil || !stated.Gateway.IsValid() {
		return errors.New("use dhcp, auto, off or {gateway: ADDRESS}")
	}
	a.Mode, a.Gateway = Stated, stated.Gateway
	return nil
}

func parseMode(s string) (AddressMode, error) {
	switch m := AddressMode(s); m {
	case DHCP, Auto, Off:
		return m, nil
	}
	return "", fmt.Errorf("%q: use dhcp, auto, off or {gateway: ADDRESS}", s)
}

// UnmarshalYAML reads an amount like "20GB", "500MB", "1.5TB" or "20GiB".
func (b *Bytes) UnmarshalYAML(data []byte) (err error) {
	*b, err = parseBytes(unquoted(data))
	return err
}

func parseBytes(s string) (Bytes, error) {
	v, err := quantity(s, map[string]float64{
		"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	}, "an amount of data like 20GB")
	return Bytes(v), err
}

// UnmarshalYAML reads a rate like "100mbit", "512kbit" or "1gbit".
func (r *BitRate) UnmarshalYAML(data []byte) (err error) {
	*r, err = parseRate(unquoted(data))
	return err
}

func parseRate(s string) (BitRate, error) {
	v, err := quantity(s, map[string]float64{"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}, "a rate like 100mbit")
	return BitRate(v), err
}

// UnmarshalYAML reads a duration like "1s".
func (d *Duration) UnmarshalYAML(data []byte) (err error) {
	*d, err = parseDuration(unquoted(data))
	return err
}

func parseDuration(s string) (Duration, error) {
	v, err := time.ParseDuration(s)
	if err != nil || v <= 0 {
		return 0, fmt.Errorf("%s: use a duration like 1s or 500ms", s)
	}
	return Duration(v), nil
}

func unquoted(data []byte) string { return strings.Trim(strings.TrimSpace(string(data)), `"'`) }

// quantity reads a number with a unit; not a number, negative ones and those beyond 10¹⁸ are refused.
func quantity(text string, units map[string]float64, form string) (uint64, error) {
	digits := strings.TrimRight(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz ")
	unit, ok := units[strings.TrimSpace(strings.ToLower(text[len(digits):]))]
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil || !ok || !(v >= 0 && v*unit <= 1e18) {
		return 0, fmt.Errorf("%s: use %s", text, form)
	}
	return uint64(v * unit), nil
}
