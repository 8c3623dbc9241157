package internet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// maxSessions bounds how many game sessions one socket remembers; the longest silent one goes first.
const maxSessions = 4096

// serveUDP answers each datagram with what a server makes of it, from the address that was asked, until ctx ends.
// A nil answer is silence.
func serveUDP(ctx context.Context, conn *net.UDPConn, answer func(b []byte, local, remote netip.AddrPort) []byte) error {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	local := addrPort(conn.LocalAddr())
	v4 := local.Addr().Is4()
	buf, oob := make([]byte, 64<<10), make([]byte, 128)
	for {
		n, oobn, _, from, err := conn.ReadMsgUDPAddrPort(buf, oob)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			// Such as a want of memory: the next datagram may find some.
			_ = wire.Sleep(ctx, time.Millisecond)
			continue
		}
		if a := localOf(oob[:oobn], v4); a.IsValid() {
			local = netip.AddrPortFrom(a, local.Port())
		}
		if b := answer(buf[:n], local, wire.Unmapped(from)); b != nil {
			_, _, _ = conn.WriteMsgUDPAddrPort(b, fromLocal(local.Addr()), from) // lost like any datagram
		}
	}
}

// echo answers datagrams of the lab in kind. Any other datagram, such as one of nc, comes back behind a line that says
// what source was seen.
type echo struct{ rec *Recorder }

func (e echo) answer(b []byte, local, remote netip.AddrPort) []byte {
	seen := wire.Seen{Proto: wire.ProtoUDPEcho, Local: local, Remote: remote}
	d, err := wire.ParseDatagram(b)
	if err != nil {
		e.rec.Add(seen)
		return append(fmt.Appendf(nil, "seen %s\n", remote), b...)
	}
	if d.Kind != wire.KindEcho {
		return nil // an answer: two servers must not play ping-pong
	}
	seen.Tag = d.Tag
	e.rec.Add(seen)
	d.Kind, d.ServerTime, d.Seen = wire.KindEchoAnswer, time.Now().UnixNano(), remote
	return d.Append(nil, len(b))
}

// game is the game server of one socket: it answers each tick of a client at once and counts what it got of the
// session. The recorder gets a session's first datagram and each change of its source, not every tick.
type game struct {
	rec      *Recorder
	sessions map[uint64]*session
}

type session struct {
	received, highest uint64
	source            netip.AddrPort
	last              time.Time
}

func newGame(rec *Recorder) *game { return &game{rec: rec, sessions: make(map[uint64]*session)} }

func (g *game) answer(b []byte, local, remote netip.AddrPort) []byte {
	d, err := wire.ParseDatagram(b)
	if err != nil || d.Kind != wire.KindGame {
		return nil
	}
	now := time.Now()
	s := g.sessions[d.Session]
	if s == nil {
		if len(g.sessions) >= maxSessions {
			g.forgetOldest()
		}
		s = new(session)
		g.sessions[d.Session] = s
	}
	s.received++
	s.highest = max(s.highest, d.Seq)
	s.last = now
	if s.source != remote {
		s.source = remote
		g.rec.Add(wire.Seen{Proto: wire.ProtoGame, Local: local, Remote: remote, Tag: d.Tag,
			Detail: fmt.Sprintf("session %016x seq %d", d.Session, d.Seq)})
	}
	d.Kind, d.ServerTime, d.Seen = wire.KindGameAnswer, now.UnixNano(), remote
	d.Received, d.Highest = s.received, s.highest
	return d.Append(nil, len(b))
}

func (g *game) forgetOldest() {
	var oldest uint64
	var at time.Time
	for id, s := range g.sessions {
		if at.IsZero() || s.last.Before(at) {
			oldest, at = id, s.last
		}
	}
	delete(g.sessions, oldest)
}
