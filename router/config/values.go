package config

import (
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
		switch m := AddressMode(word); m {
		case DHCP, Auto, Off:
			a.Mode = m
			return nil
		}
		return fmt.Errorf("%q: use dhcp, auto, off or {gateway: ADDRESS}", word)
	}
	var stated struct {
		Gateway netip.Addr `yaml:"gateway"`
	}
	if err := yaml.UnmarshalWithOptions(data, &stated, yaml.Strict()); err != nil || !stated.Gateway.IsValid() {
		return fmt.Errorf("use dhcp, auto, off or {gateway: ADDRESS}")
	}
	a.Mode, a.Gateway = Stated, stated.Gateway
	return nil
}

// UnmarshalYAML reads an amount like "20GB", "500MB", "1.5TB" or "20GiB".
func (b *Bytes) UnmarshalYAML(data []byte) error {
	v, err := quantity(data, map[string]float64{
		"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	}, "an amount of data like 20GB")
	*b = Bytes(v)
	return err
}

// UnmarshalYAML reads a rate like "100mbit", "512kbit" or "1gbit".
func (r *BitRate) UnmarshalYAML(data []byte) error {
	v, err := quantity(data, map[string]float64{"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}, "a rate like 100mbit")
	*r = BitRate(v)
	return err
}

// UnmarshalYAML reads a duration like "1s".
func (d *Duration) UnmarshalYAML(data []byte) error {
	v, err := time.ParseDuration(unquoted(data))
	if err != nil || v <= 0 {
		return fmt.Errorf("%s: use a duration like 1s or 500ms", unquoted(data))
	}
	*d = Duration(v)
	return nil
}

func unquoted(data []byte) string { return strings.Trim(strings.TrimSpace(string(data)), `"'`) }

func quantity(data []byte, units map[string]float64, form string) (uint64, error) {
	text := unquoted(data)
	digits := strings.TrimRight(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz ")
	unit, ok := units[strings.TrimSpace(strings.ToLower(text[len(digits):]))]
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil || !ok || v < 0 || v*unit > 1e18 {
		return 0, fmt.Errorf("%s: use %s", text, form)
	}
	return uint64(v * unit), nil
}
