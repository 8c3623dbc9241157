package dpi

import "bytes"

// readSOCKS5 reads the methods that a client offers, its password if it must send one (RFC 1929), and the request (RFC 1928 §3, §4). The host is
// what the request names.
func readSOCKS5(v *View, r *Result) Verdict {
	b := v.Client
	server := socksChoice(v.Server)
	if server == NotMine {
		return NotMine
	}
	if v := starts(b, "\x05"); v != Found {
		return v
	}
	if len(b) < 2 {
		return Need
	}
	n := int(b[1])
	if n == 0 || n > 10 {
		return NotMine
	}
	for i, c := range b[2:min(len(b), 2+n)] {
		if c > 9 && c < 0x80 || bytes.IndexByte(b[2:2+i], c) >= 0 { // IANA's methods, private ones, none twice
			return NotMine
		}
	}
	waiting := func() Verdict {
		if server == Found {
			return maybe(r, 80)
		}
		return Need
	}
	if len(b) < 2+n {
		return Need
	}
	if b = b[2+n:]; len(b) > 0 && b[0] == 1 {
		if len(b) < 2 || len(b) < 3+int(b[1]) {
			return waiting()
		}
		password := 2 + int(b[1])
		b = b[min(len(b), password+1+int(b[password])):]
	}
	if len(b) == 0 {
		return waiting()
	}
	switch socksRequest(b, r) {
	case NotMine:
		return NotMine
	case Need:
		return waiting()
	}
	return both(Found, server, r, 95)
}

// socksChoice reads the method that the server chose.
func socksChoice(b []byte) Verdict {
	if len(b) > 1 && b[1] > 9 && b[1] < 0x80 {
		return NotMine
	}
	if v := starts(b, "\x05"); v != Found || len(b) > 1 {
		return v
	}
	return Need
}

// socksRequest reads version, command, a zero byte and an address of version 5.
func socksRequest(b []byte, r *Result) Verdict {
	switch {
	case b[0] != 5, len(b) > 1 && (b[1] < 1 || b[1] > 3), len(b) > 2 && b[2] != 0:
		return NotMine
	case len(b) < 5:
		return Need
	}
	end := 6
	switch b[3] {
	case 1:
		end += 4
	case 4:
		end += 16
	case 3:
		end += 1 + int(b[4])
	default:
		return NotMine
	}
	if len(b) < end {
		return Need
	}
	if b[3] == 3 {
		if r.keepHost(copy(r.host[:b[4]], b[5:])); r.n > 0 {
			r.Source = SourceSOCKS
		}
	}
	return Found
}

// readSOCKS4 reads a request of SOCKS 4 and 4A (the specifications of Ying-Da Lee, NEC): version, command, port, address, user, and a host
// when the address is 0.0.0.x.
func readSOCKS4(v *View, r *Result) Verdict {
	b := v.Client
	server := startsAny(v.Server, "\x00\x5a", "\x00\x5b", "\x00\x5c", "\x00\x5d")
	if server == NotMine {
		return NotMine
	}
	if v := startsAny(b, "\x04\x01", "\x04\x02"); v != Found {
		return v
	}
	if len(b) < 9 {
		return Need
	}
	user := bytes.IndexByte(b[8:min(len(b), 8+64)], 0)
	switch {
	case user < 0 && len(b) >= 8+64, !printable(b[8 : 8+max(user, 0)]), b[2]|b[3] == 0:
		return NotMine
	case user < 0:
		return Need
	}
	if be24(b[4:]) != 0 || b[7] == 0 {
		return both(Found, server, r, 60)
	}
	name := b[8+user+1:]
	end := bytes.IndexByte(name[:min(len(name), 256)], 0)
	switch {
	case end < 0 && len(name) >= 256:
		return NotMine
	case end < 0:
		return Need
	}
	if r.keepHost(copy(r.host[:], name[:end])); r.n == 0 {
		return NotMine
	}
	r.Source = SourceSOCKS
	return both(Found, server, r, 95)
}
