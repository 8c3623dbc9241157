package hal

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

// LinkKind is what a link device is made of.
type LinkKind string

const (
	LinkEthernet LinkKind = "ethernet" // a port, or a USB adapter for a cable
	LinkWiFi     LinkKind = "wifi"
	LinkStick    LinkKind = "stick" // a USB device that plays a network of its own: HiLink sticks, phones
	LinkModem    LinkKind = "modem" // a 3G/LTE modem that is unlocked and connected by this machine
	LinkPPP      LinkKind = "ppp"   // a session that was dialled over another device
	LinkVLAN     LinkKind = "vlan"
)

// LinkState is how far a link device has come.
type LinkState string

const (
	LinkOff        LinkState = "off"        // there, and nobody uses it; no cable, no network, no SIM
	LinkLocked     LinkState = "locked"     // needs a PIN, a PUK or a password from a person
	LinkConnecting LinkState = "connecting" // on its way
	LinkConnected  LinkState = "connected"  // has an address, as far as its owner tells
	LinkFailed     LinkState = "failed"     // gave up; Detail says why
)

// Owner is the service that configures a device. Two never configure one.
type Owner string

const (
	OwnerNone           Owner = ""               // nobody: our own DHCP client may
	OwnerNetworkManager Owner = "networkmanager" // its connections carry what we ask for
	OwnerModemManager   Owner = "modemmanager"   // it connects; addresses are ours to set as the bearer says
	OwnerNetifd         Owner = "netifd"         // OpenWrt's network daemon
	OwnerSupplicant     Owner = "wpa_supplicant" // it joins; addresses are our own client's
)

// LinkDevice is a device that can be a WAN link, as its owner and the kernel show it. Secrets are never part of it.
type LinkDevice struct {
	// ID names the place in which the device is plugged, and stays the same when it is plugged in there again:
	// "usb-1-1.2", "platform-fd580000.ethernet". It tells two sticks with one Ethernet address apart.
	ID       string
	Kind     LinkKind
	Name     string // network interface; "" while it has none, like a modem that is not connected
	Parent   string // LinkPPP, LinkVLAN: the interface below
	Tag      int    // LinkVLAN
	Model    string // in the words of its maker; "" when unknown
	MAC      flow.MAC
	Owner    Owner
	State    LinkState
	Detail   string // why it is in this state, for people; "" when there is nothing to say
	Addrs    []netip.Prefix
	Gateways []netip.Addr // at most one of each family
	DNS      []netip.Addr
	MTU      int          // 0: not said
	Prefix   netip.Prefix // IPv6 prefix that was delegated to the house; invalid: none
	Metered  bool         // the owner or its user says so
	OurDHCP  bool         // nobody else gets an IPv4 address for it: AddressClient may
	WiFi     WiFiLink     // LinkWiFi
	Modem    ModemLink    // LinkModem
}

// WiFiLink is what a station has joined.
type WiFiLink struct {
	SSID   string // "" when it has joined nothing
	Signal int    // 0 to 100
}

// ModemLink is a modem and its card.
type ModemLink struct {
	Lock       string // what the card asks for: "sim-pin", "sim-puk", ...; "" when it is unlocked
	Tries      int    // left for that; -1 when the modem does not tell
	Operator   string
	Technology string // "lte", "umts", "5gnr", ...
	Roaming    bool
	Signal     Signal
	Port       string // control port, for people: "ttyUSB0", "cdc-wdm0"
	Data       string // BearerPPP: the serial port that a session is dialled on
	Method     BearerMethod
}

// BearerMethod says how the addresses of a connected modem come to its interface.
type BearerMethod string

const (
	BearerNone   BearerMethod = ""
	BearerDHCP   BearerMethod = "dhcp"
	BearerStatic BearerMethod = "static" // Addrs, Gateways and DNS of the LinkDevice are to be set
	BearerPPP    BearerMethod = "ppp"    // over the serial port Data
)

// Signal is how well a modem hears its mast. Values that the modem does not tell are 0; none of them can be 0 in earnest.
type Signal struct {
	Quality int     // 0 to 100
	RSRP    float64 // dBm, -140 to -44 (3GPP TS 36.133)
	RSRQ    float64 // dB, -20 to -3
	SINR    float64 // dB
	RSSI    float64 // dBm
}

var (
	// ErrWrongPassword: the network or the card refused the secret. Nothing was kept, and nothing tries again by itself.
	ErrWrongPassword = errors.New("wrong password")
	// ErrWrongPIN: the card refused the PIN; what is left is in the modem's Tries.
	ErrWrongPIN = errors.New("wrong PIN")
	// ErrLastTry: one try is left, and another wrong PIN would lock the card for good: use it in a telephone.
	ErrLastTry = errors.New("only one try is left: unlock the card in a telephone, or say that the last try shall be used")
	// ErrOutOfRange: no access point of that name is heard.
	ErrOutOfRange = errors.New("no such network is heard")
	// ErrBusy: the device is at work for another request.
	ErrBusy = errors.New("the device is busy")
)

// LinkDevices lists what can be a WAN link, and announces changes.
type LinkDevices interface {
	LinkDevices(ctx context.Context) ([]LinkDevice, error)
	// WatchLinkDevices calls changed after every change of the list until the context ends, once at the start too. Changes
	// that come together are told once. changed runs on one goroutine. Services that go away and come back are waited for.
	WatchLinkDevices(ctx context.Context, changed func()) error
	// SetupLink has the owner of a device configure it as a link, so that it never puts a default route or name servers in
	// anybody's way. It may be called again and does nothing then. With OwnerNone it switches the device on and no more, and the machine's
	// firewall lets it pass as a link.
	SetupLink(ctx context.Context, device string, s LinkSetup) error
}

// LinkSetup is how a device is to be configured as a link.
type LinkSetup struct {
	Link    string       // the link's name; owners name what they keep after it
	Address netip.Prefix // stated; invalid: DHCP
	Metered bool
}

// Dialer makes links that stand on another device.
type Dialer interface {
	// Dial opens a PPPoE session or a VLAN and keeps it. The device appears among LinkDevices with the Parent.
	Dial(ctx context.Context, s DialSetup) error
}

// DialSetup is a PPPoE session (Tag 0) or a tagged network on a port.
type DialSetup struct {
	LinkSetup
	Parent   string
	Tag      int // 1 to 4094
	User     string
	Password string
	Service  string // that the concentrator must offer; "" for any
}

// Security is how a WiFi network is locked.
type Security string

const (
	SecurityOpen       Security = "open"
	SecurityWPA2       Security = "wpa2"       // passphrase, also WPA and the mixed modes
	SecurityWPA3       Security = "wpa3"       // SAE alone
	SecurityEnterprise Security = "enterprise" // IEEE 802.1X
)

// Network is a WiFi network that a device hears: the best access point of a name and security.
type Network struct {
	SSID      string // "" for a hidden one
	BSSID     flow.MAC
	Security  Security
	Signal    int // 0 to 100
	Frequency int // MHz
	Known     bool
	Joined    bool
}

// BestAccessPoints are networks out of all access points that a device hears: of those of one name and security the strongest stays, and the strongest
// network comes first.
func BestAccessPoints(heard []Network) (out []Network) {
	for _, n := range heard {
		i := slices.IndexFunc(out, func(o Network) bool { return o.SSID == n.SSID && o.Security == n.Security })
		switch {
		case i < 0:
			out = append(out, n)
		case n.Signal > out[i].Signal:
			out[i] = n
		}
	}
	slices.SortStableFunc(out, func(a, b Network) int { return cmp.Compare(b.Signal, a.Signal) })
	return out
}

// JoinRequest is a network to join and what it asks for.
type JoinRequest struct {
	SSID     string
	Password string   // passphrase, or the password of User
	Security Security // "": as the scan says; stated for hidden networks
	Hidden   bool
	User     string // SecurityEnterprise: PEAP with MSCHAPv2
	Metered  bool
}

// WiFi controls stations. Devices are named by their interface.
type WiFi interface {
	// ScanWiFi looks around and returns what is heard, the strongest first. It takes up to 20 seconds.
	ScanWiFi(ctx context.Context, device string) ([]Network, error)
	// JoinWiFi joins a network and remembers it. It returns when the network has let the station in, with ErrWrongPassword,
	// ErrOutOfRange or the owner's words otherwise; then nothing is remembered.
	JoinWiFi(ctx context.Context, device string, r JoinRequest) error
	// ForgetWiFi leaves a network and forgets its password. ErrNotFound when it is not known.
	ForgetWiFi(ctx context.Context, device, ssid string) error
}

// Bearer is how a modem reaches the internet.
type Bearer struct {
	APN      string
	User     string
	Password string
	Roaming  bool // may be used in another operator's network
	IPv6     bool
}

// Message is a short message.
type Message struct {
	ID     string // for deleting
	Number string
	Text   string
	At     time.Time // zero: not told
	Sent   bool      // by us
}

// Modems controls modems, which are named by the ID of their LinkDevice.
type Modems interface {
	// UnlockModem gives the card its PIN, once. It refuses with ErrLastTry when a wrong one would lock the card, unless
	// lastTry. After ErrWrongPIN the Tries of the LinkDevice are those that are left.
	UnlockModem(ctx context.Context, id, pin string, lastTry bool) error
	// ConnectModem switches the modem on and connects it; it may be called again and does nothing when that is so already.
	ConnectModem(ctx context.Context, id string, b Bearer) error
	DisconnectModem(ctx context.Context, id string) error
	// ResetModem starts the modem anew: for one that hangs.
	ResetModem(ctx context.Context, id string) error
	Messages(ctx context.Context, id string) ([]Message, error)
	SendMessage(ctx context.Context, id, number, text string) error
	DeleteMessage(ctx context.Context, id, message string) error
}

// Conflict is a service of the machine that does the router's work, too.
type Conflict struct {
	Service string
	Device  string // that it works on; "": the whole machine
	Grave   bool   // the router does not run beside it, where Device is a link's
	Text    string // what it does, for people
	Fix     string
}

// Hardware is the link devices of a machine and what can be done with them. What a machine has no service for is refused
// with ErrUnsupported and the package that brings it.
type Hardware interface {
	LinkDevices
	Dialer
	WiFi
	Modems
	// Conflicts lists the services that are in the router's way, or whose way it would be in.
	Conflicts(ctx context.Context) ([]Conflict, error)
}
