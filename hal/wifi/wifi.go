package wifi

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trenza-router/trenza/hal"
)

// Client asks wpa_supplicant.
type Client struct {
	dir      string
	joinTime time.Duration
}

const (
	// usualDir is where wpa_supplicant has its sockets on Debian and its kin (ctrl_interface).
	usualDir        = "/run/wpa_supplicant"
	defaultJoinTime = 45 * time.Second
	scanTime        = 20 * time.Second
)

// New makes a Client; "" is the usual folder of sockets.
func New(dir string) *Client { return &Client{cmp.Or(dir, usualDir), defaultJoinTime} }

// Devices tells of every device that wpa_supplicant controls, by its name. hal.ErrUnsupported when there is none.
func (c *Client) Devices(ctx context.Context) (map[string]hal.LinkDevice, error) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("looking for wpa_supplicant: %w: %w", hal.ErrUnsupported, err)
	}
	out := map[string]hal.LinkDevice{}
	for _, e := range entries {
		if e.Type()&os.ModeSocket == 0 || e.Name() == "global" || strings.HasPrefix(e.Name(), "p2p-dev-") {
			continue
		}
		d, err := c.device(ctx, e.Name())
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
			out[d.Name] = d
		}
		// Else: what a wpa_supplicant left behind that is gone.
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("wpa_supplicant has no device in %s: %w", c.dir, hal.ErrUnsupported)
	}
	return out, nil
}

func (c *Client) device(ctx context.Context, name string) (hal.LinkDevice, error) {
	s, err := c.dial(name)
	if err != nil {
		return hal.LinkDevice{}, err
	}
	defer s.close()
	text, err := s.ask(ctx, "STATUS")
	if err != nil {
		return hal.LinkDevice{}, err
	}
	d := hal.LinkDevice{Name: name, Kind: hal.LinkWiFi, Owner: hal.OwnerSupplicant, OurDHCP: true}
	status := values(text)
	switch status["wpa_state"] {
	case "COMPLETED":
		d.State, d.WiFi.SSID = hal.LinkConnected, plain(status["ssid"])
		if poll, err := s.ask(ctx, "SIGNAL_POLL"); err == nil { // not every driver tells
			if level, err := strconv.Atoi(values(poll)["RSSI"]); err == nil {
				d.WiFi.Signal = quality(level)
			}
		}
	case "AUTHENTICATING", "ASSOCIATING", "ASSOCIATED", "4WAY_HANDSHAKE", "GROUP_HANDSHAKE":
		d.State = hal.LinkConnecting
	default:
		d.State, d.Detail = hal.LinkOff, "no WiFi network is joined"
	}
	return d, nil
}

// Scan is hal.WiFi's ScanWiFi.
func (c *Client) Scan(ctx context.Context, device string) ([]hal.Network, error) {
	s, err := c.dial(device)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return c.scan(ctx, s, device)
}

func (c *Client) scan(ctx context.Context, s *control, device string) ([]hal.Network, error) {
	events, err := c.attach(ctx, device)
	if err != nil {
		return nil, err
	}
	defer events.close()
	// A scan that runs already has the same end.
	if _, err := s.ask(ctx, "SCAN"); err != nil && !errors.Is(err, hal.ErrBusy) {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, scanTime)
	defer cancel()
	for {
		event, err := events.event(waiting)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil || strings.HasPrefix(event, "CTRL-EVENT-SCAN-RESULTS") || strings.HasPrefix(event, "CTRL-EVENT-SCAN-FAILED") {
			break // what was heard before is told, too
		}
	}
	text, err := s.ask(ctx, "SCAN_RESULTS")
	if err != nil {
		return nil, err
	}
	out := parseScan(text)
	all, err := s.known(ctx)
	if err != nil {
		return nil, err
	}
	status, err := s.ask(ctx, "STATUS")
	if err != nil {
		return nil, err
	}
	now := values(status)
	for i := range out {
		out[i].Known = slices.ContainsFunc(all, func(k known) bool { return k.ssid == out[i].SSID })
		out[i].Joined = now["wpa_state"] == "COMPLETED" && plain(now["ssid"]) == out[i].SSID
	}
	return out, nil
}

// attach opens a connection that events come over.
func (c *Client) attach(ctx context.Context, device string) (*control, error) {
	events, err := c.dial(device)
	if err != nil {
		return nil, err
	}
	if _, err := events.ask(ctx, "ATTACH"); err != nil {
		events.close()
		return nil, err
	}
	return events, nil
}

func (s *control) known(ctx context.Context) ([]known, error) {
	text, err := s.ask(ctx, "LIST_NETWORKS")
	return parseKnown(text), err
}

// Join is hal.WiFi's JoinWiFi.
func (c *Client) Join(ctx context.Context, device string, r hal.JoinRequest) error {
	s, err := c.dial(device)
	if err != nil {
		return err
	}
	defer s.close()
	if !r.Hidden {
		heard, err := c.scan(ctx, s, device)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(heard, func(n hal.Network) bool { return n.SSID == r.SSID })
		if i < 0 {
			return fmt.Errorf("joining %q: %w", r.SSID, hal.ErrOutOfRange)
		}
		r.Security = cmp.Or(r.Security, heard[i].Security)
	}
	settings, err := settingsOf(r)
	if err != nil {
		return err
	}
	before, err := s.known(ctx)
	if err != nil {
		return err
	}
	events, err := c.attach(ctx, device)
	if err != nil {
		return err
	}
	defer events.close()
	answer, err := s.ask(ctx, "ADD_NETWORK")
	if err != nil {
		return err
	}
	id := strings.TrimSpace(answer)
	err = s.set(ctx, id, settings)
	if err == nil {
		_, err = s.ask(ctx, "SELECT_NETWORK", id)
	}
	if err == nil {
		err = c.awaitJoined(ctx, events, id, r)
	}
	// Also when the caller has no more time: nothing of a network that did not let us in stays, and those before it serve again.
	after := context.WithoutCancel(ctx)
	if err != nil {
		_, lost := s.ask(after, "REMOVE_NETWORK", id)
		return errors.Join(err, lost, s.enable(after, before))
	}
	for _, k := range before {
		if k.ssid == r.SSID {
			if _, err := s.ask(after, "REMOVE_NETWORK", k.id); err != nil {
				return err
			}
		}
	}
	if err := s.enable(after, slices.DeleteFunc(before, func(k known) bool { return k.ssid == r.SSID })); err != nil {
		return err
	}
	return s.save(after, fmt.Sprintf("%q is joined until wpa_supplicant is started anew", r.SSID))
}

// enable lets networks serve that SELECT_NETWORK disabled.
func (s *control) enable(ctx context.Context, all []known) error {
	var failed []error
	for _, k := range all {
		if !k.disabled {
			_, err := s.ask(ctx, "ENABLE_NETWORK", k.id)
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (s *control) save(ctx context.Context, otherwise string) error {
	if _, err := s.ask(ctx, "SAVE_CONFIG"); err != nil {
		return fmt.Errorf("%s: %w: let it remember by update_config=1 in its configuration", otherwise, err)
	}
	return nil
}

func (s *control) set(ctx context.Context, id string, settings [][2]string) error {
	for _, v := range settings {
		if _, err := s.ask(ctx, "SET_NETWORK", id, v[0], v[1]); err != nil {
			return fmt.Errorf("setting %s: %w", v[0], err)
		}
	}
	return nil
}

// settingsOf are the variables of a network. Texts that a person chose are written in hexadecimal where wpa_supplicant takes that.
func settingsOf(r hal.JoinRequest) ([][2]string, error) {
	quoted := func(s string) string { return `"` + s + `"` }
	out := [][2]string{{"ssid", hex.EncodeToString([]byte(r.SSID))}}
	if r.Hidden {
		out = append(out, [2]string{"scan_ssid", "1"})
	}
	if r.Security == "" {
		r.Security = hal.SecurityWPA2
		if r.Password == "" {
			r.Security = hal.SecurityOpen
		}
	}
	switch r.Security {
	case hal.SecurityOpen:
		return append(out, [2]string{"key_mgmt", "NONE"}), nil
	case hal.SecurityWPA2:
		if len(r.Password) < 8 || len(r.Password) > 63 {
			return nil, fmt.Errorf("joining %q: a password has 8 to 63 characters: %w", r.SSID, hal.ErrWrongPassword)
		}
		return append(out, [2]string{"key_mgmt", "WPA-PSK"}, [2]string{"psk", quoted(r.Password)}), nil
	case hal.SecurityWPA3:
		return append(out, [2]string{"key_mgmt", "SAE"}, [2]string{"ieee80211w", "2"}, [2]string{"sae_password", quoted(r.Password)}), nil
	case hal.SecurityEnterprise:
		return append(out, [2]string{"key_mgmt", "WPA-EAP"}, [2]string{"eap", "PEAP"}, [2]string{"phase2", quoted("auth=MSCHAPV2")},
			[2]string{"identity", hex.EncodeToString([]byte(r.User))}, [2]string{"password", quoted(r.Password)}), nil
	}
	return nil, fmt.Errorf("joining %q: security %q: %w", r.SSID, r.Security, hal.ErrRefused)
}

// awaitJoined waits until the network lets us in, or is known not to.
func (c *Client) awaitJoined(ctx context.Context, events *control, id string, r hal.JoinRequest) error {
	waiting, cancel := context.WithTimeout(ctx, c.joinTime)
	defer cancel()
	for {
		event, err := events.event(waiting)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case waiting.Err() != nil:
			return fmt.Errorf("joining %q: it does not let the router in within %v: %w", r.SSID, c.joinTime, hal.ErrRefused)
		case err != nil:
			return err
		}
		name, rest, _ := strings.Cut(event, " ")
		about := values(strings.ReplaceAll(rest, " ", "\n"))
		switch name {
		case "CTRL-EVENT-CONNECTED":
			if about["[id"] == id { // "... completed [id=0 id_str=]"
				return nil
			}
		case "CTRL-EVENT-SSID-TEMP-DISABLED":
			if about["id"] == id && (about["reason"] == "WRONG_KEY" || r.Security == hal.SecurityEnterprise || r.Security == hal.SecurityWPA3) {
				return fmt.Errorf("joining %q: %w", r.SSID, hal.ErrWrongPassword)
			}
		case "CTRL-EVENT-EAP-FAILURE":
			return fmt.Errorf("joining %q: %w", r.SSID, hal.ErrWrongPassword)
		case "CTRL-EVENT-NETWORK-NOT-FOUND":
			if r.Hidden { // of one that was heard a moment ago it is no news
				return fmt.Errorf("joining %q: %w", r.SSID, hal.ErrOutOfRange)
			}
		}
	}
}

// Forget is hal.WiFi's ForgetWiFi.
func (c *Client) Forget(ctx context.Context, device, ssid string) error {
	s, err := c.dial(device)
	if err != nil {
		return err
	}
	defer s.close()
	all, err := s.known(ctx)
	if err != nil {
		return err
	}
	found := false
	for _, k := range all {
		if k.ssid != ssid {
			continue
		}
		found = true
		if _, err := s.ask(ctx, "REMOVE_NETWORK", k.id); err != nil {
			return fmt.Errorf("forgetting %q: %w", ssid, err)
		}
	}
	if !found {
		return fmt.Errorf("network %q: %w", ssid, hal.ErrNotFound)
	}
	return s.save(ctx, fmt.Sprintf("%q is forgotten until wpa_supplicant is started anew", ssid))
}
