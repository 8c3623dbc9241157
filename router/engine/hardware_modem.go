package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trenza-router/trenza/hal"
)

// modemCare is what the task of a modem's link remembers of its attempts.
type modemCare struct {
	device   string
	tried    bool // the configured PIN was given to this card, and was not the right one
	failures int  // attempts to connect in a row
	reset    time.Time
}

// A modem that did not connect in this many attempts is started anew, at most once in a while: one that hangs often comes back, and one
// without reception must not be reset all day.
const (
	failuresToReset = 4
	betweenResets   = 30 * time.Minute
)

// careForModem unlocks and connects a modem. A wrong PIN is given once, and then a person is asked.
func (e *Engine) careForModem(ctx context.Context, w *wan, d hal.LinkDevice, care *modemCare) error {
	if care.device != d.ID {
		*care = modemCare{device: d.ID}
	}
	h := w.config.Hardware
	switch d.Modem.Lock {
	case "":
		care.tried = false
	case "sim-pin":
		if h.PIN == "" || care.tried || d.Modem.Tries >= 0 && d.Modem.Tries < 2 {
			e.tellTrouble(w)
			return nil // a person's turn
		}
		care.tried = true
		err := e.hardware.UnlockModem(ctx, d.ID, string(h.PIN), false)
		switch {
		case errors.Is(err, hal.ErrWrongPIN):
			e.log.Warn("the configured PIN is wrong; it is not tried again", "link", w.config.Name)
			e.setTrouble(w, "wrong PIN")
			return nil
		case err != nil:
			care.tried = false // it did not come to a try
			return fmt.Errorf("unlocking the SIM card: %w", err)
		}
		return nil // its new state comes as a change
	default:
		e.tellTrouble(w)
		return nil
	}
	if d.State == hal.LinkConnecting {
		return nil // its next state comes as a change
	}
	// Also one that is connected: its interface may lack its address still, as after a new start of the router.
	err := e.hardware.ConnectModem(ctx, d.ID, hal.Bearer{APN: h.APN, User: h.User, Password: string(h.Password), Roaming: h.Roaming})
	if err == nil {
		care.failures = 0
		return nil
	}
	if care.failures++; care.failures >= failuresToReset && e.now().Sub(care.reset) > betweenResets && !errors.Is(err, hal.ErrRefused) {
		care.failures, care.reset = 0, e.now()
		e.log.Warn("the modem does not connect and is started anew", "link", w.config.Name, "error", err)
		if again := e.hardware.ResetModem(ctx, d.ID); again != nil {
			e.log.Warn("the modem could not be started anew", "link", w.config.Name, "error", again)
		}
	}
	return fmt.Errorf("connecting the modem: %w", err)
}
