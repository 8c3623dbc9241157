// Package dpi reads names off the wire: what protocol a flow speaks and which host it asks for, from copies of
// its first packets.
//
// It owns the decoding of IP packets (packet.go), one parser per protocol and file (tls.go, http.go, quic.go), and the table of
// flows that are being read (tracker.go). It decides nothing: a Finding goes to router/classify.
//
// All parsers are one interface, Parser. They take bytes of a stranger: each is bounded in bytes and in memory, gives the
// same answer however the stream was cut into pieces, and does not allocate while it reads. A new protocol is a new
// file and one line in Protocols.
//
// Locks: none. Decode and the parsers are values confined to their goroutine; so is a Tracker: whoever reads the
// packet copies owns it and calls it from one goroutine.
//
// Place in the flow's way: flow -> dpi -> classify.
package dpi
