package tunnel

import (
	"errors"
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/bond"
	"github.com/trenza-router/trenza/router/bond/carrier"
	"github.com/trenza-router/trenza/router/bond/seal"
)

// Inside takes what comes out of a Line. Slices are valid during the call.
type Inside interface {
	Deliver(packet []byte)
	Control(message []byte)
}

// Line is one end of one bond: what is known of the other end, and over which sockets and addresses each path leads.
type Line struct {
	Peer   *seal.Peer
	inside Inside
	core   *bond.Core // nil before the first session
	ways   [bond.MaxPaths]way
	now    time.Duration
	wake   time.Duration
	shared bool                // the sockets serve other lines, too: what they refuse may be another's
	failed [bond.MaxPaths]bool // paths over which sending failed in this round
	checks [bond.MaxPaths]checks
}

// way is where the datagrams of a path go.
type way struct {
	socket  carrier.Datagrams
	remote  netip.AddrPort
	local   netip.Addr // our address that the other end knows
	newest  uint64     // number of the datagram that said so
	learned bool       // the other end has been heard there in this life of the bond
	heard   time.Duration
	closed  bool
	metered bool
}

// NewLine is a bond that has not begun. shared says that its sockets serve other lines as well.
func NewLine(peer *seal.Peer, inside Inside, shared bool) *Line {
	return &Line{Peer: peer, inside: inside, shared: shared}
}

// Use says over which socket a path leads, and to where unless the other end has been heard there. It is used when the bond has begun.
func (l *Line) Use(path bond.PathID, socket carrier.Datagrams, remote netip.AddrPort, metered bool, now time.Duration) {
	w := &l.ways[path]
	w.socket, w.metered = socket, metered
	if !w.learned {
		w.remote = remote
	}
	if l.core != nil {
		l.now, l.wake = now, 0
		l.add(path, now)
		l.core.Meter(path, metered)
		l.core.Remeasure(path)
	}
}

// Lead leads a path over another carrier from now on, to where the other end is by it.
func (l *Line) Lead(path bond.PathID, by carrier.Datagrams, remote netip.AddrPort, now time.Duration) {
	w := &l.ways[path]
	w.socket, w.remote, w.local = by, remote, netip.Addr{}
	if l.core != nil {
		l.now, l.wake = now, 0
		l.core.Remeasure(path)
	}
}

// Leave forgets a socket or stream that is going to be closed.
func (l *Line) Leave(socket carrier.Datagrams) {
	for id := range l.ways {
		if l.ways[id].socket == socket {
			l.ways[id].socket = nil
		}
	}
}

// errWay is a path whose other end is not known yet.
var errWay = errors.New("the path leads nowhere yet")

// Transmit implements bond.Output.
func (l *Line) Transmit(path bond.PathID, number uint64, frame []byte) error {
	w := &l.ways[path]
	if w.socket == nil || !w.remote.IsValid() {
		return errWay
	}
	if w.socket.Full() {
		l.flush(path)
	}
	datagram, err := l.Peer.Seal(w.socket.Room(), uint8(path), number, frame, l.now)
	if errors.Is(err, seal.ErrNoSession) {
		return nil // lost, as on the wire: all paths are alike
	}
	if err != nil {
		return err
	}
	w.socket.Queue(datagram, w.remote, w.local)
	return nil
}

// flush sends what waits in a path's socket. The path of a socket of its own is told of a refusal.
func (l *Line) flush(path bond.PathID) {
	if err := l.ways[path].socket.Flush(); err != nil && !l.shared {
		l.failed[path] = true
	}
}

// Deliver implements bond.Output.
func (l *Line) Deliver(packet []byte) { l.inside.Deliver(packet) }

// Control implements bond.Output.
func (l *Line) Control(message []byte) { l.inside.Control(message) }

// Began tells whether the bond has begun.
func (l *Line) Began() bool { return l.core != nil }

// Renew begins anew: numbers and everything that counts them are from a life that ended.
func (l *Line) Renew(now time.Duration) {
	l.core = bond.New(l)
	for id := range l.ways {
		l.ways[id].newest, l.ways[id].learned = 0, false
		if l.ways[id].socket != nil {
			l.add(bond.PathID(id), now)
		}
	}
}

func (l *Line) add(id bond.PathID, now time.Duration) {
	if l.core == nil || l.core.Has(id) {
		return
	}
	if err := l.core.AddPath(id, now); err != nil {
		return // of a number beyond MaxPaths, which no datagram has
	}
	w := &l.ways[id]
	w.heard = now
	l.core.Meter(id, w.metered)
	if w.closed {
		l.core.Close(id, now)
	}
}

// Frame takes what was opened of a datagram. The way of its path follows the newest one: links change their addresses, and translators theirs.
func (l *Line) Frame(r seal.Result, socket carrier.Datagrams, a carrier.Arrived, now time.Duration) error {
	l.now, l.wake = now, 0
	if r.Fresh || l.core == nil {
		l.Renew(now)
	}
	if r.Path >= bond.MaxPaths {
		return l.check(r, socket, a, now)
	}
	id := bond.PathID(r.Path)
	w := &l.ways[id]
	w.heard = now
	// Who has a choice of carriers is not led back to the one that it left by what still comes over that.
	if (l.shared || socket == w.socket) && (!w.learned || r.Number >= w.newest) {
		if w.learned && w.remote != a.From {
			l.core.Remeasure(id)
		}
		w.socket, w.remote, w.local, w.newest, w.learned = socket, a.From, a.To, r.Number, true
	}
	l.add(id, now)
	return l.core.Datagram(id, r.Number, r.Frame, a.At, now)
}

// Packet takes a packet from the device, with how it is to be carried; before the bond has begun it is lost.
func (l *Line) Packet(packet []byte, told bond.Service, now time.Duration) {
	if l.core == nil {
		return
	}
	l.now, l.wake = now, 0
	l.core.Packet(packet, told, now)
}

// Send gives a message to the other end.
func (l *Line) Send(message []byte, now time.Duration) {
	if l.core != nil {
		l.now, l.wake = now, 0
		l.core.Control(message, now)
	}
}

// CloseWay and OpenWay say from outside whether a path is worth trying.
func (l *Line) CloseWay(id bond.PathID, now time.Duration) {
	if l.ways[id].closed {
		return
	}
	l.now, l.ways[id].closed = now, true
	if l.core != nil {
		l.core.Close(id, now)
		l.wake = 0
	}
}

// OpenWay is the opposite of CloseWay.
func (l *Line) OpenWay(id bond.PathID, now time.Duration) {
	if !l.ways[id].closed {
		return
	}
	l.now, l.ways[id].closed = now, false
	if l.core != nil {
		l.core.Open(id, now)
		l.wake = 0
	}
}

// MeterWay says whether each byte on a path costs.
func (l *Line) MeterWay(id bond.PathID, on bool) {
	l.ways[id].metered = on
	if l.core != nil {
		l.core.Meter(id, on)
	}
}

// Work does what is due and returns when it wants to be called again. The caller flushes the sockets afterwards.
func (l *Line) Work(now time.Duration) time.Duration {
	if l.core == nil {
		return now + time.Hour
	}
	if now >= l.wake {
		l.now = now
		l.wake = l.core.Tick(now)
	}
	return l.wake
}

// Flush sends what waits in the sockets of the paths, each of which belongs to this line alone.
func (l *Line) Flush(now time.Duration) {
	for id := range l.ways {
		if l.ways[id].socket != nil {
			l.flush(bond.PathID(id))
		}
	}
	for id, failed := range l.failed {
		if failed && l.core != nil {
			l.core.Failed(bond.PathID(id), now)
			l.wake = 0
		}
	}
	clear(l.failed[:])
}

// Status reads the core; nothing before the bond has begun.
func (l *Line) Status() bond.Status {
	if l.core == nil {
		return bond.Status{}
	}
	return l.core.Status()
}

// Largest is the longest packet that passes all paths from here; 0 while nothing is known.
func (l *Line) Largest() int {
	if l.core == nil {
		return 0
	}
	return l.core.Largest()
}

// Unanswered is that of bond.Core.
func (l *Line) Unanswered(id bond.PathID, now time.Duration) (age, round time.Duration, ok bool) {
	if l.core == nil {
		return 0, 0, false
	}
	return l.core.Unanswered(id, now)
}

// Carrier is what a path goes over, for people; "" while it leads nowhere.
func (l *Line) Carrier(id bond.PathID) string {
	if l.ways[id].socket == nil {
		return ""
	}
	return l.ways[id].socket.Kind()
}

// Remote is where a path leads.
func (l *Line) Remote(id bond.PathID) netip.AddrPort { return l.ways[id].remote }
