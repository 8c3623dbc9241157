// Package haltest stands in for the machine in tests.
//
// Fake is a hal.Machine in memory. Its state prints as `nft list`, `ip rule` and `ip route` would print it, so that a
// test compares what a person would read; tests inject failures and events, and change things behind the back of
// the code under test. Conformance is the test that Fake and hal/linux both pass, so that what holds for the one holds for
// the other. InNamespace gives a test of the real machine a network namespace of its own.
//
// Place: beside hal, below everything that is tested with it. Locks: Fake has one mutex over its whole state;
// callbacks (events, connections, packets) run without it.
package haltest
