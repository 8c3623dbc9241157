// Package enginetest runs a whole router over a machine in memory, for the tests of what stands on the engine: the
// interface, the page and the answers to "why".
//
// The house has a LAN, three links (fiber with both families, wifi without IPv6, a metered lte kept for emergencies), two
// devices and a name server behind the links that knows a few names. Nothing of the real machine is touched but loopback
// ports. The package owns no state; a House is safe for concurrent use.
package enginetest
