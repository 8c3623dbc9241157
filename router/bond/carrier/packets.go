package carrier

import "net/netip"

// Packets is what carries IP packets in batches: the TUN device, a pair in memory, or something of a third party. It is made by an Opener,
// gives packets to Read and takes them by Write until Close.
//
// One goroutine uses it, the one whose Poller watches FD; no call waits. A packet is a whole IP packet, IPv4 or IPv6, without any header
// before it. What cannot be taken is lost, as on a wire: an error means that nothing will ever pass again.
type Packets interface {
	// FD is a descriptor that poll(2) finds readable while Read has something to give. It is not to be read by others.
	FD() int
	// Read hands over a batch of packets, which may be empty. Each slice is valid during its call, and may be changed in it.
	Read(f func(packet []byte)) error
	// Write takes a packet, whose memory the caller keeps. It leaves at the next Flush at the latest.
	Write(packet []byte) error
	// Flush lets go what was written.
	Flush() error
	// Close ends it; what was written and not flushed is lost.
	Close() error
}

// Interface is Packets with what a machine knows of a network interface.
type Interface interface {
	Packets
	// Configure gives it exactly these addresses and this MTU in bytes, and brings it up.
	Configure(mtu int, addrs []netip.Prefix) error
	// SetMTU changes the MTU alone.
	SetMTU(mtu int) error
}

// Opener makes an Interface of that name, down and without addresses: OpenDevice and Memory.Open are two.
type Opener func(name string) (Interface, error)
