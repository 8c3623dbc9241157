package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// Ping sends ICMP echo requests. It needs CAP_NET_RAW in the host's namespace.
type Ping struct {
	Target
	Count    int           `json:"count,omitempty"`       // default 1
	Interval time.Duration `json:"interval_ns,omitempty"` // default 1 s, at least 1 ms
	Timeout  time.Duration `json:"timeout_ns,omitempty"`  // for the last answer, default 2 s
	Size     int           `json:"size,omitempty"`        // of the data, 16 to 1400 bytes, default 56
}

// Pinged is what came of a Ping.
type Pinged struct {
	Addr       netip.Addr `json:"addr"`
	Sent       int        `json:"sent"`
	Received   int        `json:"received"` // each request counts once
	Duplicates int        `json:"duplicates"`
	// Unreachable counts ICMP errors of routers about our requests.
	Unreachable int `json:"unreachable"`
	RTT         RTT `json:"rtt"`
	MaxGap      Gap `json:"max_gap"`
}

// icmpFamily is what differs between ICMP and ICMPv6.
type icmpFamily struct {
	network, any   string
	proto          int
	request, reply icmp.Type
	unreachable    icmp.Type
}

// Ping runs to its end; silence is no error. When ctx ends, the result is of what was done.
func (c *Client) Ping(ctx context.Context, job Ping) (Pinged, error) {
	job.Count, job.Interval = orDefault(job.Count, 1), orDefault(job.Interval, time.Second)
	job.Timeout, job.Size = orDefault(job.Timeout, 2*time.Second), orDefault(job.Size, 56)
	if job.Count < 1 || job.Interval < time.Millisecond || job.Size < 16 || job.Size > 1400 {
		return Pinged{}, badJob("ping: %d times every %v with %d bytes: want 1 or more, 1ms or more, 16 to 1400", job.Count, job.Interval, job.Size)
	}
	addrs, err := c.addresses(ctx, job.Target)
	if err != nil {
		return Pinged{}, err
	}
	// Which address has a route is asked with a UDP socket that sends nothing.
	probe := job.Target
	probe.Port, probe.SourcePort = 9, 0
	route, err := firstUDP(ctx, probe, addrs)
	if err != nil {
		return Pinged{}, err
	}
	to := addrPort(route.RemoteAddr()).Addr()
	route.Close()
	family := icmpFamily{"ip4:icmp", "0.0.0.0", 1, ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, ipv4.ICMPTypeDestinationUnreachable}
	if to.Is6() {
		family = icmpFamily{"ip6:ipv6-icmp", "::", 58, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, ipv6.ICMPTypeDestinationUnreachable}
	}
	bind := family.any
	if job.Source.IsValid() {
		bind = job.Source.String()
	}
	conn, err := icmp.ListenPacket(family.network, bind)
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			return Pinged{}, fmt.Errorf("ping needs CAP_NET_RAW: run the lab as root: %w", err)
		}
		return Pinged{}, fmt.Errorf("open ICMP socket: %w", err)
	}
	defer conn.Close()
	if job.DSCP != 0 {
		if to.Is4() {
			err = conn.IPv4PacketConn().SetTOS(job.DSCP << 2)
		} else {
			err = conn.IPv6PacketConn().SetTrafficClass(job.DSCP << 2)
		}
		if err != nil {
			return Pinged{}, fmt.Errorf("set DSCP: %w", err)
		}
	}
	p := &pinger{job: job, family: family, conn: conn, to: to, id: int(time.Now().UnixNano() & 0xffff), start: time.Now()}
	p.out.Addr = to
	p.watch = wire.NewStallWatch(p.start)
	var wg sync.WaitGroup
	wg.Go(func() { p.send(ctx) })
	p.receive()
	wg.Wait()
	p.out.Sent = int(p.sent.Load())
	p.out.RTT = p.rtt.result()
	if p.out.Received < p.out.Sent {
		p.watch.Mark(p.start.Add(time.Duration(p.out.Sent-1) * job.Interval))
	}
	p.out.MaxGap = Gap{At: p.watch.At, Length: p.watch.Longest}
	return p.out, ctx.Err()
}

type pinger struct {
	job    Ping
	family icmpFamily
	conn   *icmp.PacketConn
	to     netip.Addr
	id     int
	start  time.Time
	sent   atomic.Int64
	// answered is out.Received for the sender, which ends the wait when all are there.
	answered atomic.Int64
	ended    atomic.Bool

	out   Pinged
	rtt   rttStats
	watch wire.StallWatch
	got   bitset
}

func (p *pinger) send(ctx context.Context) {
	defer func() {
		p.ended.Store(true)
		grace := p.job.Timeout
		if p.answered.Load() == p.sent.Load() || ctx.Err() != nil {
			grace = 0
		}
		_ = p.conn.SetReadDeadline(time.Now().Add(grace))
	}()
	data := make([]byte, p.job.Size)
	for seq := 1; seq <= p.job.Count; seq++ {
		if wire.Sleep(ctx, time.Duration(seq-1)*p.job.Interval-time.Since(p.start)) != nil {
			return
		}
		// The sequence in the header has 16 bits; the one that counts is in the data.
		binary.BigEndian.PutUint64(data, uint64(seq))
		binary.BigEndian.PutUint64(data[8:], uint64(time.Since(p.start)))
		m := icmp.Message{Type: p.family.request, Body: &icmp.Echo{ID: p.id, Seq: seq & 0xffff, Data: data}}
		b, err := m.Marshal(nil)
		if err != nil {
			return
		}
		p.sent.Store(int64(seq))
		_, _ = p.conn.WriteTo(b, &net.IPAddr{IP: p.to.AsSlice()}) // no route: lost, as ping has it
	}
}

func (p *pinger) receive() {
	buf := make([]byte, 2048)
	for !p.ended.Load() || p.out.Received < int(p.sent.Load()) {
		n, from, err := p.conn.ReadFrom(buf)
		if err != nil {
			if CauseOf(err) == Timeout || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		m, err := icmp.ParseMessage(p.family.proto, buf[:n])
		if err != nil {
			continue
		}
		switch body := m.Body.(type) {
		case *icmp.Echo:
			ip, _ := from.(*net.IPAddr)
			if m.Type == p.family.reply && body.ID == p.id && len(body.Data) >= 16 && ip != nil && ip.IP.Equal(p.to.AsSlice()) {
				p.take(body.Data)
			}
		case *icmp.DstUnreach:
			if quotes(body.Data, p.to) {
				p.out.Unreachable++
			}
		}
	}
}

func (p *pinger) take(data []byte) {
	seq := binary.BigEndian.Uint64(data)
	if seq < 1 || seq > uint64(p.sent.Load()) {
		return
	}
	if p.got.set(seq) {
		p.out.Duplicates++
		return
	}
	now := time.Now()
	p.out.Received++
	p.answered.Store(int64(p.out.Received))
	p.rtt.add(now.Sub(p.start) - time.Duration(binary.BigEndian.Uint64(data[8:])))
	p.watch.Mark(now)
}

// quotes tells whether the packet that an ICMP error quotes went to an address.
func quotes(packet []byte, to netip.Addr) bool {
	at, length := 16, 4
	if to.Is6() {
		at, length = 24, 16
	}
	if len(packet) < at+length {
		return false
	}
	dst, _ := netip.AddrFromSlice(packet[at : at+length])
	return dst == to
}
