package hardware

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/trenza-router/trenza/hal"
)

// present tells whether the USB device of a modem is still plugged in; of others it is assumed.
func present(sysfs string, d hal.LinkDevice) bool {
	port, usb := strings.CutPrefix(d.ID, "usb-")
	if !usb {
		return true
	}
	_, err := os.Stat(filepath.Join(sysfs, "bus/usb/devices", port))
	return err == nil
}

// UnlockModem implements hal.Modems.
func (h *Hardware) UnlockModem(ctx context.Context, id, pin string, lastTry bool) error {
	return h.needs(h.modems.Unlock(ctx, id, pin, lastTry), "modemmanager", "modems")
}

// ConnectModem implements hal.Modems: the modem is connected, and its interface has what the bearer says.
func (h *Hardware) ConnectModem(ctx context.Context, id string, b hal.Bearer) error {
	if err := h.modems.Connect(ctx, id, b); err != nil {
		return h.needs(err, "modemmanager", "modems")
	}
	all, _, err := h.modems.Modems(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.ID != id {
			continue
		}
		switch d.Modem.Method {
		case hal.BearerStatic:
			return h.options.Kernel.SetBearerAddress(ctx, d.Name, d.Addrs[0])
		case hal.BearerPPP:
			if _, err := os.Stat(filepath.Join(h.options.Sysfs, "class/net", d.Name)); err == nil {
				return nil // of an earlier run, or on its way
			}
			if err := h.sessions.Start(d.Modem.Data, b.User, b.Password); err != nil {
				return h.needs(err, "ppp", "modems that dial")
			}
		case hal.BearerDHCP, hal.BearerNone:
		}
		return nil
	}
	return fmt.Errorf("modem at %s: %w", id, hal.ErrNotFound)
}

// DisconnectModem implements hal.Modems.
func (h *Hardware) DisconnectModem(ctx context.Context, id string) error {
	if all, _, err := h.modems.Modems(ctx); err == nil {
		for _, d := range all {
			if d.ID == id && d.Modem.Data != "" {
				h.sessions.Stop(ctx, d.Modem.Data)
			}
		}
	}
	return h.needs(h.modems.Disconnect(ctx, id), "modemmanager", "modems")
}

// ResetModem implements hal.Modems.
func (h *Hardware) ResetModem(ctx context.Context, id string) error {
	return h.needs(h.modems.Reset(ctx, id), "modemmanager", "modems")
}

// Messages implements hal.Modems.
func (h *Hardware) Messages(ctx context.Context, id string) ([]hal.Message, error) {
	all, err := h.modems.Messages(ctx, id)
	return all, h.needs(err, "modemmanager", "modems")
}

// SendMessage implements hal.Modems.
func (h *Hardware) SendMessage(ctx context.Context, id, number, text string) error {
	return h.needs(h.modems.SendMessage(ctx, id, number, text), "modemmanager", "modems")
}

// DeleteMessage implements hal.Modems.
func (h *Hardware) DeleteMessage(ctx context.Context, id, message string) error {
	return h.needs(h.modems.DeleteMessage(ctx, id, message), "modemmanager", "modems")
}
