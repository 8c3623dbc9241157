// Package capture reads and writes packet capture files: pcap and pcapng, of any byte order, and finds the IP packets in them.
//
// It owns the two file formats (pcap.go, pcapng.go, writer.go), the link layers around an IP packet (link.go, wifi.go) and the putting
// together of IP fragments (fragments.go). A file is read as a stream, record by record, with one buffer: its size does not
// matter. Files come from strangers: whatever they hold, reading ends with an error that names the place, never with a panic,
// and what was read before stays good.
//
// Locks: none; a Reader, a Writer and a Reassembler belong to one goroutine. The time is that of the packets.
//
// Place in the flow's way: before dpi, for flows that come out of a file and not out of the kernel.
package capture
