package dpi

import "bytes"

// The small services of the early Internet have almost no form of their own: their ports must support it.

// readWhois reads a query of one line (RFC 3912) on its port.
func readWhois(v *View, r *Result) Verdict { return oneLine(v, r, 43) }

// readFinger reads a query of one line (RFC 1288 §2.3) on its port.
func readFinger(v *View, r *Result) Verdict { return oneLine(v, r, 79) }

func oneLine(v *View, r *Result, port uint16) Verdict {
	if v.ServerPort != port {
		return NotMine
	}
	b := v.Client
	line, verdict := firstLine(b, 256)
	switch {
	case !printable(bytes.TrimRight(b[:min(len(b), 64)], "\r\n")) && verdict != Found, verdict == Found && !printable(line):
		return NotMine
	case verdict != Found:
		return verdict
	}
	return sure(r, 80)
}

// readEcho finds that what the client said comes back (RFC 862).
func readEcho(v *View, r *Result) Verdict {
	n := min(len(v.Client), len(v.Server))
	switch {
	case v.ServerPort != 7 || string(v.Client[:n]) != string(v.Server[:n]):
		return NotMine
	case n >= 4:
		return sure(r, 80)
	}
	return Need
}

// readEchoDatagram is readEcho over UDP.
func readEchoDatagram(v *View, r *Result) Verdict {
	if v.ServerPort != 7 {
		return NotMine
	}
	if h := v.answered(); h != nil {
		return foundIf(int(h.Size) == len(v.Payload) && bytes.HasPrefix(v.Payload, h.Bytes()))
	}
	return maybe(r, 60)
}

// readChargen finds the pattern of RFC 864 on its port: printable characters that count up.
func readChargen(v *View, r *Result) Verdict {
	if v.ServerPort != 19 {
		return NotMine
	}
	return countsUp(v.Server)
}

func countsUp(b []byte) Verdict {
	for i := 1; i < min(len(b), 32); i++ {
		if b[i] != b[i-1]+1 && !(b[i-1] == '~' && (b[i] == ' ' || b[i] == '!')) {
			return NotMine
		}
	}
	if len(b) > 0 && (b[0] < ' ' || b[0] > '~') {
		return NotMine
	}
	if len(b) < 32 {
		return Need
	}
	return Found
}

// readChargenDatagram finds the same over UDP; what is asked may be anything. On other ports such letters are padding: traceroute's probes
// are made of them.
func readChargenDatagram(v *View, r *Result) Verdict {
	if !v.on(19) {
		return NotMine
	}
	if v.ServerPort == 19 && v.Dir == FromClient {
		return maybe(r, 60)
	}
	return foundIf(countsUp(v.Payload) == Found)
}

// readTime reads the four bytes of RFC 868 on their port: seconds since 1900, from 2001 on.
func readTime(v *View, r *Result) Verdict {
	if v.ServerPort != 37 || len(v.Client) > 0 || len(v.Server) > 4 {
		return NotMine
	}
	if len(v.Server) < 4 {
		return Need
	}
	if be32(v.Server) < 0xbe000000 {
		return NotMine
	}
	return maybe(r, 80)
}
