package config

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/trenza-router/trenza/router/qos"
)

// Shape says whether and how what passes a link waits in the router, where it can be managed, and not in a modem.
type Shape struct {
	Mode    ShapeMode `yaml:"mode"`
	Framing string    `yaml:"framing"` // what the line adds to each packet, as qos.ParseFraming reads it
	// Min is what an automatic rate never falls below; a tenth of the link's rate where nothing is said.
	Min Rates `yaml:"min"`
	// Reflectors are whom an automatic rate pings; the ICMP targets of the link's probes where none is named.
	Reflectors []netip.Addr `yaml:"reflectors"`
}

// ShapeMode is where the rate comes from that a link is shaped to.
type ShapeMode string

const (
	ShapeOff   ShapeMode = "off"   // not shaped; the default
	ShapeFixed ShapeMode = "fixed" // somewhat less than the link's rate, which is always the same
	ShapeAuto  ShapeMode = "auto"  // what the link is found to carry, at most its rate
)

// ParseShapeMode reads a mode; the empty string is off.
func ParseShapeMode(s string) (ShapeMode, error) {
	switch m := ShapeMode(s); m {
	case "":
		return ShapeOff, nil
	case ShapeOff, ShapeFixed, ShapeAuto:
		return m, nil
	}
	return "", fmt.Errorf("%q: use off, fixed or auto", s)
}

// Least is what an automatic rate never falls below.
func (l Link) Least() Rates {
	least := func(said, rate BitRate) BitRate { return cmp.Or(said, max(rate/10, BitRate(qos.MinCapacity))) }
	return Rates{Down: least(l.Shape.Min.Down, l.Rate.Down), Up: least(l.Shape.Min.Up, l.Rate.Up)}
}

// checkShape looks at how a link is shaped; bad makes the error for a key.
func (l Link) checkShape(bad func(key, format string, args ...any) error) error {
	if l.Shape.Mode == ShapeOff || l.Shape.Mode == "" {
		return nil
	}
	for _, d := range []struct {
		name      string
		rate, min BitRate
	}{{"down", l.Rate.Down, l.Shape.Min.Down}, {"up", l.Rate.Up, l.Shape.Min.Up}} {
		low, high := qos.MinCapacity, qos.MaxCapacity
		switch {
		case d.rate == 0:
			return bad("shape.mode", "shape: rate %s is not said: say what the link carries at most, as in \"rate: {down: 100mbit, up: 20mbit}\"", d.name)
		case qos.Rate(d.rate) < low || qos.Rate(d.rate) > high:
			return bad("rate."+d.name, "rate %s of %s cannot be shaped: use %s to %s, or shape: {mode: off}", d.name, qos.Rate(d.rate), low, high)
		case d.min != 0 && l.Shape.Mode == ShapeFixed:
			return bad("shape.min", "shape: min is for mode auto alone: leave it out")
		case d.min != 0 && (qos.Rate(d.min) < low || d.min > d.rate):
			return bad("shape.min."+d.name, "shape: min %s of %s: use %s to the link's rate of %s", d.name, qos.Rate(d.min), low, qos.Rate(d.rate))
		}
	}
	return nil
}
