// Package hostapd runs WiFi networks of the household by the program of that name (version 2.9 and newer), which the router starts, watches
// and ends: one for each radio.
//
//	config.go  the configuration file, made whole
//	server.go  puts it where nobody else reads it, and runs the program
package hostapd
