// Package wire holds the words that the lab's internet servers and LAN clients exchange: what a server saw of a
// client (Seen), the datagrams of the UDP echo and game servers (Datagram), and the framed, checksummed byte
// stream of the throughput servers (Order, Send, Receive, Outcome).
//
// It owns no socket and no goroutine; everything is a value or works on the reader and writer that it is given.
// All parsers are bounded and accept bytes from strangers: outside benches may point any program at these ports.
package wire
