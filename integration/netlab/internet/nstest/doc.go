// Package nstest gives the tests of the lab's servers and clients network namespaces of their own, without names and
// without anything left behind: a namespace lives as long as the process in it.
//
// Main runs the whole test binary again as a child in a fresh namespace whose loopback holds all addresses of the lab's
// internet. Host makes a command that runs the test binary once more in a further namespace, joined to the first by a
// veth pair: a LAN host one hop away from the internet.
//
// All of it needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN); without, Main fails and says so.
package nstest
