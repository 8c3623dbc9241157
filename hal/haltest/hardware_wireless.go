package haltest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/trenza-router/trenza/hal"
)

// station returns a WiFi device by its interface; h.mu is held.
func (h *Hardware) station(ctx context.Context, device string) (*hal.LinkDevice, error) {
	d, err := h.find(ctx, func(d *hal.LinkDevice) bool { return d.Name == device && device != "" }, device)
	if err == nil && d.Kind != hal.LinkWiFi {
		return nil, fmt.Errorf("%s is no WiFi device: %w", device, hal.ErrUnsupported)
	}
	return d, err
}

// ScanWiFi implements hal.WiFi.
func (h *Hardware) ScanWiFi(ctx context.Context, device string) ([]hal.Network, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, err := h.station(ctx, device)
	if err != nil {
		return nil, err
	}
	var out []hal.Network
	for _, a := range h.air {
		n := a.Network
		n.Known, n.Joined = h.known[n.SSID], n.SSID != "" && n.SSID == d.WiFi.SSID
		out = append(out, n)
	}
	slices.SortStableFunc(out, func(a, b hal.Network) int { return cmp.Compare(b.Signal, a.Signal) })
	return out, nil
}

// JoinWiFi implements hal.WiFi.
func (h *Hardware) JoinWiFi(ctx context.Context, device string, r hal.JoinRequest) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, err := h.station(ctx, device)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(h.air, func(a Air) bool { return a.SSID == r.SSID })
	switch {
	case i < 0:
		return fmt.Errorf("joining %q: %w", r.SSID, hal.ErrOutOfRange)
	case h.air[i].Security != hal.SecurityOpen && h.air[i].Password != r.Password:
		return fmt.Errorf("joining %q: %w", r.SSID, hal.ErrWrongPassword)
	}
	if h.known == nil {
		h.known = map[string]bool{}
	}
	h.known[r.SSID] = true
	d.State, d.Detail, d.WiFi, d.Metered = hal.LinkConnected, "", hal.WiFiLink{SSID: r.SSID, Signal: h.air[i].Signal}, r.Metered
	h.announce()
	return nil
}

// ForgetWiFi implements hal.WiFi.
func (h *Hardware) ForgetWiFi(ctx context.Context, device, ssid string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, err := h.station(ctx, device)
	if err != nil {
		return err
	}
	if !h.known[ssid] {
		return fmt.Errorf("network %q: %w", ssid, hal.ErrNotFound)
	}
	delete(h.known, ssid)
	if d.WiFi.SSID == ssid {
		d.State, d.WiFi = hal.LinkOff, hal.WiFiLink{}
		h.announce()
	}
	return nil
}

// modem returns a modem by its ID; h.mu is held.
func (h *Hardware) modem(ctx context.Context, id string) (*hal.LinkDevice, *Card, error) {
	d, err := h.find(ctx, func(d *hal.LinkDevice) bool { return d.ID == id }, id)
	if err != nil {
		return nil, nil, err
	}
	card := h.cards[id]
	if d.Kind != hal.LinkModem || card == nil {
		return nil, nil, fmt.Errorf("%s is no modem: %w", id, hal.ErrUnsupported)
	}
	return d, card, nil
}

// UnlockModem implements hal.Modems.
func (h *Hardware) UnlockModem(ctx context.Context, id, pin string, lastTry bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, card, err := h.modem(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case d.Modem.Lock == "":
		return nil
	case d.Modem.Lock != "sim-pin":
		return fmt.Errorf("the card asks for %s: %w", d.Modem.Lock, hal.ErrUnsupported)
	case card.Tries <= 1 && !lastTry:
		return hal.ErrLastTry
	case pin != card.PIN:
		card.Tries--
		d.Modem.Tries, d.Detail = card.Tries, "wrong PIN"
		if card.Tries == 0 {
			d.Modem.Lock = "sim-puk"
		}
		h.announce()
		return fmt.Errorf("%w, %d attempts left", hal.ErrWrongPIN, card.Tries)
	}
	card.Tries = 3
	d.State, d.Detail, d.Modem.Lock, d.Modem.Tries = hal.LinkOff, "", "", 3
	h.announce()
	return nil
}

// ConnectModem implements hal.Modems.
func (h *Hardware) ConnectModem(ctx context.Context, id string, b hal.Bearer) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, card, err := h.modem(ctx, id)
	switch {
	case err != nil:
		return err
	case d.Modem.Lock != "":
		return fmt.Errorf("the card is locked (%s): %w", d.Modem.Lock, hal.ErrRefused)
	case d.Modem.Roaming && !b.Roaming:
		return fmt.Errorf("the modem is in another operator's network: %w", hal.ErrRefused)
	case card.APN != "" && b.APN != card.APN:
		d.State, d.Detail = hal.LinkFailed, "the operator does not take the access point name"
		h.announce()
		return fmt.Errorf("access point %q: %w", b.APN, hal.ErrRefused)
	}
	if d.State == hal.LinkConnected {
		return nil
	}
	d.State, d.Detail, d.Name, d.Modem.Method = hal.LinkConnected, "", "wwan0", hal.BearerDHCP
	h.announce()
	return nil
}

// DisconnectModem implements hal.Modems.
func (h *Hardware) DisconnectModem(ctx context.Context, id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, _, err := h.modem(ctx, id)
	if err != nil {
		return err
	}
	d.State, d.Name, d.Modem.Method = hal.LinkOff, "", hal.BearerNone
	h.announce()
	return nil
}

// ResetModem implements hal.Modems: the card is locked again.
func (h *Hardware) ResetModem(ctx context.Context, id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, card, err := h.modem(ctx, id)
	if err != nil {
		return err
	}
	d.State, d.Name, d.Modem.Method = hal.LinkOff, "", hal.BearerNone
	if card.PIN != "" {
		d.State, d.Modem.Lock, d.Modem.Tries = hal.LinkLocked, "sim-pin", card.Tries
	}
	h.announce()
	return nil
}

// Messages implements hal.Modems.
func (h *Hardware) Messages(ctx context.Context, id string) ([]hal.Message, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, _, err := h.modem(ctx, id); err != nil {
		return nil, err
	}
	return slices.Clone(h.messages[id]), nil
}

// SendMessage implements hal.Modems; the modem keeps what it sent.
func (h *Hardware) SendMessage(ctx context.Context, id, number, text string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, _, err := h.modem(ctx, id); err != nil {
		return err
	}
	if h.messages == nil {
		h.messages = map[string][]hal.Message{}
	}
	h.number++
	h.messages[id] = append(h.messages[id], hal.Message{ID: strconv.Itoa(h.number), Number: number, Text: text, Sent: true})
	return nil
}

// DeleteMessage implements hal.Modems.
func (h *Hardware) DeleteMessage(ctx context.Context, id, message string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, _, err := h.modem(ctx, id); err != nil {
		return err
	}
	i := slices.IndexFunc(h.messages[id], func(m hal.Message) bool { return m.ID == message })
	if i < 0 {
		return fmt.Errorf("message %s: %w", message, hal.ErrNotFound)
	}
	h.messages[id] = slices.Delete(h.messages[id], i, i+1)
	return nil
}
