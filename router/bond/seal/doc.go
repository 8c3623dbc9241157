// Package seal makes the datagrams of a bond safe: who is at the other end, what nobody else can read, forge or send twice.
//
// It owns the handshake between a router and a relay (Noise IKpsk2, handshake.go), the cookie against floods of first messages
// (cookie.go), the sessions with their ciphers and their change from one to the next (session.go, cipher.go), and the refusal of what
// arrived before (window.go). docs/BOND.md, "Handshake and sealing", is the specification.
//
// # Time and locks
//
// Nothing here reads a clock, opens a socket, starts a goroutine or takes a lock: time is an argument, datagrams go in and come out. An
// Endpoint with its Peers is confined to one goroutine. Sealing and opening allocate nothing when the buffers that the caller hands over
// are large enough.
//
// # Place in the flow's way
//
// The carrier of a bond seals the frames that router/bond makes and opens what the sockets of its links receive. The package knows neither:
// a frame is a slice of bytes, a path a small number.
package seal
