package networkmanager

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/bus"
)

// Names of the service and its interfaces.
const (
	service    = "org.freedesktop.NetworkManager"
	root       = bus.Path("/org/freedesktop")
	manager    = bus.Path("/org/freedesktop/NetworkManager")
	settings   = bus.Path("/org/freedesktop/NetworkManager/Settings")
	deviceOf   = service + ".Device"
	wirelessOf = service + ".Device.Wireless"
	pointOf    = service + ".AccessPoint"
	activeOf   = service + ".Connection.Active"
	storedOf   = service + ".Settings.Connection"
	nowhere    = bus.Path("/")
)

// Values of NMDeviceState.
const (
	stateUnmanaged = 10
	statePrepare   = 40
	stateNeedAuth  = 60
	stateActivated = 100
	stateDown      = 110
	stateFailed    = 120
)

// Values of NMDeviceType.
const (
	typeWiFi  = 2
	typeModem = 8
	typeVLAN  = 11
	typeTun   = 16
	typePPP   = 23
)

// Values of NMDeviceStateReason that people are told of.
const (
	reasonNoAddress    = 5
	reasonNoSecrets    = 7
	reasonSupplicant   = 8
	reasonPPPFailed    = 14
	reasonDHCPFailed   = 17
	reasonSSIDNotFound = 53
)

// Client asks NetworkManager.
type Client struct{ bus *bus.Bus }

// New makes a Client on a bus.
func New(b *bus.Bus) *Client { return &Client{bus: b} }

// Watch calls changed after every change of NetworkManager's objects; see bus.Bus.Watch.
func (c *Client) Watch(ctx context.Context, changed func()) error {
	return c.bus.Watch(ctx, service, changed)
}

// Devices tells of every interface that NetworkManager manages, by its name. Kinds are those of Ethernet and WiFi as it tells
// them apart; the rest of a LinkDevice's identity is for sysfs to tell. hal.ErrUnsupported when it does not run.
func (c *Client) Devices(ctx context.Context) (map[string]hal.LinkDevice, error) {
	all, err := c.bus.Objects(ctx, service, root)
	if err != nil {
		return nil, fmt.Errorf("asking NetworkManager: %w", err)
	}
	out := map[string]hal.LinkDevice{}
	for _, o := range all {
		p, ok := o[deviceOf]
		state := bus.Get[uint32](p, "State")
		if !ok || state <= stateUnmanaged || bus.Get[uint32](p, "DeviceType") == typeModem {
			continue
		}
		d := readDevice(all, o)
		if d.Kind == hal.LinkPPP {
			d.Parent = c.parentOf(ctx, all, p)
		}
		out[d.Name] = d
	}
	return out, nil
}

// readDevice reads one device's objects.
func readDevice(all bus.Objects, o map[string]bus.Properties) hal.LinkDevice {
	p := o[deviceOf]
	d := hal.LinkDevice{Name: bus.Get[string](p, "IpInterface"), Owner: hal.OwnerNetworkManager, MTU: int(bus.Get[uint32](p, "Mtu"))}
	if d.Name == "" {
		d.Name = bus.Get[string](p, "Interface")
	}
	// NMMetered: 1 yes, 3 guessed yes.
	metered := bus.Get[uint32](p, "Metered")
	d.Metered = metered == 1 || metered == 3
	d.State, d.Detail = readState(bus.Get[uint32](p, "State"), reasonOf(p))
	switch bus.Get[uint32](p, "DeviceType") {
	case typePPP:
		d.Kind = hal.LinkPPP
	case typeVLAN:
		d.Kind, d.Tag = hal.LinkVLAN, int(bus.Get[uint32](o[deviceOf+".Vlan"], "VlanId"))
		d.Parent = bus.Get[string](all[bus.Get[bus.Path](o[deviceOf+".Vlan"], "Parent")][deviceOf], "Interface")
	case typeWiFi:
		d.Kind = hal.LinkWiFi
		point := all[bus.Get[bus.Path](o[wirelessOf], "ActiveAccessPoint")][pointOf]
		d.WiFi = hal.WiFiLink{SSID: string(bus.Get[[]byte](point, "Ssid")), Signal: int(bus.Get[byte](point, "Strength"))}
		if d.State == hal.LinkOff && d.Detail == "" {
			d.Detail = "no WiFi network is joined"
		}
	default:
		d.Kind = hal.LinkEthernet
		if d.State == hal.LinkOff && d.Detail == "" && bus.Get[uint32](p, "State") < 30 {
			d.Detail = "no cable"
		}
	}
	v4, v6 := all[bus.Get[bus.Path](p, "Ip4Config")][service+".IP4Config"], all[bus.Get[bus.Path](p, "Ip6Config")][service+".IP6Config"]
	d.Addrs = append(readAddresses(v4), readAddresses(v6)...)
	lease := bus.Get[bus.Options](all[bus.Get[bus.Path](p, "Dhcp4Config")][service+".DHCP4Config"], "Options")
	d.Gateways = readGateways(v4, v6, lease)
	d.DNS = readServers(v4, lease)
	return d
}

// reasonOf is the second half of StateReason (uu).
func reasonOf(p bus.Properties) uint32 {
	pair := bus.Get[[]any](p, "StateReason")
	if len(pair) != 2 {
		return 0
	}
	reason, _ := pair[1].(uint32)
	return reason
}

func readState(state, reason uint32) (hal.LinkState, string) {
	switch {
	case state >= statePrepare && state < stateActivated:
		return hal.LinkConnecting, ""
	case state == stateActivated:
		return hal.LinkConnected, ""
	case state == stateFailed:
		return hal.LinkFailed, reasonText(reason)
	}
	return hal.LinkOff, reasonText(reason)
}

// reasonText is a reason of NMDeviceStateReason for people; "" for those that say nothing to them.
func reasonText(reason uint32) string {
	switch reason {
	case reasonNoAddress, 15, 16, reasonDHCPFailed:
		return "the network gives no address"
	case reasonNoSecrets, reasonSupplicant, 9, 10:
		return "wrong password"
	case 11:
		return "the network does not answer"
	case 12, 13, reasonPPPFailed:
		return "the provider ended the session or refused user and password"
	case reasonSSIDNotFound:
		return "the network is out of range"
	case 35:
		return "the device's firmware is missing"
	}
	return ""
}

func readAddresses(config bus.Properties) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range bus.Get[[]bus.Options](config, "AddressData") {
		text, _ := a["address"].Value().(string)
		bits, _ := a["prefix"].Value().(uint32)
		if addr, err := netip.ParseAddr(text); err == nil && int(bits) <= addr.BitLen() {
			out = append(out, netip.PrefixFrom(addr, int(bits)))
		}
	}
	return out
}

// readGateways are those of the configuration, or, as with connections that never have a default route, of the lease.
func readGateways(v4, v6 bus.Properties, lease bus.Options) []netip.Addr {
	var out []netip.Addr
	routers, _ := lease["routers"].Value().(string)
	first, _, _ := strings.Cut(routers, " ")
	for _, candidates := range [][]string{{bus.Get[string](v4, "Gateway"), first}, {bus.Get[string](v6, "Gateway")}} {
		for _, text := range candidates {
			if a, err := netip.ParseAddr(text); err == nil && !a.IsUnspecified() {
				out = append(out, a.WithZone(""))
				break
			}
		}
	}
	return out
}

// readServers are the name servers that the network told, also where the connection ignores them.
func readServers(v4 bus.Properties, lease bus.Options) []netip.Addr {
	var out []netip.Addr
	add := func(text string) {
		if a, err := netip.ParseAddr(text); err == nil && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	for _, s := range bus.Get[[]bus.Options](v4, "NameserverData") {
		text, _ := s["address"].Value().(string)
		add(text)
	}
	told, _ := lease["domain_name_servers"].Value().(string)
	for text := range strings.FieldsSeq(told) {
		add(text)
	}
	return out
}

// parentOf is the interface that a PPPoE session stands on: its connection says so.
func (c *Client) parentOf(ctx context.Context, all bus.Objects, p bus.Properties) string {
	connection := bus.Get[bus.Path](all[bus.Get[bus.Path](p, "ActiveConnection")][activeOf], "Connection")
	stored, err := c.stored(ctx, connection)
	if err != nil {
		return "" // it has just gone
	}
	parent, _ := stored["pppoe"]["parent"].Value().(string)
	return parent
}

// stored reads a connection's settings, without its secrets.
func (c *Client) stored(ctx context.Context, connection bus.Path) (bus.Settings, error) {
	var s bus.Settings
	if err := c.bus.Call(ctx, service, connection, storedOf+".GetSettings", nil, &s); err != nil {
		return nil, fmt.Errorf("reading a connection of NetworkManager: %w", err)
	}
	return s, nil
}

// device returns the path of an interface and its properties.
func device(all bus.Objects, name string) (bus.Path, map[string]bus.Properties, error) {
	for path, o := range all {
		if p, ok := o[deviceOf]; ok && name != "" && (bus.Get[string](p, "Interface") == name || bus.Get[string](p, "IpInterface") == name) {
			return path, o, nil
		}
	}
	return "", nil, fmt.Errorf("NetworkManager has no device %s: %w", strconv.Quote(name), hal.ErrNotFound)
}
