package plan

import (
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/steer"
)

// Input is everything that the kernel's state follows from.
type Input struct {
	Now      time.Time
	Policy   *policy.Compiled
	LAN      []LAN
	Links    []Link
	Devices  []Device    // in any order; numbers are unique
	Names    []NameClass // every class in use, class 0 excluded
	Prefixes []PrefixClass
	Forwards []Forward
	DNS      DNS
	// BlockPage is the port at which refused HTTP flows get a page; 0: they are reset.
	BlockPage uint16
	Capture   Capture
	Queue     bool // the kernel can hold packets until the daemon has judged them (nft queue)
	// Shapings are the class trees of the links' devices and, on hal.DownloadDevice, of what goes to the LAN: qos.Tree.Shaping.
	Shapings []hal.Shaping
}

// LAN is an interface towards the household.
type LAN struct {
	Device string
	Nets   []netip.Prefix // its networks: never steered
	Absent bool           // there is no such device now: it is unplugged
	Guest  bool           // its hosts reach the internet, and the router only for what that takes
}

// Link is a WAN link as it stands now.
type Link struct {
	steer.LinkCondition
	Device   string
	Gateway4 netip.Addr // invalid: no IPv4 on this link; unspecified: nobody stands between, what leaves by the device is on its way
	Gateway6 netip.Addr // invalid: no IPv6 on this link; unspecified: as above
	MTU      int        // 0: the device's own
	Bond     bool       // packets leave by the device with the code of their delivery
	AcceptRA bool       // the default route of IPv6 comes from router advertisements
}

// has tells whether the link carries the family at all.
func (l Link) gateway(v6 bool) netip.Addr {
	if v6 {
		return l.Gateway6
	}
	return l.Gateway4
}

// Device is a LAN device that the kernel must tell apart. ID is the policy's or the registry's id.
type Device struct {
	Number flow.DeviceID
	ID     string
	MACs   []flow.MAC
	Addrs  []netip.Addr // only for devices without a MAC on our LAN
}

// NameClass is an interned class of host names: Host is one name of the class, which stands for all of them.
type NameClass struct {
	Class    flow.NameClass
	App      string
	Category string
	Host     string
	Domains  []policy.Domain // the policy's selectors that match Host
}

// PrefixClass names an address range of which the catalogue knows the application.
type PrefixClass struct {
	Prefix netip.Prefix
	Class  flow.NameClass
}

// Forward leads a port of every WAN link to a LAN device.
type Forward struct {
	Name  string
	Proto flow.Proto // TCP or UDP
	Port  uint16
	To    netip.AddrPort
}

// DNS says how name queries of the LAN are treated.
type DNS struct {
	Redirect bool   // queries to any server on port 53 are answered by our resolver
	Port     uint16 // where it listens
}
