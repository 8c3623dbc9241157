// Package netlab builds a home with three WAN links, and an internet for it, out
// of network namespaces on one machine:
//
//	           ┌─ isp-fiber ═════════ wan1 ─┐                ┌─ laptop
//	internet ──┼─ isp-wifi ══════════ wan2 ─┤ router ─ lan0 ─┤  phone
//	           └─ isp-lte (carrier NAT) wan3┘          switch├─ tv
//	                                                         ├─ console
//	 ═══ a link of package emulator                          └─ camera
//
// The providers hand out IPv4 by DHCP and an own IPv6 prefix by router
// advertisement. The router namespace has its LAN side configured (addresses,
// DHCP, router advertisements) and its WAN devices up; the rest is the work of
// the daemon under test. The hosts are real DHCP and SLAAC clients.
//
// What it owns: the namespaces of a [Lab], named `tzl<id>-<role>`, everything in
// them, their folders below /etc/netns, and one folder below /run/trenza-lab
// with the state file. Nothing is ever created in the machine's own network
// namespace. [Lab.Close] removes all of it; what a killed process left behind
// is found by its state file and removed by the next [New] ([Clean]).
//
// Other packages bring the traffic: netlab/internet (servers), netlab/client
// (programs on the hosts), netlab/traffic (the mix). They run as processes
// through [Namespace.Command] or [Lab.Spawn]. Another process steers a running
// lab through [Connect].
//
// Locks: a Lab's mutex guards its state file and its list of processes, a
// Host's mutex its lease. Neither is held while a program runs.
package netlab
