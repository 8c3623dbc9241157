// Package link is a WAN link's life: is it alive, how well is it, and how much of its month's data is left?
//
// It owns, for one link:
//
//   - Machine: the state machine (down, up, degraded, captive). Pure; the time is an argument. It decides when to probe
//     what, and what the answers mean.
//   - Prober: one probe by ICMP, DNS, TCP or HTTP, over sockets that are bound to the link (hal.Sockets).
//   - Monitor: runs the two together and calls back when the state changes.
//   - History: what probes found, for five minutes each and for a day by the minute. Kept in memory.
//   - Meter: the monthly quota, with a clock that may jump. Pure.
//
// Place in the flow's way: beside it. The machine's events (carrier, addresses) and the probes' answers come in; the state goes to
// router/steer as the condition of the link, and the figures to the page.
//
// Locks: Monitor has one mutex over its Machine, held for computations only, never while probing or calling back.
// Machine, History and Meter have none and belong to one goroutine at a time.
package link
