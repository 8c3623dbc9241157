package modem

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/bus"
)

// Times that modems may take: for their card, and for switching on, finding a network and connecting.
const (
	cardTime    = 40 * time.Second
	connectTime = 3 * time.Minute
	signalRate  = uint32(10) // seconds between two measurements
)

// find returns a modem's object by the ID of its LinkDevice.
func (c *Client) find(ctx context.Context, id string) (bus.Path, map[string]bus.Properties, error) {
	all, err := c.bus.Objects(ctx, service, root)
	if err != nil {
		return "", nil, fmt.Errorf("asking ModemManager: %w", err)
	}
	for path, o := range all {
		if p, ok := o[modemOf]; ok && c.place(bus.Get[string](p, "Device")) == id {
			return path, o, nil
		}
	}
	return "", nil, fmt.Errorf("modem at %s: %w", id, hal.ErrNotFound)
}

// Unlock is hal.Modems' UnlockModem.
func (c *Client) Unlock(ctx context.Context, id, pin string, lastTry bool) error {
	ctx, cancel := context.WithTimeout(ctx, cardTime)
	defer cancel()
	_, o, err := c.find(ctx, id)
	if err != nil {
		return err
	}
	d := c.read(o)
	switch {
	case d.State == hal.LinkFailed:
		return fmt.Errorf("%w: %s", hal.ErrRefused, d.Detail)
	case d.Modem.Lock == "":
		return nil
	case d.Modem.Lock != "sim-pin":
		return fmt.Errorf("the card asks for its %s, which the router does not give: %w", strings.ToUpper(strings.TrimPrefix(d.Modem.Lock, "sim-")), hal.ErrUnsupported)
	case d.Modem.Tries >= 0 && d.Modem.Tries < 2 && !lastTry:
		return hal.ErrLastTry
	}
	sim := bus.Get[bus.Path](o[modemOf], "Sim")
	err = c.bus.Call(ctx, service, sim, simOf+".SendPin", []any{pin})
	var refused *bus.Error
	if errors.As(err, &refused) && wrongPIN(refused.Name) {
		if now := c.triesLeft(ctx, id, d.Modem.Tries); now >= 0 {
			return fmt.Errorf("%w, %d attempts left", hal.ErrWrongPIN, now)
		}
		return hal.ErrWrongPIN
	}
	if err != nil {
		return fmt.Errorf("giving the card its PIN: %w", err)
	}
	return nil
}

// wrongPIN tells the errors by which a card refuses a PIN, in the words of MMMobileEquipmentError.
func wrongPIN(name string) bool {
	_, what, ok := strings.Cut(name, "Error.MobileEquipment.")
	return ok && (what == "IncorrectPassword" || what == "SimPuk" || what == "SimPin" || what == "SimWrong")
}

// triesLeft waits until the modem tells fewer tries than before: it is asked after the card has refused.
func (c *Client) triesLeft(ctx context.Context, id string, before int) int {
	left := -1
	for range 20 {
		_, o, err := c.find(ctx, id)
		if err != nil {
			return left
		}
		if left = c.read(o).Modem.Tries; before < 0 || left >= 0 && left < before {
			return left
		}
		select {
		case <-ctx.Done():
			return left
		case <-time.After(250 * time.Millisecond):
		}
	}
	return left
}

// Connect is hal.Modems' ConnectModem as far as it is ModemManager's: the addresses of its interface are not set.
func (c *Client) Connect(ctx context.Context, id string, b hal.Bearer) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	path, o, err := c.find(ctx, id)
	if err != nil {
		return err
	}
	d := c.read(o)
	switch {
	case d.State == hal.LinkConnected:
		return nil
	case d.Modem.Lock != "":
		return fmt.Errorf("the card is locked (%s): %w", d.Modem.Lock, hal.ErrRefused)
	case d.State == hal.LinkFailed:
		return fmt.Errorf("%w: %s", hal.ErrRefused, d.Detail)
	case d.Modem.Roaming && !b.Roaming:
		return fmt.Errorf("%w: the modem is in another operator's network, and roaming is off", hal.ErrRefused)
	}
	if bus.Get[int32](o[modemOf], "State") == stateDisabled {
		if err := c.bus.Call(ctx, service, path, modemOf+".Enable", []any{true}); err != nil {
			return fmt.Errorf("switching the modem on: %w", err)
		}
	}
	// Modems that cannot measure refuse, and have their quality alone.
	_ = c.bus.Call(ctx, service, path, signalOf+".Setup", []any{signalRate})
	family := uint32(1) // MMBearerIpFamily: IPv4
	if b.IPv6 {
		family = 4 // both
	}
	want := bus.Options{"apn": bus.V(b.APN), "ip-type": bus.V(family), "allow-roaming": bus.V(b.Roaming)}
	if b.User != "" {
		want["user"], want["password"] = bus.V(b.User), bus.V(b.Password)
	}
	var bearer bus.Path
	if err := c.bus.Call(ctx, service, path, simpleOf+".Connect", []any{want}, &bearer); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("the modem does not answer: %w", err)
		}
		return fmt.Errorf("connecting: %w", err)
	}
	return nil
}

// Disconnect is hal.Modems' DisconnectModem.
func (c *Client) Disconnect(ctx context.Context, id string) error {
	path, _, err := c.find(ctx, id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cardTime)
	defer cancel()
	if err := c.bus.Call(ctx, service, path, simpleOf+".Disconnect", []any{bus.Path("/")}); err != nil {
		return fmt.Errorf("disconnecting the modem: %w", err)
	}
	return nil
}

// Reset is hal.Modems' ResetModem.
func (c *Client) Reset(ctx context.Context, id string) error {
	path, _, err := c.find(ctx, id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cardTime)
	defer cancel()
	if err := c.bus.Call(ctx, service, path, modemOf+".Reset", nil); err != nil {
		return fmt.Errorf("starting the modem anew: %w", err)
	}
	return nil
}
