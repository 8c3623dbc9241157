// Package autorate finds out what a link carries while it changes, so that the queue is in the router, where it can be managed,
// and not in a modem or a base station.
//
// A Law looks after one direction of one link. At each tick it is told what passed and how long probes took, and says to what rate to
// shape. It is pure: no clock, no I/O. router/link measures; the rate goes into router/qos as the link's capacity.
//
// # The law
//
// Probes come back later when a queue stands on the way. A reflector's baseline is the least delay of the last minute; what is
// above it, in the best of the last few answers, is the queue's delay. When that is above Bloat, the rate is set to what is delivered,
// times 0.55 to 0.85: the fuller the queue the less, so that it drains. What was delivered is remembered: below 0.9 of it the rate
// climbs by 8 % a tick, near it by 1 %. A memory ages, since the link changes: within some seconds the steps near it grow to 8 %.
//
// What is delivered is known exactly on the way down: the shaper stands behind the slow place and counts what comes out of it. On the way
// up it counts what goes in; but what was sent in a time t comes out in t plus the growth of the delay, so the delays tell
// the rest.
//
// A modem's signal is a hint: what it rules out (Ceiling) is not tried on the way down.
//
// A law begins with a second at its least rate, in which the reflectors answer without a queue of our own making.
//
// # What can go wrong
//
//   - Nothing comes back and nothing passes: the link stands still (a handover). The rate is kept and nothing is learned.
//   - Nothing comes back, but traffic passes: at first that looks like a deep queue, of which the silence is the sign. After 5 s the reflectors
//     are dead: a little less than the rate at the last answer holds.
//   - The delay jumps, faster than a queue grows: it is believed when it stays for 200 ms.
//   - The delay stays although the rate is far below what was delivered: the path got longer. The baseline starts anew.
//   - The delay is as often high when little is sent as when much is: it says nothing about load. The Law is Blind, and a static
//     rate holds until the delay tells something again.
//
// A Law belongs to one goroutine at a time.
package autorate
