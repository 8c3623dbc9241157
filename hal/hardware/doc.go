// Package hardware is the link devices of a machine, whoever owns them: it puts together what sysfs shows, what NetworkManager (on
// OpenWrt netifd) and ModemManager tell, and what is left for the router itself to do. It implements hal.Hardware.
//
// A service that goes away for a moment takes nothing with it: what it told last holds for as long as the device is there, so that a new
// start of NetworkManager or of the bus moves no flow of other links. A machine without the services has its ports and sticks all the same.
//
// Locks: Hardware.mu guards what was told last; nothing is asked while it is held.
package hardware
