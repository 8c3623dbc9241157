package relay

import (
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/bond"
	"github.com/trenza-router/trenza/router/bond/seal"
	"github.com/trenza-router/trenza/router/bond/tunnel"
)

// member is a router in the loop: its line, its addresses and what it may have.
type member struct {
	relay    *Relay
	line     *tunnel.Line
	ticket   seal.Ticket // of the invite, while the router has not proved that it has it
	joined   bool
	record   Joined
	kept     uint64 // greetings, on disk
	down, up bucket
	counts   traffic
	since    time.Time // of the bond's present life
	settings tunnel.Settings
	theirs   int // MTU that the router said; 0: nothing
	mtu      int // of the route to the router; 0: none stands
	pushes   int // times that changed settings are still to be told unasked
	now      time.Duration
}

// traffic counts what passed and what did not.
type traffic struct {
	DownBytes   uint64 `json:"down_bytes"` // towards the router
	UpBytes     uint64 `json:"up_bytes"`
	DownPackets uint64 `json:"down_packets"`
	UpPackets   uint64 `json:"up_packets"`
	Forged      uint64 `json:"forged_packets"`  // with an address that is not the router's
	Limited     uint64 `json:"limited_packets"` // above the router's limit
}

// Deliver implements tunnel.Inside: a packet of the router on its way out.
func (m *member) Deliver(packet []byte) {
	src, _, ok := addresses(packet)
	if !ok || !m.joined || src != m.record.IPv4 && src != m.record.IPv6 {
		m.counts.Forged++
		return
	}
	if !m.up.take(len(packet), m.now) {
		m.counts.Limited++
		return
	}
	m.counts.UpBytes += uint64(len(packet))
	m.counts.UpPackets++
	m.relay.write(packet)
}

// send takes a packet for the router.
func (m *member) send(packet []byte, now time.Duration) {
	if !m.down.take(len(packet), now) {
		m.counts.Limited++
		return
	}
	m.counts.DownBytes += uint64(len(packet))
	m.counts.DownPackets++
	m.line.Packet(packet, bond.Service{}, now) // it is carried as what it answers
}

// Control implements tunnel.Inside.
func (m *member) Control(message []byte) {
	parsed, err := tunnel.ParseMessage(message)
	if err != nil {
		return
	}
	switch x := parsed.(type) {
	case tunnel.Ask:
		if m.joined {
			m.relay.replies = append(m.relay.replies, m)
		}
	case tunnel.Size:
		m.theirs = max(int(x), tunnel.LeastMTU)
	case tunnel.Metered:
		for id := range bond.PathID(bond.MaxPaths) {
			m.line.MeterWay(id, x&(1<<id) != 0)
		}
	case tunnel.Closed:
		for id := range bond.PathID(bond.MaxPaths) {
			if x&(1<<id) != 0 {
				m.line.CloseWay(id, m.now)
			} else {
				m.line.OpenWay(id, m.now)
			}
		}
	}
}

// addresses reads source and destination of an IP packet.
func addresses(p []byte) (src, dst netip.Addr, ok bool) {
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:])), true
	case len(p) >= 40 && p[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(p[8:])), netip.AddrFrom16([16]byte(p[24:])), true
	}
	return src, dst, false
}

// bucket holds a router to its limit: what is beyond it is dropped, after a burst of a tenth of a second.
type bucket struct {
	rate float64 // bytes a second; 0: no limit
	left float64
	at   time.Duration
}

const (
	burstTime  = 0.1
	burstLeast = 64 << 10
)

func newBucket(bits uint64) bucket {
	rate := float64(bits) / 8
	return bucket{rate: rate, left: max(rate*burstTime, burstLeast)}
}

func (b *bucket) take(n int, now time.Duration) bool {
	if b.rate == 0 {
		return true
	}
	b.left = min(max(b.rate*burstTime, burstLeast), b.left+b.rate*(now-b.at).Seconds())
	b.at = now
	if b.left < float64(n) {
		return false
	}
	b.left -= float64(n)
	return true
}
