package dpi

// maxParsers bounds the parsers of a transport.
const maxParsers = 192

// datagrams is what is kept of a UDP flow that is being read: heads of what was seen, who said NotMine, and the best answer so far.
//
// A datagram is seen once, so every parser that has not said NotMine is asked about it.
type datagrams struct {
	refused [maxParsers / 64]uint64
	kept    *Result // the answer of parser number by
	room    *room
	heads   [clientPackets + serverPackets - 1]Head
	count   [2]uint8 // datagrams, by Direction
	n       uint8
	by      uint8
	found   bool // kept is Found, and waits for those before it
}

func (u *datagrams) refuses(i int) bool { return u.refused[i>>6]>>(i&63)&1 != 0 }

func (u *datagrams) refuse(i int) { u.refused[i>>6] |= 1 << (i & 63) }

func (d *desk) readDatagram(u *datagrams, dir Direction, payload []byte) (Verdict, *Result) {
	if len(payload) == 0 {
		return Need, nil
	}
	u.count[dir] = min(u.count[dir]+1, 254)
	d.view.Dir, d.view.Payload, d.view.Heads, d.view.room = dir, payload, u.heads[:u.n], u.room
	v, r := d.askAll(u)
	u.room = d.view.room
	if int(u.n) < len(u.heads) {
		h := &u.heads[u.n]
		h.Dir, h.Size, h.n = dir, uint16(min(len(payload), 1<<16-1)), uint8(copy(h.b[:], payload))
		u.n++
	}
	return v, r
}

// askAll asks in order of trust. Who waits for the end of its own message has the others wait.
func (d *desk) askAll(u *datagrams) (Verdict, *Result) {
	open := false                      // someone before said neither Found nor NotMine
	likely, confidence := -1, uint8(0) // the likeliest of this datagram
	for i := range d.udp {
		if u.found && i > int(u.by) {
			break
		}
		if u.refuses(i) {
			continue
		}
		if u.found && i == int(u.by) {
			if open {
				return Need, nil
			}
			return Found, u.kept
		}
		switch d.ask(&d.udp[i], &d.asked) {
		case Found:
			if !open {
				return Found, &d.asked
			}
			d.put(u, i, true)
			return Need, nil
		case NotMine:
			u.refuse(i)
			if u.kept != nil && int(u.by) == i {
				d.results.give(u.kept)
				u.kept = nil
			}
			continue
		case Likely:
			if d.asked.waits && !open {
				d.put(u, i, false)
				return Likely, nil
			}
			if !u.found && (likely < 0 || d.asked.Confidence > confidence) {
				likely, confidence = i, d.asked.Confidence
				d.put(u, i, false)
			}
		}
		open = true
	}
	if !open {
		return NotMine, nil
	}
	return Need, nil
}

// put keeps the answer of parser i.
func (d *desk) put(u *datagrams, i int, found bool) {
	if u.kept == nil {
		u.kept = d.results.take()
	}
	*u.kept, u.by, u.found = d.asked, uint8(i), found
}
