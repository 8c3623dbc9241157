// Package dpi reads names off the wire: what protocol a flow speaks and which host it asks for, from copies of
// its first packets.
//
// It owns the decoding of IP packets (packet.go), one parser per protocol and file (tls.go, http.go, quic.go, ...), the reading of a flow
// with all of them (reader.go, stream.go, datagrams.go), and the table of flows that are being read (tracker.go). It decides nothing: a
// Finding goes to router/classify.
//
// All parsers are one type, Parser: a pure function of what was seen of a flow (View). They take bytes of a stranger: each is bounded in
// bytes, gives the same answer however the stream was cut into pieces, keeps nothing and allocates nothing (QUIC alone may remember
// decrypted packets, and pays for its ciphers once a connection). A new protocol is a new file and one line in Parsers.
//
// A flow is read for at most 8 payload packets of its client and 4 of its server, and at most 16 KiB of a direction. Only a
// parser that has recognised its own message and waits for its end, such as a ClientHello in tiny segments, may have more packets.
//
// Locks: none. Decode and the parsers are values confined to their goroutine; so is a Tracker: whoever reads the
// packet copies owns it and calls it from one goroutine.
//
// Place in the flow's way: flow -> dpi -> classify.
package dpi
