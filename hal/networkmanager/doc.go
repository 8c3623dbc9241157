// Package networkmanager is what NetworkManager owns, over D-Bus (its API reference, version 1.22 and newer).
//
// A device that a link stands on gets a connection of ours, which never has a default route nor name servers: routes over links are
// the router's own, and NetworkManager's go on for everybody else. A connection that a person made is left as it is. Passwords go to
// NetworkManager, which keeps them; none is read back or logged. IPv6 of our connections is the kernel's (method "ignore"): it
// takes addresses and routes from advertisements, as on every other machine.
//
//	state.go     its objects as link devices
//	profile.go   connections: Ethernet, PPPoE, VLAN
//	wifi.go      scan, join, forget
//
// Locks: none; a Client holds no state.
package networkmanager
