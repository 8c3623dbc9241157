// Package hardware tests the router on devices that come and go: NetworkManager and ModemManager own them, as on any
// Debian, and the router makes links of them.
package hardware
