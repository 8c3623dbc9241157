package networkmanager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/bus"
	"github.com/trenza-router/trenza/router/flow"
)

// Flags of NM80211ApFlags and NM80211ApSecurityFlags.
const (
	pointPrivacy    = 0x1
	keyPSK          = 0x100
	keyEnterprise   = 0x200
	keySAE          = 0x400
	scanTime        = 20 * time.Second
	joinTime        = 90 * time.Second
	betweenLooks    = 300 * time.Millisecond
	typeWiFiProfile = "802-11-wireless"
)

// security tells how an access point is locked; false for what nobody should use any more (WEP) or we cannot (OWE has no password
// and is told as open by its twin).
func security(p bus.Properties) (hal.Security, bool) {
	keys := bus.Get[uint32](p, "RsnFlags") | bus.Get[uint32](p, "WpaFlags")
	switch {
	case keys&keyEnterprise != 0:
		return hal.SecurityEnterprise, true
	case keys&keyPSK != 0:
		return hal.SecurityWPA2, true
	case keys&keySAE != 0:
		return hal.SecurityWPA3, true
	}
	return hal.SecurityOpen, keys == 0 && bus.Get[uint32](p, "Flags")&pointPrivacy == 0
}

// station returns a WiFi device.
func station(all bus.Objects, name string) (bus.Path, map[string]bus.Properties, error) {
	path, o, err := device(all, name)
	if err != nil {
		return "", nil, err
	}
	if _, ok := o[wirelessOf]; !ok {
		return "", nil, fmt.Errorf("%s is no WiFi device: %w", name, hal.ErrNotFound)
	}
	return path, o, nil
}

// Scan is hal.WiFi's ScanWiFi.
func (c *Client) Scan(ctx context.Context, name string) ([]hal.Network, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTime)
	defer cancel()
	all, err := c.bus.Objects(ctx, service, root)
	if err != nil {
		return nil, fmt.Errorf("asking NetworkManager: %w", err)
	}
	path, o, err := station(all, name)
	if err != nil {
		return nil, err
	}
	before := bus.Get[int64](o[wirelessOf], "LastScan")
	// It refuses while a scan runs already, whose end is as good.
	err = c.bus.Call(ctx, service, path, wirelessOf+".RequestScan", []any{bus.Options{}})
	if err != nil && !errors.Is(err, hal.ErrRefused) {
		return nil, fmt.Errorf("scanning with %s: %w", name, err)
	}
	for {
		select {
		case <-ctx.Done():
		case <-time.After(betweenLooks):
			var o bus.Options
			if c.bus.Call(ctx, service, path, "org.freedesktop.DBus.Properties.GetAll", []any{wirelessOf}, &o) == nil && bus.Get[int64](bus.Properties(o), "LastScan") == before {
				continue
			}
		}
		break
	}
	look, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second) // what is known by the end of the time is told
	defer stop()
	if all, err = c.bus.Objects(look, service, root); err != nil {
		return nil, fmt.Errorf("asking NetworkManager: %w", err)
	}
	known, err := c.known(look, all)
	if err != nil {
		return nil, err
	}
	return heard(all, path, known), nil
}

// heard are the networks of a device, the best access point of each.
func heard(all bus.Objects, path bus.Path, known map[string][]bus.Path) []hal.Network {
	wireless := all[path][wirelessOf]
	joined := string(bus.Get[[]byte](all[bus.Get[bus.Path](wireless, "ActiveAccessPoint")][pointOf], "Ssid"))
	var out []hal.Network
	for _, at := range bus.Get[[]bus.Path](wireless, "AccessPoints") {
		p := all[at][pointOf]
		lock, usable := security(p)
		if !usable {
			continue
		}
		n := hal.Network{SSID: string(bus.Get[[]byte](p, "Ssid")), Security: lock, Signal: int(bus.Get[byte](p, "Strength")), Frequency: int(bus.Get[uint32](p, "Frequency"))}
		if hw, err := net.ParseMAC(bus.Get[string](p, "HwAddress")); err == nil && len(hw) == 6 {
			n.BSSID = flow.MAC(hw)
		}
		n.Known, n.Joined = len(known[n.SSID]) > 0, n.SSID != "" && n.SSID == joined
		same := slices.IndexFunc(out, func(o hal.Network) bool { return o.SSID == n.SSID && o.Security == n.Security && n.SSID != "" })
		switch {
		case same < 0:
			out = append(out, n)
		case out[same].Signal < n.Signal:
			out[same] = n
		}
	}
	slices.SortFunc(out, func(a, b hal.Network) int {
		return cmp.Or(cmp.Compare(b.Signal, a.Signal), cmp.Compare(a.SSID, b.SSID), cmp.Compare(a.BSSID.String(), b.BSSID.String()))
	})
	return out
}

// known are the stored WiFi connections by the network's name.
func (c *Client) known(ctx context.Context, all bus.Objects) (map[string][]bus.Path, error) {
	out := map[string][]bus.Path{}
	for path, o := range all {
		if _, ok := o[storedOf]; !ok {
			continue
		}
		s, err := c.stored(ctx, path)
		if errors.Is(err, hal.ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		if ssid, ok := s[typeWiFiProfile]["ssid"].Value().([]byte); ok {
			out[string(ssid)] = append(out[string(ssid)], path)
		}
	}
	return out, nil
}

// Join is hal.WiFi's JoinWiFi. The connection is kept only once the network has let the station in and given it an address; what was
// known of the network before stays until then.
func (c *Client) Join(ctx context.Context, name string, r hal.JoinRequest) error {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	all, err := c.bus.Objects(ctx, service, root)
	if err != nil {
		return fmt.Errorf("asking NetworkManager: %w", err)
	}
	path, _, err := station(all, name)
	if err != nil {
		return err
	}
	before, err := c.known(ctx, all)
	if err != nil {
		return err
	}
	if !r.Hidden {
		networks := heard(all, path, nil)
		of := func(n hal.Network) bool { return n.SSID == r.SSID && (r.Security == "" || r.Security == n.Security) }
		if !slices.ContainsFunc(networks, of) {
			if networks, err = c.Scan(ctx, name); err != nil {
				return err
			}
		}
		i := slices.IndexFunc(networks, of)
		if i < 0 {
			return fmt.Errorf("joining %q: %w", r.SSID, hal.ErrOutOfRange)
		}
		r.Security = networks[i].Security
	}
	if r.Security != hal.SecurityOpen && r.Password == "" {
		return fmt.Errorf("joining %q: %w: it asks for a password", r.SSID, hal.ErrWrongPassword)
	}
	states, err := c.bus.Follow(ctx, service, path, deviceOf, "StateChanged")
	if err != nil {
		return err
	}
	var connection, active bus.Path
	var result bus.Options
	err = c.bus.Call(ctx, service, manager, service+".AddAndActivateConnection2",
		[]any{wifiProfile(name, r), path, nowhere, bus.Options{"persist": bus.V("volatile")}}, &connection, &active, &result)
	if err != nil {
		return fmt.Errorf("joining %q: %w", r.SSID, err)
	}
	if err := c.joined(ctx, r, states); err != nil {
		c.remove(ctx, connection)
		return fmt.Errorf("joining %q: %w", r.SSID, err)
	}
	if err := c.bus.Call(ctx, service, connection, storedOf+".Update2", []any{bus.Settings{}, toDisk, bus.Options{}}, &result); err != nil {
		return fmt.Errorf("remembering %q: %w", r.SSID, err)
	}
	for _, old := range before[r.SSID] {
		c.remove(ctx, old)
	}
	return nil
}

// remove deletes a connection; one that is gone already is as wanted.
func (c *Client) remove(ctx context.Context, connection bus.Path) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = c.bus.Call(ctx, service, connection, storedOf+".Delete", nil)
}

// joined waits until the device is activated or has given up.
func (c *Client) joined(ctx context.Context, r hal.JoinRequest, states <-chan []any) error {
	begun := false
	for body := range states {
		if len(body) != 3 {
			continue
		}
		state, _ := body[0].(uint32)
		reason, _ := body[2].(uint32)
		switch {
		case state >= statePrepare && state < stateNeedAuth:
			begun = true
		case !begun:
			// The end of what the device did before.
		case state == stateActivated:
			return nil
		case r.Security != hal.SecurityOpen && (state == stateNeedAuth && reason >= reasonSupplicant && reason <= 11 || state == stateFailed && reason == reasonNoSecrets):
			return hal.ErrWrongPassword
		case state == stateFailed && reason == reasonSSIDNotFound:
			return hal.ErrOutOfRange
		case state == stateFailed, state <= stateDown && state > stateActivated, state < statePrepare:
			return fmt.Errorf("%w: %s", hal.ErrRefused, cmp.Or(reasonText(reason), fmt.Sprintf("NetworkManager gave up for reason %d", reason)))
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("the network does not answer: %w", ctx.Err())
	}
	return fmt.Errorf("%w: NetworkManager went away", hal.ErrRefused)
}

// wifiProfile is the connection of a network.
func wifiProfile(name string, r hal.JoinRequest) bus.Settings {
	s := base(typeWiFiProfile, prefix+r.SSID, uuid.NewString(), name, hal.LinkSetup{Metered: r.Metered})
	s[typeWiFiProfile] = bus.Options{"ssid": bus.V([]byte(r.SSID)), "mode": bus.V("infrastructure"), "hidden": bus.V(r.Hidden)}
	const lock = "802-11-wireless-security"
	switch r.Security {
	case hal.SecurityWPA2:
		s[lock] = bus.Options{"key-mgmt": bus.V("wpa-psk"), "psk": bus.V(r.Password)}
	case hal.SecurityWPA3:
		s[lock] = bus.Options{"key-mgmt": bus.V("sae"), "psk": bus.V(r.Password), "pmf": bus.V(int32(3))}
	case hal.SecurityEnterprise:
		s[lock] = bus.Options{"key-mgmt": bus.V("wpa-eap")}
		s["802-1x"] = bus.Options{"eap": bus.V([]string{"peap"}), "identity": bus.V(r.User), "password": bus.V(r.Password), "phase2-auth": bus.V("mschapv2")}
	case hal.SecurityOpen:
	}
	return s
}

// Forget is hal.WiFi's ForgetWiFi.
func (c *Client) Forget(ctx context.Context, name, ssid string) error {
	all, err := c.bus.Objects(ctx, service, root)
	if err != nil {
		return fmt.Errorf("asking NetworkManager: %w", err)
	}
	if _, _, err := station(all, name); err != nil {
		return err
	}
	known, err := c.known(ctx, all)
	if err != nil {
		return err
	}
	if len(known[ssid]) == 0 {
		return fmt.Errorf("network %q: %w", ssid, hal.ErrNotFound)
	}
	for _, connection := range known[ssid] {
		if err := c.bus.Call(ctx, service, connection, storedOf+".Delete", nil); err != nil {
			return fmt.Errorf("forgetting %q: %w", ssid, err)
		}
	}
	return nil
}
