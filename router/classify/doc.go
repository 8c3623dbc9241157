// Package classify says what a flow is: what it speaks, which host it goes to and which application that is, how sure that is, and why.
//
// It owns the knowledge that the router gathers while it runs (Names) and the numbers by which the kernel knows it
// (Interner). It watches nothing by itself: the resolver's answers and dpi's findings are handed to it, and it hands back the
// elements that the kernel's maps should hold.
//
// The order of trust, each with its confidence:
//
//	wire     this flow itself named the host (TLS, HTTP, QUIC)                   95; with an encrypted hello 60,
//	         or what it speaks belongs to one application alone                  unless the device asked for that name; dpi's
//	dns      this device was last given this address for that host              90; 70 if it was given it for another
//	                                                                             application's host, too
//	seen     this device named the host on this address before                  80
//	learned  any device named it on this address, protocol and port             65
//	shown    the server's certificate names it                                  70, when no host is known
//	prefix   the address range belongs to the application                       40
//	port     hardly anyone else uses the port                                   20
//
// Where an address was seen to serve different applications nothing is concluded from it alone: what was seen and learned
// there is forgotten, for this device and for all. The outer name of an encrypted ClientHello never overrides what DNS said, unless the
// device asked for that name, too: then the hello was a decoy, as browsers send it with every connection.
//
// Locks: an Interner and a Names each have one mutex; a Names calls its Interner while it holds its own, never the reverse.
// All methods are safe for concurrent use and none waits for anything else. The time is an argument.
//
// Place in the flow's way: dpi, resolver -> classify -> policy, plan.
package classify
