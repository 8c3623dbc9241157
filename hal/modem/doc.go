// Package modem controls 3G/LTE modems through ModemManager, over D-Bus (its API reference, version 1.18 and newer).
//
// A PIN is given once for each call, and never when it would be the last try unless the caller says so: a wrong one at that point locks the
// card until its PUK is found. Secrets go to ModemManager and the dialler's pipe, never into an argument or a log.
//
//	state.go     its modems as link devices
//	control.go   PIN, connection, reset
//	messages.go  short messages
//	session.go   a connection over a serial port: pppd
//
// Locks: Sessions.mu guards which diallers run; nothing waits while it is held.
package modem
