package dpi

import "encoding/binary"

// BitTorrent: peers over TCP (BEP 3) and uTP (BEP 29), the DHT (BEP 5), trackers (BEP 15), and peers of the same
// network (BEP 14). Obfuscated connections (MSE) look like noise and cannot be known.

const torrentHello = "\x13BitTorrent protocol"

const torrentBudget = len(torrentHello)

// readBitTorrent takes the handshake of either side.
func readBitTorrent(v *View, r *Result) Verdict {
	return opening(v, r, func(b []byte, _ *Result) Verdict { return starts(b, torrentHello) })
}

// readDHT takes a bencoded message of the DHT: a dictionary with a transaction and the type query, response or error.
func readDHT(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 12 || b[0] != 'd' {
		return NotMine
	}
	switch m, n := scanBencode(b); {
	case n > 0 && (m.kind != 'q' && m.kind != 'r' && m.kind != 'e' || !m.transaction):
		return NotMine
	case n == len(b):
		return Found
	case n > 0, starts(b, "d1:ad2:id20:") == Found, starts(b, "d1:rd2:id20:") == Found: // more follows, or the end is missing
		return maybe(r, 80)
	}
	return NotMine
}

// trackerMagic is the connection number of a request for one (BEP 15).
const trackerMagic = 0x41727101980

// readTracker takes the request for a connection, or an announcement whose peer has a name in the style of BEP 20.
func readTracker(v *View, r *Result) Verdict {
	b := v.Payload
	switch {
	case len(b) >= 16 && binary.BigEndian.Uint64(b) == trackerMagic && be32(b[8:]) == 0:
		return Found
	case len(b) >= 98 && be32(b[8:]) == 1 && b[36] == '-' && b[43] == '-':
		return sure(r, 80)
	}
	return NotMine
}

// readLocalPeers takes the announcement to peers of the same network (BEP 14).
func readLocalPeers(v *View, _ *Result) Verdict {
	if starts(v.Payload, "BT-SEARCH * HTTP/1.") != Found {
		return NotMine
	}
	return Found
}

// utpHeader is the header of BEP 29.
type utpHeader struct {
	kind     uint8 // data, fin, state, reset, syn
	conn     uint16
	delay    uint32 // of the other side, as measured
	window   uint32
	seq, ack uint16
}

const (
	utpState = 2
	utpSyn   = 4
)

func parseUTP(head []byte, size int) (h utpHeader, ok bool) {
	if len(head) < 20 || head[0]&15 != 1 || head[0]>>4 > utpSyn || head[1] > 3 || head[1] != 0 && size < 22 {
		return h, false
	}
	h = utpHeader{
		kind:   head[0] >> 4,
		conn:   binary.BigEndian.Uint16(head[2:]),
		delay:  be32(head[8:]),
		window: be32(head[12:]),
		seq:    binary.BigEndian.Uint16(head[16:]),
		ack:    binary.BigEndian.Uint16(head[18:]),
	}
	stamp := be32(head[4:])
	switch {
	case h.kind == utpSyn:
		ok = h.delay == 0 && h.ack == 0 && h.seq != 0 && size <= 64
	case h.kind == utpState:
		ok = stamp != 0 && size <= 64
	default:
		ok = stamp != 0
	}
	return h, ok && h.conn != 0 && h.window < 1<<28
}

// readUTP looks for a connection: the sides' numbers differ by one, and what one side acknowledges the other has sent.
// An opening alone is likely.
func readUTP(v *View, r *Result) Verdict {
	dir, head, size := v.datagram(0)
	first, ok := parseUTP(head, size)
	if !ok {
		return NotMine
	}
	agree := 0
	for i := 1; i < v.datagrams(); i++ {
		from, head, size := v.datagram(i)
		h, ok := parseUTP(head, size)
		switch {
		case !ok:
		case from != dir && h.conn == first.conn && first.kind == utpSyn && h.ack == first.seq:
			return Found
		case from != dir && (h.conn-first.conn == 1 || first.conn-h.conn == 1):
			agree++
		case from == dir && h.conn == first.conn && h.seq-first.seq < 1<<8:
			agree++
		}
	}
	switch {
	case agree >= 3:
		return sure(r, 80)
	case agree > 0 || first.kind == utpSyn:
		return maybe(r, 60)
	case v.datagrams() >= 6:
		return NotMine
	}
	return Need
}
