// Package census lists the flows of a capture and says what each one is, with the same parsers, catalogue and order of trust as the
// running router.
//
// It owns the table of flows (table.go): which packets belong together, who the client is, when a flow ends. The names come from
// router/classify, which the capture itself teaches: its DNS answers (dns.go) and what its flows say of themselves. What a
// packet teaches counts for the flows that begin after it, as in life.
//
// All tables are bounded, so that a capture of any size is read in constant memory.
//
// Locks: none; a Census belongs to one goroutine. The time is that of the packets.
//
// Place in the flow's way: capture -> dpi, classify -> census -> the command line.
package census
