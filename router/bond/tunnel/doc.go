// Package tunnel puts a bond together: the core of router/bond, the keys of router/bond/seal and the sockets of router/bond/carrier.
//
// It owns a Line, which is one end of one bond with whoever is at the other end, and the router's end: a Router has one Line, a socket
// for each link, a TUN device, the greeting of the relay and what the relay told it (its addresses, control.go). router/relay has many
// Lines. It also owns the invite, the text by which a router finds and joins a relay (invite.go), what a router keeps of it on disk (state.go) and
// the configuration of a router that is a bond and nothing else (config.go).
//
// # Locks
//
// A Router runs on one goroutine with a thread of its own; everything in a Line is confined to it. Router.Status, Close and Open
// may be called from any goroutine: they leave a request with the running loop and wait for it.
package tunnel
