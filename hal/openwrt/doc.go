// Package openwrt is what OpenWrt's network daemon, netifd, owns, over the message bus (its objects network, network.interface, network.wireless,
// service, iwinfo, and rpcd's object uci).
//
// netifd's interfaces become link devices as they are: it gets their addresses and dials their sessions, and its default routes in the main
// table hinder nobody, for no flow of the house looks there. What a person asks the router to join or to dial is written into sections of the
// router's own in /etc/config; those of people stay as they are.
//
//	interfaces.go  its interfaces as link devices
//	client.go      the connection, changes, and what stations hear
//	uci.go         files of /etc/config, sessions and tagged networks, devices that the firewall is to know
//	join.go        WiFi networks
//	conflicts.go   services that do the router's work, too
//
// Locks: Client.mu guards the connection.
package openwrt
