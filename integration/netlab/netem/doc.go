// Package netem gives a cable the manners of a real WAN link as package emulator does, with the kernel's own means: the
// queueing discipline netem (tc-netem(8)). Where the kernel has it, frames cost less and come more evenly than through user space.
//
// What it owns: on each of two devices a queueing discipline, an ingress hook and filters. The devices are the inner ends of two
// veth pairs, in a namespace of the wire's own; their peers are the customer's and the provider's device. So whatever the
// router does to its own device, a shaper for instance, stands before the wire and not in its place.
//
//	customer ══ near ─ingress─▶ redirect ─▶ far: netem (up)   ══ provider
//	            near: netem (down) ◀─ redirect ◀─ingress─ far
//
// What differs from package emulator: the queue is counted in packets (the queue's time in full-sized frames), and what loss and the full
// queue took is one number.
//
// Locks: a Link has one mutex around its settings and its netlink socket.
package netem
