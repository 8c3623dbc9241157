// Package dnsmasq gives the hosts of the household addresses by the program of that name (version 2.80 and newer), which the router starts,
// watches and ends. It serves DHCP and router advertisements alone: names are the router's own.
//
//	config.go  the configuration file, made whole
//	server.go  checks a file before it takes the place of the one in use, and runs the program
package dnsmasq
