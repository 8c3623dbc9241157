package config

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/trenza-router/trenza/hal"
)

// Hardware selects a link's device by what it is: the first free one that fits, also one that is plugged in later.
type Hardware struct {
	Kind hal.LinkKind `yaml:"kind"` // "": the file names the device instead
	Port string       `yaml:"port"` // where it is plugged in, as in `trenza links`; "" is anywhere

	// A modem's.
	APN     string `yaml:"apn"`
	PIN     Secret `yaml:"pin"` // tried once for each time that the card is found locked
	Roaming bool   `yaml:"roaming"`

	// A modem's, where the operator asks for them, or a PPPoE session's.
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`

	// What a PPPoE session or a VLAN stands on.
	Parent  string `yaml:"parent"`
	Tag     int    `yaml:"tag"`
	Service string `yaml:"service"`
}

// Secret is a password. It shows itself to nobody who prints it: string(s) is its value.
type Secret string

const hidden = "(hidden)"

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the value from every encoder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the value from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// UnmarshalText takes the value as it stands.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

// linkKinds are what a file may ask for.
func linkKinds() []hal.LinkKind {
	return []hal.LinkKind{hal.LinkEthernet, hal.LinkWiFi, hal.LinkStick, hal.LinkModem, hal.LinkPPP, hal.LinkVLAN}
}

// ByHardware tells whether the link's device is selected by what it is.
func (l Link) ByHardware() bool { return l.Hardware != (Hardware{}) }

// checkHardware looks at how a link's device is selected; bad makes the error about a key.
func (l Link) checkHardware(bad func(key, format string, args ...any) error) error {
	h := l.Hardware
	dialled := h.Kind == hal.LinkPPP || h.Kind == hal.LinkVLAN
	switch {
	case h == (Hardware{}):
		return nil
	case !slices.Contains(linkKinds(), h.Kind):
		return bad("hardware.kind", "hardware: kind %q: use ethernet, wifi, stick, modem, ppp or vlan", h.Kind)
	case l.Device != "":
		return bad("device", "device and hardware are both stated: use one of them")
	case len(h.Port) > 128 || strings.ContainsAny(h.Port, " \t\n"):
		return bad("hardware.port", "hardware: port %q: use the ID that \"trenza links\" shows", h.Port)
	case h.PIN != "" && (len(h.PIN) < 4 || len(h.PIN) > 8 || strings.Trim(string(h.PIN), "0123456789") != ""):
		return bad("hardware.pin", "hardware: the PIN has 4 to 8 digits, in quotes: pin: \"0123\"")
	case h.Kind != hal.LinkModem && (h.APN != "" || h.PIN != "" || h.Roaming):
		return bad("hardware", "hardware: apn, pin and roaming are a modem's")
	case h.Kind != hal.LinkModem && h.Kind != hal.LinkPPP && (h.User != "" || h.Password != ""):
		return bad("hardware", "hardware: user and password are a modem's or a ppp session's; a WiFi network is joined with \"trenza wifi join\"")
	case dialled && (h.Parent == "" || len(h.Parent) > 15):
		return bad("hardware.parent", "hardware: a %s link needs the device that it stands on, as in \"parent: eth1\"", h.Kind)
	case dialled && h.Port != "":
		return bad("hardware.port", "hardware: a %s link has a parent instead of a port", h.Kind)
	case !dialled && (h.Parent != "" || h.Tag != 0 || h.Service != ""):
		return bad("hardware", "hardware: parent, tag and service are for ppp and vlan links")
	case h.Kind == hal.LinkPPP && (h.User == "" || h.Tag != 0):
		return bad("hardware", "hardware: a ppp link has a user, and no tag; where the line is tagged, its parent is the VLAN's device")
	case h.Kind == hal.LinkVLAN && (h.Tag < 1 || h.Tag > 4094):
		return bad("hardware.tag", "hardware: tag %d: use 1 to 4094", h.Tag)
	case h.Kind != hal.LinkPPP && h.Service != "":
		return bad("hardware.service", "hardware: service is a ppp session's")
	}
	return nil
}
