package census

import (
	"bytes"
	"net/netip"

	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
)

const ftpPort = 21

// maxAnnounced bounds the announcements that wait for their connection. When there are more all are forgotten.
const maxAnnounced = 4096

// announced are the ends that data connections of FTP will be made to. What goes through them can be anything: only the control
// connection knows.
type announced map[netip.AddrPort]bool

// learn reads a segment of a control connection.
func (a announced) learn(p *dpi.Packet) {
	if p.Key.Proto != flow.ProtoTCP || p.Key.Src.Port() != ftpPort && p.Key.Dst.Port() != ftpPort {
		return
	}
	port, ok := dataPort(p.Payload)
	if !ok {
		return
	}
	if len(a) >= maxAnnounced {
		clear(a)
	}
	a[netip.AddrPortFrom(p.Key.Src.Addr(), port)] = true
}

// take tells whether a connection that begins was announced. An announcement is good for one.
func (a announced) take(key flow.Key) bool {
	if key.Proto != flow.ProtoTCP || !a[key.Dst] {
		return false
	}
	delete(a, key.Dst)
	return true
}

// dataPort reads the line that names a port where its sender waits: "PORT h1,h2,h3,h4,p1,p2" and "227 text (h1,h2,h3,h4,p1,p2)" (RFC 959 §4.1.2, §4.2),
// "EPRT |1|address|port|" and "229 text (|||port|)" (RFC 2428 §2, §3). The address is taken from the packet: behind address
// translation the one in the line is of no use.
func dataPort(b []byte) (uint16, bool) {
	line, rest, whole := bytes.Cut(b, []byte("\r\n"))
	if !whole || len(rest) > 0 {
		return 0, false
	}
	switch {
	case bytes.HasPrefix(line, []byte("PORT ")):
		return commaPort(line[len("PORT "):])
	case bytes.HasPrefix(line, []byte("227 ")):
		return commaPort(bytes.TrimRight(line[bytes.LastIndexAny(line, "( ")+1:], ")."))
	case bytes.HasPrefix(line, []byte("EPRT ")), bytes.HasPrefix(line, []byte("229 ")):
		fields := bytes.Split(bytes.TrimRight(line, ")."), []byte("|"))
		if len(fields) != 5 {
			return 0, false
		}
		return number(fields[3], 65535)
	}
	return 0, false
}

func commaPort(b []byte) (uint16, bool) {
	fields := bytes.Split(b, []byte(","))
	if len(fields) != 6 {
		return 0, false
	}
	for _, f := range fields[:5] {
		if _, ok := number(f, 255); !ok {
			return 0, false
		}
	}
	high, _ := number(fields[4], 255)
	low, ok := number(fields[5], 255)
	return high<<8 | low, ok
}

// number reads a decimal number from 0 to at most.
func number(b []byte, most int) (uint16, bool) {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + int(c-'0'); n > most {
			return 0, false
		}
	}
	return uint16(n), len(b) > 0
}
