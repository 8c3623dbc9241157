package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/trenza-router/trenza/hal"
)

// HardwareView is a device that is or could be a link; Link is "" when none stands on it.
type HardwareView struct {
	hal.LinkDevice
	Link string
}

// Hardware lists what is plugged in.
func (e *Engine) Hardware(ctx context.Context) ([]HardwareView, error) {
	if e.hardware == nil {
		return nil, nil
	}
	all, err := e.linkDevices(ctx)
	if err != nil {
		return nil, err
	}
	var out []HardwareView
	for _, d := range all {
		out = append(out, e.hardwareView(d))
	}
	return out, nil
}

func (e *Engine) hardwareView(d hal.LinkDevice) HardwareView {
	v := HardwareView{LinkDevice: d}
	for _, w := range e.wans {
		w.mu.Lock()
		if !w.config.ByHardware() && d.Name != "" && w.config.Device == d.Name || w.config.ByHardware() && d.ID != "" && w.slot.device.ID == d.ID {
			v.Link = w.config.Name
			if text := w.slot.text(w.config); text != "" {
				v.Detail = text
			}
		}
		w.mu.Unlock()
	}
	return v
}

// findHardware returns the device of a kind that a person means by an ID, an interface or a link; "" is the only one.
func (e *Engine) findHardware(ctx context.Context, kind hal.LinkKind, which string) (HardwareView, error) {
	all, err := e.Hardware(ctx)
	if err != nil {
		return HardwareView{}, err
	}
	var found []HardwareView
	var names []string
	for _, d := range all {
		if d.Kind != kind {
			continue
		}
		names = append(names, d.ID)
		if which == "" || which == d.ID || which == d.Name || which == d.Link {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(names) == 0:
		return HardwareView{}, fmt.Errorf("no %s is plugged in: %w", kind, hal.ErrNotFound)
	case len(found) == 0:
		return HardwareView{}, fmt.Errorf("%q: %w; there are %s", which, hal.ErrNotFound, strings.Join(names, ", "))
	}
	return HardwareView{}, fmt.Errorf("%w: there are several: say which of %s", ErrBadQuestion, strings.Join(names, ", "))
}

// onHardware does something with a device and returns what it is afterwards.
func (e *Engine) onHardware(ctx context.Context, kind hal.LinkKind, which string, do func(HardwareView) error) (HardwareView, error) {
	d, err := e.findHardware(ctx, kind, which)
	if err != nil {
		return HardwareView{}, err
	}
	if err := do(d); err != nil {
		return HardwareView{}, err
	}
	now, err := e.findHardware(ctx, kind, d.ID)
	if errors.Is(err, hal.ErrNotFound) {
		return d, nil // it is being started anew
	}
	return now, err
}

// ScanWiFi tells what a device hears; which is as in findHardware.
func (e *Engine) ScanWiFi(ctx context.Context, which string) ([]hal.Network, error) {
	d, err := e.findHardware(ctx, hal.LinkWiFi, which)
	if err != nil {
		return nil, err
	}
	return e.hardware.ScanWiFi(ctx, d.Name)
}

// JoinWiFi joins a network and remembers it.
func (e *Engine) JoinWiFi(ctx context.Context, which string, r hal.JoinRequest) (HardwareView, error) {
	if err := checkJoin(r); err != nil {
		return HardwareView{}, err
	}
	return e.onHardware(ctx, hal.LinkWiFi, which, func(d HardwareView) error {
		err := e.hardware.JoinWiFi(ctx, d.Name, r)
		if w := e.wanByName(d.Link); w != nil {
			switch {
			case errors.Is(err, hal.ErrWrongPassword):
				e.setTrouble(w, fmt.Sprintf("wrong password for WiFi network %q", r.SSID))
			case err == nil:
				e.setTrouble(w, "")
			}
		}
		return err
	})
}

// checkJoin refuses what no network could be joined with.
func checkJoin(r hal.JoinRequest) error {
	bad := func(text string) error { return fmt.Errorf("%w: %s", ErrBadQuestion, text) }
	switch n := len(r.Password); {
	case r.SSID == "" || len(r.SSID) > 32: // IEEE 802.11, 9.4.2.2
		return bad("a network's name has 1 to 32 bytes")
	case r.Hidden && r.Security == "":
		return bad("a hidden network does not tell how it is locked: say open, wpa2, wpa3 or enterprise")
	case r.Security == hal.SecurityEnterprise && (r.User == "" || n == 0):
		return bad("an enterprise network needs a user and a password")
	case r.Security == hal.SecurityWPA2 && (n < 8 || n > 64): // 64: the key itself, in hexadecimal digits
		return bad("the password of a WPA2 network has 8 to 63 characters")
	case r.Security == hal.SecurityOpen && n > 0:
		return bad("an open network has no password")
	}
	return nil
}

// ForgetWiFi leaves a network and forgets its password.
func (e *Engine) ForgetWiFi(ctx context.Context, which, ssid string) (HardwareView, error) {
	return e.onHardware(ctx, hal.LinkWiFi, which, func(d HardwareView) error { return e.hardware.ForgetWiFi(ctx, d.Name, ssid) })
}

// UnlockModem gives a modem's card its PIN, once.
func (e *Engine) UnlockModem(ctx context.Context, which, pin string, lastTry bool) (HardwareView, error) {
	return e.onHardware(ctx, hal.LinkModem, which, func(d HardwareView) error {
		err := e.hardware.UnlockModem(ctx, d.ID, pin, lastTry)
		if w := e.wanByName(d.Link); w != nil && errors.Is(err, hal.ErrWrongPIN) {
			e.setTrouble(w, "wrong PIN")
		}
		return err
	})
}

// ConnectModem connects a modem.
func (e *Engine) ConnectModem(ctx context.Context, which string, b hal.Bearer) (HardwareView, error) {
	return e.onHardware(ctx, hal.LinkModem, which, func(d HardwareView) error { return e.hardware.ConnectModem(ctx, d.ID, b) })
}

// ResetModem starts a modem anew.
func (e *Engine) ResetModem(ctx context.Context, which string) (HardwareView, error) {
	return e.onHardware(ctx, hal.LinkModem, which, func(d HardwareView) error { return e.hardware.ResetModem(ctx, d.ID) })
}

// Messages lists a modem's short messages.
func (e *Engine) Messages(ctx context.Context, which string) ([]hal.Message, error) {
	return e.onMessages(ctx, which, func(HardwareView) error { return nil })
}

// SendMessage sends a short message and lists what there is then.
func (e *Engine) SendMessage(ctx context.Context, which, number, text string) ([]hal.Message, error) {
	return e.onMessages(ctx, which, func(d HardwareView) error { return e.hardware.SendMessage(ctx, d.ID, number, text) })
}

// DeleteMessage deletes a short message and lists what is left.
func (e *Engine) DeleteMessage(ctx context.Context, which, id string) ([]hal.Message, error) {
	return e.onMessages(ctx, which, func(d HardwareView) error { return e.hardware.DeleteMessage(ctx, d.ID, id) })
}

func (e *Engine) onMessages(ctx context.Context, which string, do func(HardwareView) error) ([]hal.Message, error) {
	d, err := e.findHardware(ctx, hal.LinkModem, which)
	if err != nil {
		return nil, err
	}
	if err := do(d); err != nil {
		return nil, err
	}
	return e.hardware.Messages(ctx, d.ID)
}

func (e *Engine) wanByName(name string) *wan {
	for _, w := range e.wans {
		if w.config.Name == name {
			return w
		}
	}
	return nil
}
