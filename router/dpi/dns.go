package dpi

// Ports that tell apart what speaks the message format of RFC 1035.
const (
	portDNS   = 53
	portMDNS  = 5353
	portLLMNR = 5355
	portNBNS  = 137
)

const (
	dnsHeaderBytes = 12
	maxDNSRecords  = 64 // walked at most
)

// readDNS reads one message over UDP: DNS (RFC 1035 §4.1), multicast DNS (RFC 6762 §18), LLMNR (RFC 4795 §2.1) and the NetBIOS name
// service (RFC 1002 §4.2), which differ in their ports and the form of names. The host is the first question's name.
func readDNS(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < dnsHeaderBytes {
		return NotMine
	}
	h := dnsHead(b)
	switch {
	case v.on(portMDNS):
		r.Protocol = MDNS
	case v.on(portLLMNR):
		r.Protocol = LLMNR
	}
	known := v.on(portDNS) || v.on(portNBNS) || r.Protocol != DNS
	if !known && !h.plausible(false) || h.questions > 64 {
		return NotMine
	}
	at := dnsHeaderBytes
	for i := range h.questions {
		end, class, verdict := dnsQuestion(b, at, i == 0, r)
		if verdict != Found || !dnsClass(class) {
			return NotMine
		}
		if i == 0 && isNetBIOSName(b[at:]) {
			r.Protocol, r.n, r.Source = NetBIOS, 0, 0
		}
		at = end
	}
	// The names of NetBIOS have bits in the header that DNS keeps zero.
	if r.Protocol == DNS && h.flags&0x0040 != 0 && !known {
		return NotMine
	}
	if h.questions == 0 && len(b) > at && isNetBIOSName(b[at:]) {
		r.Protocol = NetBIOS
	}
	end, ok := dnsRecords(b, at, h.records)
	switch {
	case ok && end == len(b) && h.questions+h.records > 0 && h.plausible(r.Protocol == MDNS):
		return sure(r, 95)
	case (known || r.Protocol == NetBIOS) && (h.questions > 0 || ok) && h.flags>>11&15 <= 9:
		return sure(r, 80) // cut by the capture, or with something odd in it
	}
	return NotMine
}

// readDNSStream reads the first message over TCP: a length of two bytes, then the message (RFC 1035 §4.2.2).
func readDNSStream(v *View, r *Result) Verdict {
	if len(v.Client) > 0 {
		return dnsStream(v.Client, false, r)
	}
	if verdict := dnsStream(v.Server, true, r); verdict != Found {
		return Need // the question decides
	}
	return maybe(r, 95)
}

func dnsStream(b []byte, response bool, r *Result) Verdict {
	if len(b) > 0 && b[0] > 4 { // no question is longer than 1,280 bytes
		return NotMine
	}
	if len(b) < 2+dnsHeaderBytes {
		return Need
	}
	length := be16(b)
	b = b[2:]
	h := dnsHead(b)
	if length < dnsHeaderBytes+5 || h.flags&0x8000 != 0 != response || h.flags&0x7800 > 5<<11 || h.flags&0x40 != 0 || h.questions != 1 || !h.plausible(false) {
		return NotMine
	}
	end, class, verdict := dnsQuestion(b, dnsHeaderBytes, true, r)
	switch {
	case verdict == NotMine || end > length:
		return NotMine
	case verdict == Need:
		return Need
	case !dnsClass(class):
		return NotMine
	}
	return sure(r, 95)
}

// dnsHeader is the header of a message.
type dnsHeader struct {
	flags              int
	questions, records int
	answers            int
}

func dnsHead(b []byte) dnsHeader {
	return dnsHeader{
		flags: be16(b[2:]), questions: be16(b[4:]),
		answers: be16(b[6:]), records: be16(b[6:]) + be16(b[8:]) + be16(b[10:]),
	}
}

// plausible tells whether flags and counts can be those of a message.
func (h dnsHeader) plausible(multicast bool) bool {
	opcode, response, code := h.flags>>11&15, h.flags&0x8000 != 0, h.flags&15
	switch {
	case opcode > 9 || opcode == 3 && !response:
		return false
	case response:
		return code <= 11 && h.questions <= 4 && h.records <= 1024
	case code != 0:
		return false
	case multicast:
		return h.questions <= 64 && h.records <= 256
	}
	return h.questions == 1 && (opcode >= 4 || h.answers == 0) && h.records <= 32
}

// dnsQuestion reads the question at a place and, if wanted, keeps its name as the host.
func dnsQuestion(b []byte, at int, keep bool, r *Result) (end, class int, v Verdict) {
	n, start := 0, at
	for {
		if at >= len(b) {
			return 0, 0, Need
		}
		length := int(b[at])
		at++
		if length == 0 {
			break
		}
		if length >= 0xc0 && start > dnsHeaderBytes { // a pointer ends a later name
			at++
			break
		}
		if length > 63 || at-start+length > 255 {
			return 0, 0, NotMine
		}
		if at+length > len(b) {
			return 0, 0, Need
		}
		if keep {
			n += copy(r.host[n:], b[at:at+length])
			r.host[n] = '.'
			n++
		}
		at += length
	}
	if at+4 > len(b) {
		return 0, 0, Need
	}
	if keep && n > 0 {
		if r.keepHost(n - 1); r.n > 0 {
			r.Source = SourceDNS
		}
	}
	return at + 4, be16(b[at+2:]), Found
}

// dnsRecords walks n records and returns where they end, or false when they do not fit. Those beyond maxDNSRecords are taken to fit.
func dnsRecords(b []byte, at, n int) (int, bool) {
	for range min(n, maxDNSRecords) {
		for {
			if at >= len(b) {
				return 0, false
			}
			length := int(b[at])
			at++
			if length == 0 {
				break
			}
			if length >= 0xc0 {
				at++
				break
			}
			if length > 63 {
				return 0, false
			}
			at += length
		}
		if at+10 > len(b) {
			return 0, false
		}
		at += 10 + be16(b[at+8:])
		if at > len(b) {
			return 0, false
		}
	}
	if n > maxDNSRecords {
		return len(b), true
	}
	return at, true
}

// dnsClass knows the Internet, Chaos and any; the top bit asks for unicast in mDNS (RFC 6762 §5.4).
func dnsClass(class int) bool {
	switch class & 0x7fff {
	case 1, 3, 255:
		return true
	}
	return false
}

// isNetBIOSName knows the half-ASCII form of a name: 32 letters from A to P (RFC 1001 §14.1).
func isNetBIOSName(b []byte) bool {
	if len(b) < 34 || b[0] != 32 {
		return false
	}
	for _, c := range b[1:33] {
		if c < 'A' || c > 'P' {
			return false
		}
	}
	return true
}

// readNetBIOSDatagram reads the NetBIOS datagram service (RFC 1002 §4.4).
func readNetBIOSDatagram(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 14 || b[0] < 0x10 || b[0] > 0x16 || b[1]&0xf0 != 0 || !v.on(138) {
		return NotMine
	}
	if b[0] <= 0x12 && len(b) >= 48 && isNetBIOSName(b[14:]) {
		return sure(r, 95)
	}
	return foundIf(b[0] > 0x12 && len(b) <= 64 && be16(b[8:]) == 138)
}
