package hal

import (
	"context"
	"net"
)

// Conn is a connected socket.
type Conn = net.Conn

// Capability is one kernel or machine feature, found by trying.
type Capability struct {
	Name     string // stable: "nft-inet", "nflog", "nft-queue", "fq_codel", ...
	What     string // what it is for, in plain words
	Present  bool
	Required bool   // the router does not run without it
	Instead  string // what serves when it is absent; "" when it is present
	Fix      string // what a person can do: a package or a module to install
	Detail   string // the kernel's or program's own words
}

// Prober finds out what the machine can do. It leaves nothing behind.
type Prober interface {
	Capabilities(ctx context.Context) ([]Capability, error)
}

// Machine is everything that the router needs of the machine it runs on.
type Machine interface {
	Firewall
	Routing
	Shapers
	Sysctls
	Interfaces
	AddressClient
	Connections
	PacketCopies
	PacketQueue
	Sockets
	Prober
}
