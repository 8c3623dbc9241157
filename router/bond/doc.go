// Package bond braids several links into one: packets of one flow go over all of them at once and come out in order.
//
// It owns everything between the packet device and the sockets of the links, except encryption and the sockets themselves: the
// rate of each path (rate.go), what is on its way (ledger.go), the queue at the entrance (entrance.go), the choice of a path
// (scheduler.go), the queues of classes (class.go), what is made from repairs (repair.go), the judgement that a path is dead (suspect.go),
// what the receiver reports (receipt.go), the order of what comes out (order.go), and the frames that all of it travels in (frame.go). Core ties
// them together; docs/BOND.md is the specification of the wire format and of the control law.
//
// # Time and locks
//
// Nothing here reads a clock, starts a goroutine or takes a lock. A Core is confined to one goroutine, which hands it packets, datagrams
// and the time, and asks it when it wants to be called next. So the whole bond runs in a test on a clock of its own, over links that
// the test makes up, and gives the same result each time.
//
// # Place in the flow's way
//
// plan leads the flows of a bond into its packet device; relay is the other end.
package bond
