// Package wifi joins networks by wpa_supplicant where neither NetworkManager nor netifd runs: over the control socket that it has for each device
// below its ctrl_interface (wpa_ctrl, version 2.7 and newer). Addresses are the router's own client's. Passwords go to wpa_supplicant, which keeps them when its
// configuration says update_config=1; none is read back or logged.
//
//	control.go  the socket: commands, answers, events
//	parse.go    what it says of networks
//	wifi.go     devices, scan, join, forget
//
// Locks: none; a Client holds no state.
package wifi
