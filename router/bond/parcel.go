package bond

import "time"

// parcel is one packet of the packet device on its way to the other end. It lives until it arrived or is too old to matter.
type parcel struct {
	packet    []byte
	flow      uint16
	order     uint32        // in its flow, 24 bits
	number    uint32        // in the bond; set when it is given to a path
	born      time.Duration // taken from the packet device
	first     time.Duration // sent for the first time
	kind      parcelKind
	service   Service
	copies    uint8 // of it that are in a path's queue or on the wire
	numbered  bool
	unordered bool // a bare acknowledgement: neither waited for nor sent again
	sent      bool // at least once
	twice     bool // a second path had a copy from the beginning
	done      bool // arrived; copies that are left are dropped
}

// parcelKind is what a path's queue is ordered by.
type parcelKind uint8

const (
	sparse parcelKind = iota // of a flow that sends little: passes by
	again                    // sent before and missed, by the bond or by TCP inside
	bulk
	kinds
)

// parcels keeps parcels and their memory for use again.
type parcels struct{ free []*parcel }

// maxFree bounds the memory kept: about 8 MB of packets.
const maxFree = 4096

func (p *parcels) get(packet []byte) *parcel {
	var x *parcel
	if n := len(p.free); n > 0 {
		x, p.free = p.free[n-1], p.free[:n-1]
	} else {
		x = new(parcel)
	}
	*x = parcel{packet: append(x.packet[:0], packet...)}
	return x
}

// drop ends one copy of a parcel; the last one frees it.
func (p *parcels) drop(x *parcel) {
	if x.copies--; x.copies == 0 {
		p.discard(x)
	}
}

// discard frees a parcel of which no path has a copy.
func (p *parcels) discard(x *parcel) {
	if len(p.free) < maxFree {
		p.free = append(p.free, x)
	}
}
