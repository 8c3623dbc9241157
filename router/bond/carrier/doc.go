// Package carrier moves the datagrams of bonds and the packets of their device: sockets tied to a link, the TUN device, and the one
// thread that waits for all of them.
//
// It owns system calls and nothing else: a Socket sends and receives datagrams in batches (recvmmsg, sendmmsg, with segmentation
// and coalescing by the kernel where it can), and tells when the kernel took each one from the link; a Device reads and writes IP packets,
// several of one flow in one call; a Poller waits for them to the microsecond; a Clock never goes back.
//
// Packets is the interface that the device shares with whatever else carries IP packets; Memory is such a thing without a kernel behind it.
//
// What a datagram means is not known here: router/bond/tunnel and router/relay drive router/bond and router/bond/seal with what arrives.
//
// # Locks
//
// Bell has one, so that Poller.Wake may be called from any goroutine, and Memory one between its two ends. Everything else is confined to
// the goroutine that polls: sockets, devices and the buffers they hand out.
package carrier
