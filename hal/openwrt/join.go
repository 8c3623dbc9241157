package openwrt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/ubus"
)

// radio is one of the machine's, in the answer of network.wireless's method status.
type radio struct {
	Disabled   bool        `json:"disabled"`
	Interfaces []wifiIface `json:"interfaces"`
}

type wifiIface struct {
	Section string `json:"section"`
	Ifname  string `json:"ifname"`
	Config  struct {
		Mode string `json:"mode"`
		SSID string `json:"ssid"`
	} `json:"config"`
}

func (c *Client) radios(ctx context.Context) (map[string]radio, error) {
	var all map[string]radio
	if err := c.call(ctx, "network.wireless", "status", nil, &all); err != nil {
		return nil, fmt.Errorf("asking for the radios: %w", err)
	}
	return all, nil
}

// radioOf is the radio that a wireless interface stands on: a station, or an access point beside which one can stand.
func (c *Client) radioOf(ctx context.Context, device string) (string, error) {
	all, err := c.radios(ctx)
	if err != nil {
		return "", err
	}
	for name, r := range all {
		if name == device || slices.ContainsFunc(r.Interfaces, func(i wifiIface) bool { return i.Ifname == device }) {
			return name, nil
		}
	}
	return "", fmt.Errorf("netifd has no radio with a device %q: %w", device, hal.ErrNotFound)
}

// How long a network may take to let a station in and to give it an address, and how often it is looked whether it did.
const (
	defaultJoinTime = 45 * time.Second
	joinLook        = 250 * time.Millisecond
)

// Join is hal.WiFi's JoinWiFi: a station in /etc/config/wireless, and its interface in /etc/config/network.
func (c *Client) Join(ctx context.Context, device string, r hal.JoinRequest) error {
	radioName, err := c.radioOf(ctx, device)
	if err != nil {
		return err
	}
	if !r.Hidden {
		heard, err := c.Scan(ctx, device)
		if err != nil && !errors.Is(err, hal.ErrUnsupported) {
			return err
		}
		i := slices.IndexFunc(heard, func(n hal.Network) bool { return n.SSID == r.SSID })
		if err == nil && i < 0 {
			return fmt.Errorf("joining %q: %w", r.SSID, hal.ErrOutOfRange)
		}
		if r.Security == "" && i >= 0 {
			r.Security = heard[i].Security
		}
	}
	if r.Security == "" {
		r.Security = hal.SecurityWPA2
		if r.Password == "" {
			r.Security = hal.SecurityOpen
		}
	}
	name := ours("station", radioName)
	before, err := c.sections(ctx, "wireless", "wifi-iface")
	if err != nil {
		return err
	}
	err = c.station(ctx, radioName, name, r)
	if err != nil {
		return c.undone(ctx, err, "wireless", "network", "firewall")
	}
	if err := c.awaitJoined(ctx, name, r); err != nil {
		return errors.Join(err, c.backTo(context.WithoutCancel(ctx), name, before[name]))
	}
	return nil
}

// station writes the station and its interface and puts them in force.
func (c *Client) station(ctx context.Context, radioName, name string, r hal.JoinRequest) error {
	changed, err := c.put(ctx, "wireless", "wifi-iface", name, stationSection(radioName, name, r))
	if err != nil {
		return err
	}
	var files []string
	interfaced, err := c.put(ctx, "network", "interface", name, network("dhcp", "", nil))
	if err != nil {
		return err
	}
	zoned, err := c.inZone(ctx, name)
	if err != nil {
		return err
	}
	// The interface first: the station looks for it.
	for _, f := range []struct {
		changed bool
		name    string
	}{{interfaced, "network"}, {zoned, "firewall"}, {changed, "wireless"}} {
		if f.changed {
			files = append(files, f.name)
		}
	}
	return c.commit(ctx, files...)
}

// stationSection is a section wifi-iface for a network.
func stationSection(radioName, name string, r hal.JoinRequest) section {
	s := section{"device": radioName, "mode": "sta", "network": name, "ssid": r.SSID, "encryption": "none"}
	switch r.Security {
	case hal.SecurityWPA2:
		s["encryption"], s["key"] = "psk-mixed", r.Password
	case hal.SecurityWPA3:
		s["encryption"], s["key"] = "sae", r.Password
	case hal.SecurityEnterprise:
		s["encryption"], s["eap_type"], s["auth"], s["identity"], s["password"] = "wpa2", "peap", "auth=MSCHAPV2", r.User, r.Password
	case hal.SecurityOpen:
	}
	return s
}

// awaitJoined waits until the station's interface has an address.
func (c *Client) awaitJoined(ctx context.Context, name string, r hal.JoinRequest) error {
	ctx, cancel := context.WithTimeout(ctx, c.joinTime)
	defer cancel()
	tick := time.NewTicker(joinLook)
	defer tick.Stop()
	joined := false
	for {
		select {
		case <-ctx.Done():
			switch {
			case !errors.Is(ctx.Err(), context.DeadlineExceeded):
				return ctx.Err()
			case joined:
				return fmt.Errorf("joining %q: it let the router in and gives no address: %w", r.SSID, hal.ErrRefused)
			case r.Security == hal.SecurityOpen:
				return fmt.Errorf("joining %q: it does not let the router in: %w", r.SSID, hal.ErrRefused)
			}
			// netifd tells no reason; a network that is heard and lets nobody in mostly has another password.
			return fmt.Errorf("joining %q: it does not let the router in: %w", r.SSID, hal.ErrWrongPassword)
		case <-tick.C:
		}
		var n netif
		if err := c.call(ctx, "network.interface."+name, "status", nil, &n); err != nil {
			continue // netifd is reading its file, or ctx is over
		}
		if n.Up && len(n.IPv4)+len(n.IPv6) > 0 {
			return nil
		}
		var info struct {
			BSSID string `json:"bssid"`
		}
		device := n.Device
		if device == "" {
			device = n.L3Device
		}
		if device != "" && c.call(ctx, "iwinfo", "info", ubus.Table{"device": device}, &info) == nil && info.BSSID != "" && info.BSSID != "00:00:00:00:00:00" {
			joined = true
		}
	}
}

// backTo puts back the station that was there before one that failed; nil: there was none.
func (c *Client) backTo(ctx context.Context, name string, before section) error {
	if before == nil {
		return c.forget(ctx, name)
	}
	if _, err := c.put(ctx, "wireless", "wifi-iface", name, plain(before)); err != nil {
		return c.undone(ctx, err, "wireless")
	}
	return c.commit(ctx, "wireless")
}

// forget takes a station of ours and its interface away.
func (c *Client) forget(ctx context.Context, name string) error {
	for _, file := range []string{"wireless", "network"} {
		if err := c.drop(ctx, file, name); err != nil {
			return c.undone(ctx, err, "wireless", "network")
		}
	}
	return c.commit(ctx, "wireless", "network")
}

// Forget is hal.WiFi's ForgetWiFi. A station that a person wrote into /etc/config/wireless is theirs to remove.
func (c *Client) Forget(ctx context.Context, device, ssid string) error {
	radioName, err := c.radioOf(ctx, device)
	if err != nil {
		return err
	}
	all, err := c.sections(ctx, "wireless", "wifi-iface")
	if err != nil {
		return err
	}
	name := ours("station", radioName)
	for other, s := range all {
		switch {
		case s["mode"] != "sta" || s["ssid"] != ssid:
		case other != name:
			return fmt.Errorf("forgetting %q: it stands in /etc/config/wireless as %s, which the router did not write: remove it there: %w", ssid, other, hal.ErrRefused)
		default:
			return c.forget(ctx, name)
		}
	}
	return fmt.Errorf("network %q: %w", ssid, hal.ErrNotFound)
}
