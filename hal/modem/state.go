package modem

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/bus"
)

// Names of the service and its interfaces.
const (
	service   = "org.freedesktop.ModemManager1"
	root      = bus.Path("/org/freedesktop/ModemManager1")
	modemOf   = service + ".Modem"
	simpleOf  = service + ".Modem.Simple"
	signalOf  = service + ".Modem.Signal"
	textingOf = service + ".Modem.Messaging"
	networkOf = service + ".Modem.Modem3gpp"
	bearerOf  = service + ".Bearer"
	simOf     = service + ".Sim"
	smsOf     = service + ".Sms"
)

// Values of MMModemState.
const (
	stateFailed       = -1
	stateInitializing = 1
	stateLocked       = 2
	stateDisabled     = 3
	stateEnabling     = 5
	stateSearching    = 7
	stateRegistered   = 8
	stateConnected    = 11
)

// Values of MMModemLock.
const (
	lockNone = 1
	lockPIN  = 2
	lockPUK  = 4
)

// Client asks ModemManager. It holds no state.
type Client struct {
	bus   *bus.Bus
	place func(sysfs string) string // names where a device is plugged in
}

// New makes a Client on a bus; place turns a device's folder of sysfs into the ID of a LinkDevice.
func New(b *bus.Bus, place func(sysfs string) string) *Client { return &Client{bus: b, place: place} }

// Watch calls changed after every change of a modem; see bus.Bus.Watch.
func (c *Client) Watch(ctx context.Context, changed func()) error {
	return c.bus.Watch(ctx, service, changed)
}

// Modems lists the modems, and the network interfaces that are parts of them. hal.ErrUnsupported when ModemManager does not run.
func (c *Client) Modems(ctx context.Context) (modems []hal.LinkDevice, parts map[string]bool, err error) {
	all, err := c.bus.Objects(ctx, service, root)
	if err != nil {
		return nil, nil, fmt.Errorf("asking ModemManager: %w", err)
	}
	parts = map[string]bool{}
	for _, o := range all {
		p, ok := o[modemOf]
		if !ok {
			continue
		}
		for _, port := range bus.Get[[][]any](p, "Ports") {
			if name, kind, ok := readPort(port); ok && kind == portNet {
				parts[name] = true
			}
		}
		d := c.read(o)
		if d.State == hal.LinkConnected {
			if b, ok := c.bearer(ctx, p); ok {
				b.describe(&d)
			}
		}
		modems = append(modems, d)
	}
	return modems, parts, nil
}

// portNet is a value of MMModemPortType.
const portNet = 2

func readPort(port []any) (name string, kind uint32, ok bool) {
	if len(port) != 2 {
		return "", 0, false
	}
	name, ok = port[0].(string)
	kind, _ = port[1].(uint32)
	return name, kind, ok
}

// read reads one modem's object.
func (c *Client) read(o map[string]bus.Properties) hal.LinkDevice {
	p, network := o[modemOf], o[networkOf]
	d := hal.LinkDevice{
		ID: c.place(bus.Get[string](p, "Device")), Kind: hal.LinkModem, Owner: hal.OwnerModemManager,
		Model: strings.TrimSpace(bus.Get[string](p, "Manufacturer") + " " + bus.Get[string](p, "Model")),
		Modem: hal.ModemLink{
			Lock: lockText(bus.Get[uint32](p, "UnlockRequired")), Tries: -1, Operator: bus.Get[string](network, "OperatorName"),
			Technology: technology(bus.Get[uint32](p, "AccessTechnologies")), Roaming: bus.Get[uint32](network, "RegistrationState") == 5,
			Port: bus.Get[string](p, "PrimaryPort"), Signal: readSignal(o),
		},
	}
	if tries, ok := bus.Get[map[uint32]uint32](p, "UnlockRetries")[bus.Get[uint32](p, "UnlockRequired")]; ok && d.Modem.Lock != "" {
		d.Modem.Tries = int(min(tries, 99))
	}
	switch state := bus.Get[int32](p, "State"); {
	case state == stateFailed:
		d.State, d.Detail = hal.LinkFailed, failedText(bus.Get[uint32](p, "StateFailedReason"))
	case state == stateLocked:
		d.State = hal.LinkLocked
	case state == stateConnected:
		d.State = hal.LinkConnected
	case state == stateSearching:
		d.State, d.Detail = hal.LinkOff, "the modem looks for a network"
	case state == stateDisabled, state == stateRegistered, state > stateEnabling && state < stateRegistered:
		d.State, d.Detail = hal.LinkOff, "not connected"
	default:
		d.State = hal.LinkConnecting
	}
	if d.State != hal.LinkLocked {
		d.Modem.Lock, d.Modem.Tries = "", -1 // a PIN2 or a locked feature hinders nobody
	}
	return d
}

// lockText is a value of MMModemLock in the words of 3GPP TS 27.007 (+CPIN).
func lockText(lock uint32) string {
	switch lock {
	case 0, lockNone:
		return ""
	case lockPIN:
		return "sim-pin"
	case 3:
		return "sim-pin2"
	case lockPUK:
		return "sim-puk"
	case 5:
		return "sim-puk2"
	}
	return "operator-lock"
}

// failedText is a value of MMModemStateFailedReason for people.
func failedText(reason uint32) string {
	switch reason {
	case 2:
		return "there is no SIM card in the modem"
	case 3:
		return "the SIM card does not answer as it should"
	}
	return "the modem does not answer as it should"
}

// technology is the best of MMModemAccessTechnology's bits.
func technology(mask uint32) string {
	names := []string{"pots", "gsm", "gsm", "gprs", "edge", "umts", "hsdpa", "hsupa", "hspa", "hspa+", "1xrtt", "evdo", "evdo", "evdo", "lte", "5gnr", "lte", "lte"}
	best := bits.Len32(mask) - 1
	if best < 0 || best >= len(names) {
		return ""
	}
	return names[best]
}

// readSignal reads the quality, and the measured values of the newest technology that has any.
func readSignal(o map[string]bus.Properties) hal.Signal {
	var s hal.Signal
	if quality := bus.Get[[]any](o[modemOf], "SignalQuality"); len(quality) == 2 {
		q, _ := quality[0].(uint32)
		s.Quality = int(min(q, 100))
	}
	for _, technology := range []string{"Nr5g", "Lte", "Umts", "Gsm"} {
		v := bus.Properties(bus.Get[bus.Options](o[signalOf], technology))
		if len(v) == 0 {
			continue
		}
		s.RSRP, s.RSRQ = measured(v, "rsrp", -200, 0), measured(v, "rsrq", -100, 30)
		s.SINR, s.RSSI = measured(v, "snr", -50, 60), measured(v, "rssi", -200, 0)
		break
	}
	return s
}

// measured is a value within what it can be; modems tell -32768 and the like for those that they do not know.
func measured(v bus.Properties, name string, low, high float64) float64 {
	if x := bus.Get[float64](v, name); x > low && x < high {
		return x
	}
	return 0
}

// bearer is a connection of a modem.
type bearer struct {
	port   string // a network interface or a serial port
	method uint32
	config bus.Properties
}

// Values of MMBearerIpMethod.
const (
	methodPPP    = 1
	methodStatic = 2
	methodDHCP   = 3
)

// bearer returns the modem's connection that is up.
func (c *Client) bearer(ctx context.Context, p bus.Properties) (bearer, bool) {
	for _, path := range bus.Get[[]bus.Path](p, "Bearers") {
		var o bus.Options
		if err := c.bus.Call(ctx, service, path, "org.freedesktop.DBus.Properties.GetAll", []any{bearerOf}, &o); err != nil {
			continue // it has just gone
		}
		if b := bus.Properties(o); bus.Get[bool](b, "Connected") {
			config := bus.Properties(bus.Get[bus.Options](b, "Ip4Config"))
			return bearer{bus.Get[string](b, "Interface"), bus.Get[uint32](config, "method"), config}, true
		}
	}
	return bearer{}, false
}

// describe writes what the bearer says into a connected modem's device.
func (b bearer) describe(d *hal.LinkDevice) {
	d.Name, d.MTU = b.port, int(min(bus.Get[uint32](b.config, "mtu"), 65535))
	switch b.method {
	case methodPPP:
		d.Modem.Method, d.Modem.Data, d.Name = hal.BearerPPP, b.port, SessionDevice(b.port)
		return
	case methodStatic:
		d.Modem.Method = hal.BearerStatic
	default: // DHCP, and what tells nothing, as older ones of Huawei's
		d.Modem.Method, d.OurDHCP = hal.BearerDHCP, true
	}
	addr, err := netip.ParseAddr(bus.Get[string](b.config, "address"))
	if width := bus.Get[uint32](b.config, "prefix"); err == nil && int(width) <= addr.BitLen() {
		d.Addrs = []netip.Prefix{netip.PrefixFrom(addr, int(cmp.Or(width, uint32(addr.BitLen()))))}
	}
	if g, err := netip.ParseAddr(bus.Get[string](b.config, "gateway")); err == nil {
		d.Gateways = []netip.Addr{g}
	}
	for _, name := range []string{"dns1", "dns2", "dns3"} {
		if a, err := netip.ParseAddr(bus.Get[string](b.config, name)); err == nil {
			d.DNS = append(d.DNS, a)
		}
	}
	if d.Modem.Method == hal.BearerStatic && (len(d.Addrs) == 0 || len(d.Gateways) == 0) {
		d.Modem.Method, d.OurDHCP = hal.BearerDHCP, true // a modem that says static and does not say what
	}
}
