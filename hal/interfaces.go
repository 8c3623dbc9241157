package hal

import (
	"context"
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

// Interface is a network device as the kernel shows it.
type Interface struct {
	Index   int
	Name    string
	MAC     flow.MAC
	Kind    string // netlink's link type: "device", "veth", "bridge", "tun", ...
	Up      bool   // administratively up
	Carrier bool   // a cable, an association, a peer
	MTU     int
	Addrs   []netip.Prefix // address with the length of its network; link-local ones included
}

// Neighbour is an entry of the neighbour table (ARP, NDP).
type Neighbour struct {
	Interface string
	Addr      netip.Addr
	MAC       flow.MAC
	State     NeighbourState
	Deleted   bool // in an event: the entry is gone
}

// NeighbourState is the kernel's NUD state, reduced to what matters.
type NeighbourState uint8

const (
	NeighbourFailed    NeighbourState = iota // no answer
	NeighbourStale                           // was there, not confirmed of late
	NeighbourReachable                       // confirmed (also permanent and noarp)
)

// EventKind says what changed in the machine.
type EventKind uint8

const (
	InterfaceChanged EventKind = iota // Event.Interface holds the new state; Deleted when it is gone
	NeighbourChanged                  // Event.Neighbour
	RoutingChanged                    // a rule or route of any table was added or deleted, or routes went with their address or device
	FirewallChanged                   // another process committed an nftables transaction
	ShapingChanged                    // another process changed a queueing discipline, class or filter of some device
)

// Event is a change that the kernel announced.
type Event struct {
	Kind      EventKind
	Interface Interface
	Neighbour Neighbour
	Table     int  // RoutingChanged by a route: its table; by a rule, an address or a device: 0
	Deleted   bool // the object is gone
}

// Interfaces lists network devices and neighbours, and announces changes.
type Interfaces interface {
	Interfaces(ctx context.Context) ([]Interface, error)
	Neighbours(ctx context.Context) ([]Neighbour, error)
	// Received is how many packets the device has received since it exists: a sign of life of what is at its other end.
	// ErrNotFound when there is no such device.
	Received(device string) (uint64, error)
	// Watch calls f for every change until the context ends. f runs on one goroutine and must not block for long. When
	// the kernel dropped messages, Watch calls lost on the same goroutine, after which the caller reads everything anew.
	// It does so once at the start too, as soon as it listens: a caller that reads everything in lost misses nothing.
	Watch(ctx context.Context, f func(Event), lost func()) error
}

// Lease is what a DHCP server granted on a device.
type Lease struct {
	Addr    netip.Prefix
	Gateway netip.Addr // zero: the server named none
	DNS     []netip.Addr
	MTU     int // 0: not said
	Server  netip.Addr
	Expires time.Time
}

// AddressClient obtains an address for a device from the network it is plugged into and keeps it.
type AddressClient interface {
	// RunDHCP acquires and renews an IPv4 lease on the device until the context ends, configures the address on the
	// device (never a route), and calls f for every lease and renewal, and with a zero Lease when it is lost. It waits for
	// the device to exist. When the context ends, the address stays on the device, and the lease is not released.
	RunDHCP(ctx context.Context, device string, f func(Lease)) error
}
