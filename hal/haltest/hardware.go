package haltest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/trenza-router/trenza/hal"
)

// Air is a WiFi network around a Hardware, with the password that it takes.
type Air struct {
	hal.Network
	Password string
}

// Card is the SIM of a modem of a Hardware.
type Card struct {
	PIN   string // "": the card is never locked
	APN   string // that the operator takes; "": any
	Tries int
}

// Hardware is a hal.Hardware in memory. Devices come with Plug and go with Unplug; the rest of the world is set by SetAir. The zero
// value is a machine without devices.
type Hardware struct {
	mu       sync.Mutex // guards all below
	devices  []hal.LinkDevice
	air      []Air
	known    map[string]bool
	cards    map[string]*Card
	messages map[string][]hal.Message
	setups   map[string]hal.LinkSetup
	dialled  []hal.DialSetup
	number   int
	watchers map[chan struct{}]bool
	rivals   []hal.Conflict
}

var _ hal.Hardware = (*Hardware)(nil)

// Plug adds a device, or replaces the one of its ID. A modem brings its card.
func (h *Hardware) Plug(d hal.LinkDevice, card *Card) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if card != nil {
		if h.cards == nil {
			h.cards = map[string]*Card{}
		}
		h.cards[d.ID] = card
		if card.PIN != "" {
			d.State, d.Modem.Lock, d.Modem.Tries = hal.LinkLocked, "sim-pin", card.Tries
		}
	}
	h.devices = slices.DeleteFunc(h.devices, func(o hal.LinkDevice) bool { return o.ID == d.ID })
	h.devices = append(h.devices, d)
	slices.SortFunc(h.devices, func(a, b hal.LinkDevice) int { return cmp.Compare(a.ID, b.ID) })
	h.announce()
}

// Unplug takes a device away.
func (h *Hardware) Unplug(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.devices = slices.DeleteFunc(h.devices, func(o hal.LinkDevice) bool { return o.ID == id })
	delete(h.cards, id)
	delete(h.messages, id)
	h.announce()
}

// SetAir says which networks all stations hear.
func (h *Hardware) SetAir(networks ...Air) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.air = slices.Clone(networks)
}

// Setups is what devices were set up as.
func (h *Hardware) Setups() map[string]hal.LinkSetup {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[string]hal.LinkSetup{}
	for d, s := range h.setups {
		out[d] = s
	}
	return out
}

// Dialled is what Dial was asked for.
func (h *Hardware) Dialled() []hal.DialSetup {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.dialled)
}

// announce tells the watchers. h.mu is held.
func (h *Hardware) announce() {
	for w := range h.watchers {
		select {
		case w <- struct{}{}:
		default: // it has not taken the last one yet
		}
	}
}

// LinkDevices implements hal.LinkDevices.
func (h *Hardware) LinkDevices(ctx context.Context) ([]hal.LinkDevice, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := slices.Clone(h.devices)
	for i := range out {
		out[i].Addrs, out[i].Gateways, out[i].DNS = slices.Clone(out[i].Addrs), slices.Clone(out[i].Gateways), slices.Clone(out[i].DNS)
	}
	return out, ctx.Err()
}

// WatchLinkDevices implements hal.LinkDevices.
func (h *Hardware) WatchLinkDevices(ctx context.Context, changed func()) error {
	news := make(chan struct{}, 1)
	h.mu.Lock()
	if h.watchers == nil {
		h.watchers = map[chan struct{}]bool{}
	}
	h.watchers[news] = true
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, news)
	}()
	for {
		changed()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		}
	}
}

// SetConflicts says which services are in the router's way.
func (h *Hardware) SetConflicts(all ...hal.Conflict) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rivals = all
}

// Conflicts implements hal.Hardware.
func (h *Hardware) Conflicts(ctx context.Context) ([]hal.Conflict, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.rivals), ctx.Err()
}

// SetupLink implements hal.LinkDevices.
func (h *Hardware) SetupLink(ctx context.Context, device string, s hal.LinkSetup) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := h.find(ctx, func(d *hal.LinkDevice) bool { return d.Name == device && device != "" }, device); err != nil {
		return err
	}
	if h.setups == nil {
		h.setups = map[string]hal.LinkSetup{}
	}
	h.setups[device] = s
	return nil
}

// Dial implements hal.Dialer: the session is there at once.
func (h *Hardware) Dial(ctx context.Context, s hal.DialSetup) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := h.find(ctx, func(d *hal.LinkDevice) bool { return d.Name == s.Parent }, s.Parent); err != nil {
		return err
	}
	if slices.Contains(h.dialled, s) {
		return nil
	}
	h.dialled = append(h.dialled, s)
	d := hal.LinkDevice{Kind: hal.LinkPPP, Parent: s.Parent, State: hal.LinkConnected, MTU: 1492}
	d.Name = fmt.Sprintf("ppp%d", len(h.dialled)-1)
	if s.Tag > 0 {
		d.Kind, d.Name, d.MTU = hal.LinkVLAN, fmt.Sprintf("%s.%d", s.Parent, s.Tag), 1500
		d.Tag = s.Tag
	}
	d.ID = "net-" + d.Name
	h.devices = append(h.devices, d)
	h.announce()
	return nil
}

// find returns a device; h.mu is held.
func (h *Hardware) find(ctx context.Context, f func(*hal.LinkDevice) bool, name string) (*hal.LinkDevice, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for i := range h.devices {
		if f(&h.devices[i]) {
			return &h.devices[i], nil
		}
	}
	return nil, fmt.Errorf("device %q: %w", name, hal.ErrNotFound)
}
