// Package openwrt is what OpenWrt's network daemon, netifd, owns, over the message bus (its objects network.interface and iwinfo).
//
// netifd's interfaces become link devices as they are: it gets their addresses and dials their sessions, and its default routes in the main
// table hinder nobody, for no flow of the house looks there. Nothing is configured by this package; that is done in /etc/config/network.
//
//	interfaces.go  its interfaces as link devices
//	client.go      the connection, changes, and what stations hear
//
// Locks: Client.mu guards the connection.
package openwrt
