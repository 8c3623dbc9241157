package netlab

import (
	"context"
	"fmt"
	"net/netip"
)

// The network between the internet and the rented server. The internet has the first address, the server the next.
var (
	serverTransit4 = netip.MustParsePrefix("198.19.200.1/30")
	serverTransit6 = netip.MustParsePrefix("2001:db8:e200::1/64")
)

const (
	serverRole = "server"
	serverUp   = "up0"  // the server's device
	serverDoor = "srv0" // the internet's device towards it
)

// Server is the namespace of the rented server; nil without [Options.Server].
func (l *Lab) Server() *Namespace { return l.server }

// ServerAddrs are the rented server's addresses.
func ServerAddrs() (v4, v6 netip.Addr) { return far(serverTransit4).Addr(), far(serverTransit6).Addr() }

// buildServer connects the rented server with the internet.
func (l *Lab) buildServer(ctx context.Context) error {
	if l.server == nil {
		return nil
	}
	if err := l.internet.ip(ctx,
		fmt.Sprintf("link add %s type veth peer name %s netns %s", serverDoor, serverUp, l.server.name),
		fmt.Sprintf("address add %v dev %s", serverTransit4, serverDoor),
		fmt.Sprintf("address add %v dev %s nodad", serverTransit6, serverDoor),
		"link set "+serverDoor+" up",
	); err != nil {
		return err
	}
	return l.server.ip(ctx,
		fmt.Sprintf("address add %v dev %s", far(serverTransit4), serverUp),
		fmt.Sprintf("address add %v dev %s nodad", far(serverTransit6), serverUp),
		"link set "+serverUp+" up",
		fmt.Sprintf("route add default via %v", serverTransit4.Addr()),
		fmt.Sprintf("route add default via %v dev %s", serverTransit6.Addr(), serverUp),
	)
}
