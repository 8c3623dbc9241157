// Package bus speaks to the machine's services over D-Bus: their objects as one value, calls, and changes.
//
// A connection is made when it is first needed and again after the bus was gone. Services are never started by a question:
// what a person stopped stays stopped. Place: hal/networkmanager and hal/modem -> bus -> godbus.
//
// Locks: Bus.mu guards the connection and is held while one is made, which takes at most the time of a local socket.
package bus
