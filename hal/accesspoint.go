package hal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// AccessPointSecurity is how an access point lets stations in, all by one passphrase.
type AccessPointSecurity string

const (
	WPA2     AccessPointSecurity = "wpa2"  // WPA2-Personal, which every station and radio speaks
	WPA3     AccessPointSecurity = "wpa3"  // SAE with protected management frames; not every radio can
	WPA2WPA3 AccessPointSecurity = "mixed" // whichever the station speaks
)

// Band is a range of frequencies.
type Band string

const (
	Band2 Band = "2.4"
	Band5 Band = "5"
)

// channels of each band, of 20 MHz; those of 5 GHz on which no radar has to be listened for.
var channels = map[Band][]int{Band2: {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}, Band5: {36, 40, 44, 48, 149, 153, 157, 161, 165}}

// AccessPoint is a WiFi network of the household on one of the machine's radios.
type AccessPoint struct {
	Device     string // the radio's
	Bridge     string // that it is a port of; "": it is a LAN's device itself
	SSID       string
	Passphrase string
	Security   AccessPointSecurity
	Band       Band
	Channel    int
	Country    string // where it stands: two letters of ISO 3166
	Hidden     bool   // its name is not told to everybody
	Isolated   bool   // stations hear the router and not each other
}

// String names it without its passphrase.
func (a AccessPoint) String() string { return fmt.Sprintf("WiFi network %q on %s", a.SSID, a.Device) }

// Validate tells what no radio could do, and what would be right.
func (a AccessPoint) Validate() error {
	switch {
	case a.Device == "":
		return errors.New("name the radio's device")
	case a.SSID == "" || len(a.SSID) > 32: // IEEE 802.11, 9.4.2.2
		return fmt.Errorf("ssid: a network's name has 1 to 32 bytes, not %d", len(a.SSID))
	case len(a.Passphrase) < 8 || len(a.Passphrase) > 63 || strings.ContainsFunc(a.Passphrase, func(r rune) bool { return r < ' ' || r > '~' }): // IEEE 802.11, J.4.1
		return errors.New("passphrase: use 8 to 63 letters, digits, signs and spaces of ASCII")
	case !slices.Contains([]AccessPointSecurity{WPA2, WPA3, WPA2WPA3}, a.Security):
		return fmt.Errorf("security %q: use wpa2, wpa3 or mixed", a.Security)
	case channels[a.Band] == nil:
		return fmt.Errorf("band %q: use 2.4 or 5", a.Band)
	case !slices.Contains(channels[a.Band], a.Channel):
		return fmt.Errorf("channel %d: of the band at %s GHz use one of %v", a.Channel, a.Band, channels[a.Band])
	case len(a.Country) != 2 || strings.ContainsFunc(a.Country, func(r rune) bool { return r < 'A' || r > 'Z' }):
		return fmt.Errorf("country %q: use the two letters of the country in which the radio stands, as in ES: what it may send depends on it", a.Country)
	}
	return nil
}

// AccessPoints runs WiFi networks of the household.
type AccessPoints interface {
	// ServeAccessPoint runs one until the context ends or its program does, which is an error that tells the last words. The device and the
	// bridge are there. ErrUnsupported when the machine has no program for it. Calls for different devices may run side by side.
	ServeAccessPoint(ctx context.Context, a AccessPoint) error
}
