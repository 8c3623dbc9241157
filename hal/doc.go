// Package hal is the contract with the machine: value types and small interfaces, without a system call.
//
// Everything above this package is pure or speaks to these interfaces alone. hal/linux implements them with
// netlink, nftables and sockets; hal/haltest implements them as a fake whose state prints as the text of
// `nft list ruleset`, `ip rule`, `ip route` and `tc`, so that a test compares what a person would read.
//
// All implementations are safe for concurrent use. Methods that wait take a context and return its error when it
// ends. An error names what was being done; errors.Is with the Err values of this package tells the cause.
package hal
