package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/observe"
)

// A modem that has connected tells so over its network device too, within a second. One whose device has had no carrier for
// firstDeafness is connected anew, and left alone for twice as long each time that it did not help.
const (
	carrierLook   = 2 * time.Second
	firstDeafness = 10 * time.Second
	lastDeafness  = 10 * time.Minute
)

// deafness notices a modem that is connected by its own account while its network device has no carrier. The zero value is ready.
type deafness struct {
	device   string
	since    time.Time     // zero: it hears, or is not connected
	patience time.Duration // until it is connected anew
}

// look takes in how things stand and tells whether the modem is to be connected anew.
func (d *deafness) look(now time.Time, device string, connected, carrier bool) (anew bool) {
	if d.device != device || carrier || d.patience == 0 {
		d.patience = firstDeafness
	}
	if d.device != device || carrier || !connected {
		d.since = time.Time{}
	}
	d.device = device
	switch {
	case !connected || carrier:
		return false
	case d.since.IsZero():
		d.since = now
		return false
	case now.Sub(d.since) < d.patience:
		return false
	}
	d.since, d.patience = time.Time{}, min(2*d.patience, lastDeafness)
	return true
}

// watchCarrier is the task that disconnects a modem whose network device does not hear that it is connected; the slot's task connects it
// again. Linux's usbnet loses the news of a connection that follows the news of a disconnection at once, as when a stick has said both
// before its device was switched on: of a cdc_ether stick about one connection in seven. The stick does not say it twice, and
// switching the device off and on does not ask for it.
func (e *Engine) watchCarrier(ctx context.Context, w *wan) error {
	if e.hardware == nil {
		return nil
	}
	var deaf deafness
	look := time.NewTicker(carrierLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		w.mu.Lock()
		d, i := w.slot.device, w.iface
		w.mu.Unlock()
		connected := d.State == hal.LinkConnected && d.Modem.Method != hal.BearerPPP && i.Index != 0 && i.Up
		if !deaf.look(e.now(), d.ID, connected, i.Carrier) {
			continue
		}
		e.log.Warn("the modem is connected, but its network device has no carrier; it is connected anew", "link", w.config.Name, "device", i.Name)
		e.event(observe.Info, "hardware", w.config.Name, fmt.Sprintf("The modem of link %s is connected anew: its network device did not notice that it was connected.", w.config.Name))
		if err := e.hardware.DisconnectModem(ctx, d.ID); err != nil && ctx.Err() == nil {
			e.log.Warn("the modem could not be disconnected", "link", w.config.Name, "error", err)
		}
	}
}
