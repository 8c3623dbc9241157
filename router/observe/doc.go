// Package observe turns the kernel's connection table into what people want to see: running flows, rates and usage per device,
// application and link, events, and the list of warnings.
//
// # Counting
//
// Collector reads the whole table every two seconds (every second while somebody watches) and takes the final counters from destroy
// events. Each connection's growth since it was last seen is booked once, to the device and link that its mark names at that moment:
//
//   - what stood before the collector started is adopted: its counters are the zero line, its bytes are not counted again
//   - a connection that ends between two readings is booked with its final counters, and remembered for a while, so that a
//     reading that began earlier, or a late event, cannot book it twice
//   - counters that are smaller than before mean that they were reset, or that the kernel uses the entry anew: they count from zero
//   - a connection that is missing from a reading may come back (a listing can miss entries while the table changes); its zero line is kept
//
// Bytes are those of IP packets. "Up" is from the LAN (or the router itself) to the internet, whoever opened the connection.
//
// # Locks
//
// Collector.mu guards the connections and sums; it is held for one entry or one tick, never while the kernel or a callback
// is waited for. Snapshots are immutable and exchanged atomically. Events and Health have locks of their own and call no one under them.
//
// Place in the flow's way: at its end; it reads marks that plan's rules made, and feeds link (quota), store, engine and webui.
package observe
