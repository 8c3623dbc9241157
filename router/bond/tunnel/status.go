package tunnel

import (
	"cmp"
	"context"
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/bond"
)

const (
	// Outer is what a datagram of the tunnel weighs beyond its packet over IPv6: IP 40, UDP 8, seal 24, frame 14.
	Outer = 40 + 8 + 24 + 14
	// DefaultMTU fits a dialled line's 1,492 bytes (RFC 2516 section 7) over IPv6, so that no datagram is too long on an ordinary link of either
	// family: it holds until the bond has found what its paths carry.
	DefaultMTU = 1492 - Outer
	// MostMTU fits Ethernet's 1,500 bytes over IPv4.
	MostMTU = 1500 - (Outer - 20)
	// LeastMTU is what IPv6 asks of every link (RFC 8200 section 5).
	LeastMTU = 1280
)

// MTU is that of a tunnel for one end: at most what was configured (0: not said) and what it found itself (0: nothing yet).
func MTU(configured, found int) int {
	return max(LeastMTU, min(cmp.Or(configured, MostMTU), cmp.Or(found, DefaultMTU)))
}

// Status is a bond as people ask for it.
type Status struct {
	Relay   string       `json:"relay"`
	Joined  bool         `json:"joined"`            // a session stands
	Trouble string       `json:"trouble,omitempty"` // why not
	Cipher  string       `json:"cipher,omitempty"`
	IPv4    netip.Addr   `json:"ipv4,omitzero"`
	IPv6    netip.Addr   `json:"ipv6,omitzero"`
	MTU     int          `json:"mtu"` // of the tunnel
	Paths   []PathReport `json:"paths"`
	Queued  int          `json:"queued_bytes"`
	Dropped uint64       `json:"dropped_packets"`
	Resent  uint64       `json:"resent_packets"`
	Held    int          `json:"held_packets"`   // that wait for an earlier one
	Late    uint64       `json:"late_packets"`   // after their place was given up
	Copies  uint64       `json:"copied_packets"` // that came twice
	// Packets from here by how they were carried; what there was none of is left out.
	Deliveries map[string]uint64 `json:"packets_by_delivery,omitempty"`
	Classes    map[string]uint64 `json:"packets_by_class,omitempty"`
}

// PathReport is one path.
type PathReport struct {
	ID       bond.PathID    `json:"id"`
	Name     string         `json:"name"`
	Device   string         `json:"device,omitempty"`
	Carrier  string         `json:"carrier"`           // "udp", or "tcp443" where UDP does not pass
	Trouble  string         `json:"trouble,omitempty"` // why the relay's web server cannot be used
	Remote   netip.AddrPort `json:"remote"`
	Up       bool           `json:"up"`
	Closed   bool           `json:"closed"`
	Rate     float64        `json:"rate_bps"` // bits a second that it is thought to carry from here
	Round    float64        `json:"round_ms"`
	Queue    float64        `json:"queue_ms"`
	Jitter   float64        `json:"jitter_ms"`
	MTU      int            `json:"mtu"` // the longest packet that passes from here; 0: not known yet
	Sent     uint64         `json:"sent_bytes"`
	Received uint64         `json:"received_bytes"`
	LossOut  float64        `json:"loss_out"` // share of all datagrams
	LossIn   float64        `json:"loss_in"`
	ShareOut float64        `json:"share_out"` // of the bond's bytes
	ShareIn  float64        `json:"share_in"`
}

// Status asks the running bond.
func (r *Router) Status(ctx context.Context) (s Status, err error) {
	err = r.loop.Do(ctx, func(now time.Duration) {
		s = Report(r.line, now)
		s.MTU = r.size
		s.Relay, s.Trouble = r.relay.Relay.String(), r.trouble
		if s.Trouble != "" {
			s.Trouble += r.streamTrouble()
		}
		if r.settled != nil {
			s.IPv4, s.IPv6 = r.settled.IPv4, r.settled.IPv6
		}
		for i := range s.Paths {
			for _, p := range r.strands {
				if p.ID == s.Paths[i].ID {
					s.Paths[i].Name, s.Paths[i].Device, s.Paths[i].Closed, s.Paths[i].Trouble = p.Name, p.Device, r.line.ways[p.ID].closed, p.trouble
				}
			}
		}
	})
	return s, err
}

// Report is the status of a line.
func Report(l *Line, now time.Duration) Status {
	c := l.Status()
	s := Status{Joined: l.Peer.Ready(now), Queued: c.Queued, Dropped: c.Dropped, Resent: c.Resent, Held: c.Held, Late: c.Late, Copies: c.Copies}
	s.Deliveries, s.Classes = map[string]uint64{}, map[string]uint64{}
	for m, n := range c.Modes {
		s.Deliveries[m.String()] = n
	}
	for k, n := range c.Classes {
		s.Classes[k.String()] = n
	}
	if s.Joined {
		s.Cipher = l.Peer.Cipher().String()
	}
	var out, in uint64
	for _, p := range c.Paths {
		out, in = out+p.Sent, in+p.Received
	}
	for _, p := range c.Paths {
		s.Paths = append(s.Paths, PathReport{
			ID: p.ID, Carrier: l.Carrier(p.ID), Remote: l.Remote(p.ID), Up: p.Up, Rate: p.Rate * 8, Round: milliseconds(p.Round), Queue: milliseconds(p.Queue),
			Jitter: milliseconds(p.Jitter), MTU: p.Largest, Sent: p.Sent, Received: p.Received, LossOut: share(uint64(p.LostOut), p.Out),
			LossIn: share(uint64(p.LostIn), p.In+uint64(p.LostIn)), ShareOut: share(p.Sent, out), ShareIn: share(p.Received, in),
		})
	}
	return s
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
