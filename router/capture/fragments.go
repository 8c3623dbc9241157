package capture

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/trenza-router/trenza/router/lru"
)

// Datagram is an IP packet that was whole on the wire, or was put together.
type Datagram struct {
	IP      []byte // good until the next call of the Reassembler
	Packets int    // captured packets that it came in: 1 for a whole one
	Bytes   int    // of those packets on the wire
}

// Bounds of a Reassembler: a capture can be full of pieces whose others never come.
const (
	maxDatagrams   = 256
	maxPieces      = 128
	maxFragmented  = 1<<16 - 1
	reassemblyTime = 30 * time.Second // RFC 791 §3.2 suggests 15 s, RFC 8200 §4.5 sets 60 s
)

// Reassembler puts the fragments of IP packets together (RFC 791 §3.2, RFC 8200 §4.5). Of bytes that two fragments claim the first to come
// count.
type Reassembler struct {
	open  *lru.Map[fragmentKey, *partial]
	ready []byte
}

// NewReassembler makes an empty one.
func NewReassembler() *Reassembler {
	return &Reassembler{open: lru.New[fragmentKey, *partial](maxDatagrams)}
}

type fragmentKey struct {
	src, dst netip.Addr
	proto    uint8
	id       uint32
}

// partial is a datagram of which pieces are missing.
type partial struct {
	began   time.Time
	header  []byte // of the first fragment, as it will stand before the whole
	next    int    // IPv6: where in header the number of the upper protocol belongs
	proto   uint8
	data    []byte
	have    []span // without overlap, by start
	total   int    // of data; -1 before the last fragment came
	packets int
	bytes   int
}

type span struct{ from, to int }

// piece is one fragment, taken apart.
type piece struct {
	key          fragmentKey
	header, data []byte
	next         int
	proto        uint8
	offset       int
	more         bool
}

// Add takes an IP packet, captured at that time with length bytes on the wire. A whole packet comes back at once; a fragment comes
// back as the datagram that it completes, or not at all. A packet that cannot be understood counts as whole.
func (f *Reassembler) Add(ip []byte, at time.Time, length int) (Datagram, bool) {
	p, ok := fragmentOf(ip)
	if !ok {
		return Datagram{IP: ip, Packets: 1, Bytes: length}, true
	}
	d := f.datagram(p.key, at)
	d.packets++
	d.bytes += length
	d.put(p)
	if !d.whole() {
		return Datagram{}, false
	}
	f.open.Delete(p.key)
	return f.join(d), true
}

// Expired returns a datagram that will not become whole: one that waits for too long, or with all set any one. What comes back is
// its start, up to the first gap.
func (f *Reassembler) Expired(now time.Time, all bool) (Datagram, bool) {
	for {
		key, p, ok := f.open.Oldest()
		if !ok || !all && !f.open.Full() && now.Sub((*p).began) < reassemblyTime {
			return Datagram{}, false
		}
		d := *p
		f.open.Delete(key)
		if len(d.have) > 0 && d.have[0].from == 0 && d.header != nil {
			d.total = d.have[0].to
			return f.join(d), true
		}
	}
}

func (f *Reassembler) datagram(key fragmentKey, at time.Time) *partial {
	if d := f.open.Peek(key); d != nil {
		return *d
	}
	d := &partial{began: at, total: -1}
	f.open.Put(key, d)
	return d
}

// put stores what is new of a piece.
func (d *partial) put(p piece) {
	end := p.offset + len(p.data)
	if end > maxFragmented || len(d.have) >= maxPieces || d.total >= 0 && end > d.total {
		return
	}
	if p.offset == 0 && d.header == nil {
		d.header, d.next, d.proto = slices.Clone(p.header), p.next, p.proto
	}
	if !p.more && d.total < 0 && (len(d.have) == 0 || d.have[len(d.have)-1].to <= end) {
		d.total = end
	}
	if len(d.data) < end {
		d.data = append(d.data, make([]byte, end-len(d.data))...)
	}
	from := p.offset
	for i := 0; from < end; i++ {
		if i < len(d.have) && d.have[i].to <= from {
			continue
		}
		to := end
		if i < len(d.have) {
			to = min(to, d.have[i].from)
		}
		if from < to {
			copy(d.data[from:to], p.data[from-p.offset:])
			d.have = slices.Insert(d.have, i, span{from, to})
		} else if i < len(d.have) {
			to = d.have[i].to
		}
		from = to
	}
	d.merge()
}

// merge joins spans that touch.
func (d *partial) merge() {
	kept := d.have[:0]
	for _, s := range d.have {
		if n := len(kept); n > 0 && kept[n-1].to == s.from {
			kept[n-1].to = s.to
		} else {
			kept = append(kept, s)
		}
	}
	d.have = kept
}

func (d *partial) whole() bool {
	return d.total >= 0 && d.header != nil && len(d.have) == 1 && d.have[0] == span{0, d.total}
}

// join writes the header of the first fragment and all data as one packet.
func (f *Reassembler) join(d *partial) Datagram {
	f.ready = append(append(f.ready[:0], d.header...), d.data[:d.total]...)
	b := f.ready
	if b[0]>>4 == 4 {
		binary.BigEndian.PutUint16(b[2:], uint16(min(len(b), 1<<16-1)))
		b[6], b[7] = 0, 0
	} else {
		binary.BigEndian.PutUint16(b[4:], uint16(min(len(b)-40, 1<<16-1)))
		b[d.next] = d.proto
	}
	return Datagram{IP: b, Packets: d.packets, Bytes: d.bytes}
}

// fragmentOf takes a fragment apart; ok is false for a packet that is whole or that cannot be understood.
func fragmentOf(b []byte) (p piece, ok bool) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return fragment4(b)
	case len(b) >= 40 && b[0]>>4 == 6:
		return fragment6(b)
	}
	return p, false
}

func fragment4(b []byte) (p piece, ok bool) {
	where := binary.BigEndian.Uint16(b[6:])
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if where&0x3fff == 0 || header < 20 || total < header || len(b) < total {
		return p, false // whole, broken, or cut by the capture
	}
	src, dst := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	return piece{
		key:    fragmentKey{src, dst, b[9], uint32(binary.BigEndian.Uint16(b[4:]))},
		header: b[:header], data: b[header:total], proto: b[9],
		offset: int(where&0x1fff) * 8, more: where&0x2000 != 0,
	}, true
}

// IPv6 extension headers that may stand before a fragment header (RFC 8200 §4.1).
const (
	hopByHop    = 0
	routing     = 43
	fragment    = 44
	destOptions = 60
)

func fragment6(b []byte) (p piece, ok bool) {
	total := 40 + int(binary.BigEndian.Uint16(b[4:]))
	if len(b) < total {
		return p, false
	}
	next, at := 6, 40 // where the number of the header at b[at] stands
	for range 8 {
		switch b[next] {
		case hopByHop, routing, destOptions:
			if total < at+8 {
				return p, false
			}
			next, at = at, at+8+int(b[at+1])*8
			continue
		case fragment:
		default:
			return p, false
		}
		break
	}
	if b[next] != fragment || total < at+8 {
		return p, false
	}
	where := binary.BigEndian.Uint16(b[at+2:])
	if where&^uint16(6) == 0 {
		return p, false // an "atomic" fragment, which is whole (RFC 6946)
	}
	src, dst := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	return piece{
		key:    fragmentKey{src, dst, b[at], binary.BigEndian.Uint32(b[at+4:])},
		header: b[:at], data: b[at+8 : total], next: next, proto: b[at],
		offset: int(where &^ 7), more: where&1 != 0,
	}, true
}
