// Package emulator gives a pair of TAP devices the manners of a real WAN link:
// a rate, a one-way delay, jitter, loss and a drop-tail queue for each
// direction, a cut that the ends do or do not notice, all changeable while
// frames fly. It exists because the lab must run on kernels without netem.
//
// What it owns: the two TAP file descriptors of a [Link] and the frames between
// them. It opens TAP devices in whatever network namespace the calling thread
// is in ([OpenTAP]); addresses and routes on them belong to the caller.
//
// The way of a frame, in one direction:
//
//	TAP ─▶ queue ─▶ transmitter ─▶ line ─▶ TAP
//	       drop-    rate, then      delay + jitter,
//	       tail     random loss     never overtaking
//
// [Pipe] is that way on a virtual clock: no goroutines, no system calls, the
// time is an argument. A pump (pump.go) drives one Pipe with the real clock
// and two TAPs, on an operating-system thread of its own: one ppoll(2) waits
// both for the next frame and for the next due time, because a Go timer's
// error (up to a millisecond on a busy machine) would be added to every frame.
//
// Locks: each pump has one mutex around its Pipe, held for one frame at a time
// and by [Link.Set], [Link.Cut], [Link.Heal] and [Link.Counters]. Link has one
// mutex around its settings; the order is Link, then pump.
package emulator
