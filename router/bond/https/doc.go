// Package https carries a bond's datagrams where UDP does not pass: in capsules on a TLS connection to the relay's TCP port 443, which to
// everyone else is a web server's.
//
// It owns the connection from both ends: Dial makes one from a link and refuses whoever is not the relay (trust.go), Door finds the routers
// among the visitors of the relay's web site, and both make a Stream, which takes and gives datagrams as a carrier.Socket does. The request is
// that of RFC 9298 (proxying UDP in HTTP), the capsules are those of RFC 9297, in router/bond/capsule. Who the router is it does not know: the
// bond's own handshake, which travels inside, says that.
//
// # Locks
//
// A Stream has two goroutines, one for each direction, and a lock around what they share with the goroutine that polls. It has no long
// queue: what has waited for too long is dropped, for the bond would rather have it lost than late.
package https
