package netem

import (
	"github.com/vishvananda/netlink"

	"github.com/trenza-router/trenza/integration/netlab/emulator"
)

// Counters returns what one direction has seen so far. Lost counts what the full queue refused, too. When the kernel does not answer,
// as after Close, it is what was read last.
func (l *Link) Counters(d emulator.Direction) emulator.Counters {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.read(d)
}

// read needs l.mu.
func (l *Link) read(d emulator.Direction) emulator.Counters {
	in, err := l.handle.LinkByIndex(l.from(d))
	if err != nil {
		return l.last[d]
	}
	out, err := l.handle.LinkByIndex(l.to(d))
	if err != nil {
		return l.last[d]
	}
	c := l.past[d]
	if s := in.Attrs().Statistics; s != nil {
		c.Sent, c.SentBytes = s.RxPackets, s.RxBytes
	}
	if s := out.Attrs().Statistics; s != nil {
		c.Delivered, c.DeliveredBytes = s.TxPackets, s.TxBytes
	}
	if all, err := l.handle.QdiscList(out); err == nil {
		for _, q := range all {
			if s := q.Attrs().Statistics; q.Type() == "netem" && s != nil && s.Queue != nil {
				c.Lost += uint64(s.Queue.Drops)
			}
		}
	}
	if all, err := l.handle.FilterList(in, netlink.HANDLE_MIN_INGRESS); err == nil {
		for _, f := range all {
			if m, ok := f.(*netlink.MatchAll); ok && m.Priority == swallowing {
				c.Cut += swallowed(m.Actions)
			}
		}
	}
	l.last[d] = c
	return c
}

// swallowed counts the frames that met the actions.
func swallowed(actions []netlink.Action) (n uint64) {
	for _, a := range actions {
		if s := a.Attrs().Statistics; s != nil && s.Basic != nil {
			n += uint64(s.Basic.Packets)
		}
	}
	return n
}
