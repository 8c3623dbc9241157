package host

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

// MaxAddrs is how many addresses of one device are kept: IPv6 privacy addresses live for a week, one a day.
const MaxAddrs = 32

// Device is a device of the LAN, as it was when asked for. Its slices must not be changed.
type Device struct {
	Number    flow.DeviceID
	ID        string // slug: the policy's, or made from the host name or the MAC; unique
	Name      string // for people: the policy's name, else the host name, else vendor or MAC
	Hostname  string // as the device told the DHCP server
	Vendor    string // "" when not known
	MACs      []flow.MAC
	Addrs     []netip.Addr // sorted
	Owner     string       // person id of the policy
	Named     bool         // the policy names it
	Interface string       // where it was last seen
	FirstSeen time.Time
	LastSeen  time.Time
}

// entry is a device inside the registry.
type entry struct {
	number     flow.DeviceID
	id         string
	policyName string
	owner      string
	named      bool
	wasNamed   bool // the policy named it before
	hostname   string
	iface      string
	macs       []flow.MAC // replaced, never changed
	addrs      map[netip.Addr]*address
	pinned     []netip.Addr // the policy's
	first      time.Time
	last       time.Time
	confirmed  bool // a lease, a host name or the policy speaks for it
	fresh      bucket
	view       *Device // nil when it must be made anew
	saved      time.Time
}

// evidence tells how sure it is that an address belongs to a device.
type evidence uint8

const (
	byPacket evidence = iota
	byNeighbour
	byLease
	byPolicy
)

type address struct {
	seen     time.Time
	evidence evidence
	proved   time.Time // when evidence stronger than a packet was last seen
}

// bucket limits a rate: it fills by one token per interval up to its size.
type bucket struct {
	tokens float64
	at     time.Time
}

func (b *bucket) take(now time.Time, size int, every time.Duration) bool {
	if b.at.IsZero() {
		b.tokens = float64(size)
	} else if d := now.Sub(b.at); d > 0 { // a clock that steps back gives nothing
		b.tokens = min(b.tokens+d.Seconds()/every.Seconds(), float64(size))
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// device returns the value for readers.
func (e *entry) device(v vendors) Device {
	if e.view == nil {
		d := &Device{Number: e.number, ID: e.id, Hostname: e.hostname, MACs: e.macs, Owner: e.owner, Named: e.named, Interface: e.iface, FirstSeen: e.first}
		for a := range e.addrs {
			d.Addrs = append(d.Addrs, a)
		}
		slices.SortFunc(d.Addrs, netip.Addr.Compare)
		for _, m := range e.macs {
			if d.Vendor = v.of(m); d.Vendor != "" {
				break
			}
		}
		d.Name = e.displayName(d.Vendor)
		e.view = d
	}
	d := *e.view
	d.LastSeen = e.last
	return d
}

func (e *entry) displayName(vendor string) string {
	switch {
	case e.policyName != "":
		return e.policyName
	case e.hostname != "":
		return e.hostname
	case e.named:
		return e.id
	case len(e.macs) == 0:
		return e.id
	case vendor != "" && vendor != PrivateVendor:
		return vendor + " " + e.macs[0].String()[9:]
	}
	return e.macs[0].String()
}

// wish is the id that the device would have if nobody else had it.
func (e *entry) wish() string {
	if s := slug(e.hostname); s != "" {
		return s
	}
	if len(e.macs) > 0 {
		return "device-" + strings.ReplaceAll(e.macs[0].String(), ":", "")
	}
	return "device"
}

// slug makes an id of a host name: its first label in a-z, 0-9 and '-', at most 40 characters; "" when nothing is left.
func slug(hostname string) string {
	label, _, _ := strings.Cut(hostname, ".")
	var b strings.Builder
	for _, r := range strings.ToLower(label) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if s := b.String(); s != "" && s[len(s)-1] != '-' {
			b.WriteByte('-')
		}
		if b.Len() >= 40 {
			break
		}
	}
	return strings.Trim(b.String(), "-")
}

// cleanHostname keeps what a person can read of a name that a stranger chose: printable ASCII of host names, at most 63 characters.
func cleanHostname(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			b.WriteRune(r)
		}
		if b.Len() >= 63 {
			break
		}
	}
	return strings.Trim(b.String(), ".-_")
}
