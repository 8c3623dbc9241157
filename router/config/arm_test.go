package config

import (
	"strings"
	"testing"
)

// TestArm: one device may be a LAN's and a link's, where another router gives the addresses.
func TestArm(t *testing.T) {
	for _, tt := range []struct{ lan, link, refused string }{
		{`{device: eth0}`, `{name: house, device: eth0}`, ""},
		{`{device: eth0}, {device: eth1, address: 10.9.0.1/24, dhcp: {}}`, `{name: house, device: eth0}`, ""},
		{`{device: eth0}`, `{name: house, device: eth0}, {name: again, device: eth0}`, "already used by link house"},
		{`{device: eth0, address: 10.9.0.1/24}`, `{name: house, device: eth0}`, "leave bridge, address"},
		{`{device: eth0, dhcp: {}}`, `{name: house, device: eth0}`, "leave bridge, address"},
		{`{device: br0, bridge: [eth0]}`, `{name: house, device: eth0}`, "already used by lan br0"},
		{`{device: eth0, guest: true}`, `{name: house, device: eth0}`, "for guests"},
		{`{device: eth0}`, `{name: house, device: eth0, rate: {down: 50mbit, up: 10mbit}, shape: {mode: fixed}}`, "leave shape out"},
	} {
		_, err := Parse("test.yaml", []byte("lan: ["+tt.lan+"]\nlinks: ["+tt.link+"]\n"))
		switch {
		case tt.refused == "" && err != nil:
			t.Errorf("%s and %s: %v", tt.lan, tt.link, err)
		case tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)):
			t.Errorf("%s and %s: %v, want it to say %q", tt.lan, tt.link, err, tt.refused)
		}
	}
}
