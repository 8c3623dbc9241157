package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/observe"
)

// slot is the place of a link by hardware: what is plugged in there and how far it has come. wan.mu guards it.
type slot struct {
	device  hal.LinkDevice // zero: nothing that fits is plugged in
	trouble string         // why the device does not become a link, for people; "" when nothing is known to hinder it
	wake    chan struct{}  // capacity 1: the device is another one, or its state is
}

// gateway is the way out of a slot: what another program routes, what the device's owner tells, what our own lease says.
func (s slot) gateway(routed, leased netip.Addr, v6 bool) netip.Addr {
	if routed.IsValid() {
		return routed
	}
	for _, g := range s.device.Gateways {
		if g.Is6() == v6 {
			return g
		}
	}
	return leased
}

// text is why a slot's link is not in use, when the hardware is the reason; "" when it is not.
func (s slot) text(c config.Link) string {
	switch {
	case !c.ByHardware():
		return ""
	case s.device.ID == "" && c.Hardware.Port != "":
		return fmt.Sprintf("no %s is plugged in at %s", c.Hardware.Kind, c.Hardware.Port)
	case s.device.ID == "":
		return fmt.Sprintf("no %s is plugged in", c.Hardware.Kind)
	case s.device.Modem.Lock == "sim-pin" && s.device.Modem.Tries >= 0:
		return fmt.Sprintf("%s, %d attempts left", cmp.Or(s.trouble, "the SIM card asks for its PIN"), s.device.Modem.Tries)
	case s.device.Modem.Lock != "":
		return cmp.Or(s.trouble, "the SIM card is locked and asks for its "+strings.ToUpper(strings.TrimPrefix(s.device.Modem.Lock, "sim-")))
	case s.trouble != "":
		return s.trouble
	case s.device.State == hal.LinkConnected:
		return ""
	}
	return s.device.Detail
}

// device is the link's network interface: the one that the file names or that is plugged in. A name without a device stands for
// nothing at all, so that rules can speak of a link that has none yet.
func (w *wan) device() string { return *w.name.Load() }

func (w *wan) setDevice(name string) {
	if name == "" {
		name = fmt.Sprintf("absent%d", w.config.ID)
	}
	w.name.Store(&name)
}

// shownDevice is device for people.
func (w *wan) shownDevice() string {
	if d := w.device(); d != fmt.Sprintf("absent%d", w.config.ID) {
		return d
	}
	return ""
}

// unplugged tells whether a link has no hardware at present, which is nothing to warn of.
func (e *Engine) unplugged(id flow.LinkID) bool {
	w := e.wanByID(id)
	if w == nil || !w.config.ByHardware() {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.slot.device.ID == ""
}

// watchHardware is the task that gives what is plugged in to the links that wait for it.
func (e *Engine) watchHardware(ctx context.Context) error {
	failed := make(chan error, 1)
	err := e.hardware.WatchLinkDevices(ctx, func() {
		if err := e.takeHardware(ctx); err != nil && ctx.Err() == nil {
			select {
			case failed <- err:
			default: // the first one is told
			}
			e.log.Error("the link devices could not be read", "error", err)
		}
	})
	select {
	case err := <-failed:
		return err
	default:
		return err
	}
}

// linkDevices is what is plugged in, but for the household's own devices, which are no way out.
func (e *Engine) linkDevices(ctx context.Context) ([]hal.LinkDevice, error) {
	all, err := e.hardware.LinkDevices(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the link devices: %w", err)
	}
	return slices.DeleteFunc(all, func(d hal.LinkDevice) bool {
		_, isLAN := e.lan[d.Name]
		return isLAN || e.household.members[d.Name]
	}), nil
}

// takeHardware reads what is plugged in and gives each slot its device.
func (e *Engine) takeHardware(ctx context.Context) error {
	all, err := e.linkDevices(ctx)
	if err != nil {
		return err
	}
	var slots []*wan
	taken := map[string]bool{}
	for _, w := range e.wans {
		if w.config.ByHardware() {
			slots = append(slots, w)
		} else {
			taken[w.config.Device] = true
		}
	}
	e.announceBonds(ctx)
	given := assign(slots, all, taken)
	var delegated []netip.Prefix
	for _, d := range all {
		used := taken[d.Name] || slices.ContainsFunc(slots, func(w *wan) bool { return given[w].ID == d.ID })
		if used && d.Prefix.IsValid() {
			delegated = append(delegated, d.Prefix)
		}
	}
	e.setDelegated(delegated)
	moved := false
	for _, w := range slots {
		moved = e.giveDevice(w, given[w]) || moved
	}
	if !moved {
		return nil
	}
	// What the kernel knows of the new devices: their addresses, carriers and routes.
	return e.readMachine(ctx)
}

// announceBonds has the machine's firewall let bonds pass as links: again each time, for its services forget it when they start anew.
func (e *Engine) announceBonds(ctx context.Context) {
	for _, w := range e.wans {
		w.mu.Lock()
		there := w.bond != nil && w.iface.Index != 0
		w.mu.Unlock()
		if !there {
			continue
		}
		if err := e.hardware.SetupLink(ctx, w.device(), hal.LinkSetup{Link: w.config.Name}); err != nil && ctx.Err() == nil {
			e.log.Warn("the device of a bond is not known to the machine's network service; it is tried again with the next change", "link", w.config.Name, "error", err)
		}
	}
}

// examineServices refuses to start beside a service that would undo the router's work, and warns of those that only hinder it.
func (e *Engine) examineServices(ctx context.Context) error {
	if e.hardware == nil {
		return nil
	}
	all, err := e.hardware.Conflicts(ctx)
	if err != nil {
		e.log.Warn("whether other services do the router's work could not be told", "error", err)
		return nil
	}
	for _, c := range all {
		used := c.Device == "" || slices.ContainsFunc(e.wans, func(w *wan) bool { return w.device() == c.Device })
		switch {
		case c.Grave && used:
			return fmt.Errorf("the router does not run beside %s: %s. To do: %s", c.Service, c.Text, c.Fix)
		case used:
			e.health.Set(observe.Warning{Code: "service", Subject: c.Service, Severity: observe.Warn, Text: c.Text, Fix: c.Fix})
		}
	}
	return nil
}

// giveDevice notes what is plugged in for a link, and tells whether its interface is another one.
func (e *Engine) giveDevice(w *wan, d hal.LinkDevice) (moved bool) {
	w.mu.Lock()
	before := w.slot.device
	was := w.device()
	w.slot.device = d
	if before.ID != d.ID || d.State == hal.LinkConnected || d.Modem.Lock != before.Modem.Lock {
		w.slot.trouble = ""
	}
	w.setDevice(d.Name)
	moved = was != w.device()
	if moved {
		w.iface, w.lease, w.auto4, w.auto6 = hal.Interface{}, hal.Lease{}, netip.Addr{}, netip.Addr{}
	}
	w.mu.Unlock()
	if moved {
		w.monitor.SetVia(w.via())
	}
	switch {
	case before.ID == d.ID:
	case d.ID == "":
		e.event(observe.Info, "hardware", w.config.Name, fmt.Sprintf("The %s of link %s is unplugged.", w.config.Hardware.Kind, w.config.Name))
		e.health.Clear("link-down", w.config.Name)
	default:
		e.event(observe.Info, "hardware", w.config.Name, fmt.Sprintf("Link %s has its device: %s.", w.config.Name, describe(d)))
	}
	if !sameDevice(before, d) {
		e.tellTrouble(w)
		signal(w.slot.wake)
		e.physicalChanged(w)
	}
	return moved
}

// sameDevice tells whether nothing changed that a link depends on: signal and names of operators come and go.
func sameDevice(a, b hal.LinkDevice) bool {
	return a.ID == b.ID && a.Name == b.Name && a.State == b.State && a.Detail == b.Detail && a.Owner == b.Owner && a.OurDHCP == b.OurDHCP &&
		a.Metered == b.Metered && a.Modem.Lock == b.Modem.Lock && a.Modem.Tries == b.Modem.Tries && a.Modem.Roaming == b.Modem.Roaming &&
		slices.Equal(a.Gateways, b.Gateways) && slices.Equal(a.DNS, b.DNS)
}

func describe(d hal.LinkDevice) string {
	return strings.Join(slices.DeleteFunc([]string{d.Model, d.Name, "at " + d.ID}, func(s string) bool { return s == "" }), ", ")
}

// tellTrouble warns of what a person must do before a link can work.
func (e *Engine) tellTrouble(w *wan) {
	w.mu.Lock()
	text, d := w.slot.text(w.config), w.slot.device
	trouble := w.slot.trouble != "" || d.State == hal.LinkLocked || d.State == hal.LinkFailed
	w.mu.Unlock()
	fix := "`trenza links` tells more."
	if d.Modem.Lock == "sim-pin" {
		fix = fmt.Sprintf("Unlock it with `trenza modem unlock %s`.", w.config.Name)
	}
	e.health.Put(trouble && d.ID != "" && text != "", observe.Warning{Code: "hardware", Subject: w.config.Name, Severity: observe.Warn,
		Text: fmt.Sprintf("Link %s: %s.", w.config.Name, text), Fix: fix})
}

// setTrouble notes why a link's device does not become a link.
func (e *Engine) setTrouble(w *wan, text string) {
	w.mu.Lock()
	same := w.slot.trouble == text
	w.slot.trouble = text
	w.mu.Unlock()
	if !same {
		e.tellTrouble(w)
	}
}

// assign gives each slot a device that fits. One that has a device keeps it; those that name a port choose before those that take any.
func assign(slots []*wan, all []hal.LinkDevice, taken map[string]bool) map[*wan]hal.LinkDevice {
	given, used := map[*wan]hal.LinkDevice{}, map[string]bool{}
	free := func(d hal.LinkDevice) bool { return !used[d.ID] && (d.Name == "" || !taken[d.Name]) }
	give := func(w *wan, fits func(hal.LinkDevice) bool) {
		if _, has := given[w]; has {
			return
		}
		for _, d := range all {
			if free(d) && fitsSlot(w.config.Hardware, d) && fits(d) {
				given[w], used[d.ID] = d, true
				return
			}
		}
	}
	anyDevice := func(hal.LinkDevice) bool { return true }
	for _, w := range slots {
		w.mu.Lock()
		id := w.slot.device.ID
		w.mu.Unlock()
		give(w, func(d hal.LinkDevice) bool { return id != "" && d.ID == id })
	}
	for _, w := range slots { // after a restart: the interface that it had before
		give(w, func(d hal.LinkDevice) bool { return d.Name != "" && d.Name == w.device() })
	}
	for _, named := range []bool{true, false} {
		for _, w := range slots {
			if (w.config.Hardware.Port != "") == named {
				give(w, anyDevice)
			}
		}
	}
	return given
}

// fitsSlot tells whether a device is what a link asks for.
func fitsSlot(h config.Hardware, d hal.LinkDevice) bool {
	switch {
	case d.Kind != h.Kind, h.Port != "" && h.Port != d.ID:
		return false
	case h.Kind == hal.LinkPPP, h.Kind == hal.LinkVLAN:
		return d.Parent == h.Parent && d.Tag == h.Tag
	}
	return true
}

// Pauses between the attempts to make a link of a device, each twice the one before.
const (
	firstRetry = 2 * time.Second
	lastRetry  = 2 * time.Minute
)

// runSlot is the task that makes a link of whatever is plugged in for it, for as long as it is plugged in.
func (e *Engine) runSlot(ctx context.Context, w *wan) error {
	if e.hardware == nil {
		return nil // the link stays without a device
	}
	pause := firstRetry
	var care modemCare
	for {
		w.mu.Lock()
		d := w.slot.device
		w.mu.Unlock()
		err := e.careFor(ctx, w, d, &care)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // whatever is said while the router is being stopped
		}
		var again <-chan time.Time
		switch {
		case errors.Is(err, errChanged):
			pause = firstRetry
			continue
		case err != nil:
			e.log.Warn("the hardware of a link is not ready", "link", w.config.Name, "device", d.ID, "error", err, "again", pause)
			e.setTrouble(w, err.Error())
			again, pause = time.After(pause), min(2*pause, lastRetry)
		default:
			pause = firstRetry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.slot.wake:
		case <-again:
		}
	}
}

// errChanged: the device is another one, or its state is.
var errChanged = errors.New("the device changed")

// careFor does what the device needs to be a link. It returns when there is nothing more to do before the next change, with an error
// when it is worth trying again.
func (e *Engine) careFor(ctx context.Context, w *wan, d hal.LinkDevice, care *modemCare) error {
	h := w.config.Hardware
	setup := hal.LinkSetup{Link: w.config.Name, Metered: w.config.Metered}
	switch {
	case h.Kind == hal.LinkPPP || h.Kind == hal.LinkVLAN:
		if d.ID == "" {
			return e.hardware.Dial(ctx, hal.DialSetup{LinkSetup: setup, Parent: h.Parent, Tag: h.Tag, User: h.User, Password: string(h.Password), Service: h.Service})
		}
	case d.ID == "":
		return nil
	case h.Kind == hal.LinkModem:
		if err := e.careForModem(ctx, w, d, care); err != nil {
			return err
		}
	}
	if d.Name == "" {
		return nil
	}
	if h.Kind != hal.LinkModem && h.Kind != hal.LinkPPP {
		if err := e.hardware.SetupLink(ctx, d.Name, setup); err != nil {
			return err
		}
	}
	if !d.OurDHCP || w.config.IPv4.Mode != config.Auto && w.config.IPv4.Mode != config.DHCP {
		return nil
	}
	e.setTrouble(w, "")
	return e.leaseUntilChange(ctx, w, d)
}

// leaseUntilChange keeps an address on a device for as long as it is the slot's.
func (e *Engine) leaseUntilChange(ctx context.Context, w *wan, d hal.LinkDevice) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- e.runLease(ctx, w, d.Name) }()
	for {
		select {
		case err := <-done:
			return err
		case <-w.slot.wake:
			w.mu.Lock()
			now := w.slot.device
			w.mu.Unlock()
			if now.ID == d.ID && now.Name == d.Name && now.OurDHCP && now.State != hal.LinkLocked && now.Modem.Lock == d.Modem.Lock && (now.Kind != hal.LinkModem || now.State == d.State) {
				continue
			}
			cancel()
			if err := <-done; err != nil {
				e.log.Debug("a lease ended with its device", "link", w.config.Name, "error", err)
			}
			return errChanged
		}
	}
}
