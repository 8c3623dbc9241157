package hardware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/bus"
	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/hal/modem"
	"github.com/trenza-router/trenza/hal/networkmanager"
	"github.com/trenza-router/trenza/hal/openwrt"
	"github.com/trenza-router/trenza/hal/wifi"
)

// Kernel is what is asked of the machine under the services.
type Kernel interface {
	Watch(ctx context.Context, f func(hal.Event), lost func()) error
	Peers(ctx context.Context) (map[string]netip.Addr, error)
	SetBearerAddress(ctx context.Context, device string, p netip.Prefix) error
}

// Options are what a Hardware works with.
type Options struct {
	Kernel Kernel
	Bus    string // address of the services' bus; "" is the system's
	Ubus   string // socket of OpenWrt's message bus; "" is its usual place
	WiFi   string // folder of wpa_supplicant's sockets; "" is its usual place
	Sysfs  string // mount point; "" is /sys
	Log    *slog.Logger
}

// Hardware is this machine's link devices.
type Hardware struct {
	options  Options
	bus      *bus.Bus
	manager  *networkmanager.Client
	netifd   *openwrt.Client
	stations *wifi.Client
	modems   *modem.Client
	sessions *modem.Sessions

	mu       sync.Mutex
	managed  map[string]hal.LinkDevice // by interface: what NetworkManager, or netifd, told last
	away     bool                      // it did not answer last
	back     time.Time                 // when it answered again
	told     []hal.LinkDevice          // what ModemManager told last
	parts    map[string]bool           // interfaces that are parts of modems
	sentence map[string]string         // what was logged last of each service
}

var _ hal.Hardware = (*Hardware)(nil)

// New makes a Hardware. It asks nothing yet.
func New(o Options) *Hardware {
	if o.Sysfs == "" {
		o.Sysfs = "/sys"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b := bus.New(o.Bus)
	return &Hardware{
		options: o, bus: b, manager: networkmanager.New(b), netifd: openwrt.New(o.Ubus), stations: wifi.New(o.WiFi), modems: modem.New(b, linux.LinkPlace), sessions: modem.NewSessions(o.Log),
		sentence: map[string]string{},
	}
}

// Close ends the connections to the buses.
func (h *Hardware) Close() error { return errors.Join(h.bus.Close(), h.netifd.Close()) }

// askTime bounds what a service may take to tell its objects; one that hangs must not hide what the kernel shows.
const askTime = 5 * time.Second

// LinkDevices implements hal.LinkDevices.
func (h *Hardware) LinkDevices(ctx context.Context) ([]hal.LinkDevice, error) {
	devices, err := linux.Inventory(h.options.Sysfs)
	if err != nil {
		return nil, err
	}
	asked, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	service, managed, merr := h.ask(asked)
	modems, parts, perr := h.modems.Modems(asked)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	peers, err := h.options.Kernel.Peers(ctx)
	if err != nil {
		return nil, err
	}
	h.note(service, merr)
	h.note("ModemManager", perr)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remember(managed, merr, time.Now())
	if perr == nil {
		h.told, h.parts = modems, parts
	} else {
		// Modems that are connected stay so while their manager is away; those that are pulled out are gone.
		h.told = slices.DeleteFunc(h.told, func(d hal.LinkDevice) bool { return !present(h.options.Sysfs, d) })
	}
	return withPeers(merge(devices, h.managed, h.told, h.parts), peers), nil
}

// ask asks the machine's network service: NetworkManager, OpenWrt's netifd where that is not, or wpa_supplicant alone.
func (h *Hardware) ask(ctx context.Context) (service string, managed map[string]hal.LinkDevice, err error) {
	managed, err = h.manager.Devices(ctx)
	if !errors.Is(err, hal.ErrUnsupported) {
		return "NetworkManager", managed, err
	}
	all, uerr := h.netifd.Devices(ctx)
	if !errors.Is(uerr, hal.ErrUnsupported) {
		return "netifd", all, uerr
	}
	all, serr := h.stations.Devices(ctx)
	if errors.Is(serr, hal.ErrUnsupported) {
		return "NetworkManager", nil, err
	}
	return "wpa_supplicant", all, serr
}

// settle is how long a network service may take after its start until it manages what it managed before.
const settle = 20 * time.Second

// remember takes in what the network service tells. While it is away, and for a while after it is back, what it told before holds for what it does
// not speak of: its devices must not look like nobody's. h.mu is held.
func (h *Hardware) remember(managed map[string]hal.LinkDevice, err error, now time.Time) {
	if err != nil {
		h.away = true
		return
	}
	if h.away {
		h.away, h.back = false, now
	}
	if now.Sub(h.back) < settle {
		for name, d := range h.managed {
			if _, told := managed[name]; !told {
				managed[name] = d
			}
		}
	}
	h.managed = managed
}

// note logs that a service went or came, once.
func (h *Hardware) note(service string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	h.mu.Lock()
	same := h.sentence[service] == text
	h.sentence[service] = text
	h.mu.Unlock()
	switch {
	case same:
	case err == nil:
		h.options.Log.Info("the service of link devices is there", "service", service)
	case errors.Is(err, hal.ErrUnsupported):
		h.options.Log.Info("no service of link devices", "service", service, "because", err)
	default:
		h.options.Log.Warn("a service of link devices does not answer; what it told last holds", "service", service, "error", err)
	}
}

// merge puts together what the kernel shows and what the services tell.
func merge(devices []hal.LinkDevice, managed map[string]hal.LinkDevice, modems []hal.LinkDevice, parts map[string]bool) []hal.LinkDevice {
	sessions := map[string]bool{} // interfaces that are modems' sessions
	there := map[string]bool{}
	for _, d := range devices {
		there[d.Name] = true
	}
	var out []hal.LinkDevice
	for _, d := range modems {
		if d.Modem.Method == hal.BearerPPP {
			sessions[d.Name] = true
			if !there[d.Name] {
				d.State, d.Detail, d.Name = hal.LinkConnecting, "dialling", ""
			}
		}
		out = append(out, d)
	}
	for _, d := range devices {
		if parts[d.Name] || sessions[d.Name] {
			continue
		}
		m, ok := managed[d.Name]
		switch {
		case ok:
			d = overlay(d, m)
		case d.Kind != hal.LinkPPP:
			d.OurDHCP = true
			if d.State == hal.LinkOff {
				d.Detail = "no carrier"
			}
		}
		out = append(out, d)
	}
	slices.SortStableFunc(out, func(a, b hal.LinkDevice) int {
		switch {
		case a.ID < b.ID:
			return -1
		case a.ID > b.ID:
			return 1
		}
		return 0
	})
	return out
}

// withPeers gives dialled sessions their gateway: the other end.
func withPeers(all []hal.LinkDevice, peers map[string]netip.Addr) []hal.LinkDevice {
	for i := range all {
		d := &all[i]
		if peer, ok := peers[d.Name]; ok && len(d.Gateways) == 0 && (d.Kind == hal.LinkPPP || d.Modem.Method == hal.BearerPPP) {
			d.Gateways = []netip.Addr{peer}
		}
	}
	return all
}

// overlay adds to what the kernel shows of a device what its owner tells.
func overlay(d, owner hal.LinkDevice) hal.LinkDevice {
	d.Owner, d.Detail, d.Metered, d.WiFi = owner.Owner, owner.Detail, owner.Metered, owner.WiFi
	d.Addrs, d.Gateways, d.DNS, d.Prefix = owner.Addrs, owner.Gateways, owner.DNS, owner.Prefix
	d.State, d.OurDHCP = owner.State, owner.OurDHCP
	if d.Kind == hal.LinkPPP || d.Kind == hal.LinkVLAN {
		if owner.Parent != "" {
			d.Parent = owner.Parent
		}
		if owner.Tag != 0 {
			d.Tag = owner.Tag
		}
	}
	if owner.MTU != 0 {
		d.MTU = owner.MTU
	}
	return d
}

// WatchLinkDevices implements hal.LinkDevices.
func (h *Hardware) WatchLinkDevices(ctx context.Context, changed func()) error {
	news := make(chan struct{}, 1)
	tell := func() {
		select {
		case news <- struct{}{}:
		default: // the last one was not taken yet
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return h.options.Kernel.Watch(ctx, func(e hal.Event) {
			if e.Kind == hal.InterfaceChanged {
				tell()
			}
		}, tell)
	})
	owner := func() {
		tell()
		time.AfterFunc(settle+time.Second, tell) // what it told before its new start holds no longer
	}
	g.Go(func() error { return h.manager.Watch(ctx, owner) })
	g.Go(func() error { return h.netifd.Watch(ctx, owner) })
	g.Go(func() error { return h.modems.Watch(ctx, tell) })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-news:
				changed()
			}
		}
	})
	return g.Wait()
}

// SetupLink implements hal.LinkDevices.
func (h *Hardware) SetupLink(ctx context.Context, device string, s hal.LinkSetup) error {
	err := h.manager.Setup(ctx, device, s)
	if errors.Is(err, hal.ErrUnsupported) {
		err = h.netifd.Announce(ctx, device)
	}
	if errors.Is(err, hal.ErrUnsupported) || errors.Is(err, hal.ErrNotFound) {
		return nil // nobody owns it: our own client switches it on
	}
	return err
}

// Conflicts implements hal.Hardware.
func (h *Hardware) Conflicts(ctx context.Context) ([]hal.Conflict, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return h.netifd.Conflicts(ctx)
}

// either is what NetworkManager does, or where it is not, what the first of the others does that is there.
func either(manager func() error, others ...func() error) error {
	err := manager()
	if !errors.Is(err, hal.ErrUnsupported) {
		return err
	}
	for _, f := range others {
		if oerr := f(); !errors.Is(oerr, hal.ErrUnsupported) {
			return oerr
		}
	}
	return err
}

// Dial implements hal.Dialer.
func (h *Hardware) Dial(ctx context.Context, s hal.DialSetup) error {
	err := either(func() error { return h.manager.Dial(ctx, s) }, func() error { return h.netifd.Dial(ctx, s) })
	return h.needs(err, "network-manager", "PPPoE sessions and VLANs")
}

// needs tells which package brings what is missing.
func (h *Hardware) needs(err error, pkg, what string) error {
	if errors.Is(err, hal.ErrUnsupported) {
		return fmt.Errorf("%w: %s need the package %s, and its service running", err, what, pkg)
	}
	return err
}

// ScanWiFi implements hal.WiFi.
func (h *Hardware) ScanWiFi(ctx context.Context, device string) ([]hal.Network, error) {
	var all []hal.Network
	by := func(scan func(context.Context, string) ([]hal.Network, error)) func() error {
		return func() (err error) {
			all, err = scan(ctx, device)
			return err
		}
	}
	err := either(by(h.manager.Scan), by(h.netifd.Scan), by(h.stations.Scan))
	return all, h.needs(err, "network-manager", "WiFi links")
}

// JoinWiFi implements hal.WiFi.
func (h *Hardware) JoinWiFi(ctx context.Context, device string, r hal.JoinRequest) error {
	err := either(func() error { return h.manager.Join(ctx, device, r) }, func() error { return h.netifd.Join(ctx, device, r) },
		func() error { return h.stations.Join(ctx, device, r) })
	return h.needs(err, "network-manager", "WiFi links")
}

// ForgetWiFi implements hal.WiFi.
func (h *Hardware) ForgetWiFi(ctx context.Context, device, ssid string) error {
	err := either(func() error { return h.manager.Forget(ctx, device, ssid) }, func() error { return h.netifd.Forget(ctx, device, ssid) },
		func() error { return h.stations.Forget(ctx, device, ssid) })
	return h.needs(err, "network-manager", "WiFi links")
}
