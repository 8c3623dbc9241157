package dpi

import "bytes"

// STUN and TURN (RFC 8489, RFC 8656), and what shares a flow with them (RFC 7983): DTLS and RTP of WebRTC.

const (
	stunHeader = 20
	stunCookie = 0x2112a442
	stunBudget = 1 << 10
)

// STUN attributes that matter here (IANA STUN Parameters).
const (
	stunData  = 0x0013 // RFC 8656 §18.4: a datagram to or from a peer
	stunRealm = 0x0014
)

// readSTUN reads a UDP flow that begins with STUN. STUN alone is the answer only when the reading ends: the calls that it opens
// the way for come later, in the same flow. A message with attributes that a single service uses names that service.
func readSTUN(v *View, r *Result) Verdict {
	_, first, size := v.datagram(0)
	inner, service := v.Payload, Unknown
	switch {
	case isSTUN(first, size):
	case isMultiplexedTURN(first, size):
		r.Protocol = TeamsMedia
		return sure(r, 90)
	default:
		return classicSTUN(v, r)
	}
	switch head := v.Payload; {
	case isSTUN(head, len(head)):
		inner, service = stunAttributes(head)
	case isChannelData(head, len(head)):
		inner = head[4:]
	}
	if service != Unknown {
		r.Protocol = service
		return sure(r, 80)
	}
	if isDTLS(inner, len(inner)) {
		r.Protocol = WebRTC
		if hello, ok := dtlsHello(inner); ok && readDTLSHello(hello, r) {
			return Found // the keys of SRTP are agreed on here (RFC 5764)
		}
		return sure(r, 90)
	}
	if rtp, _ := mediaAgreement(v); rtp >= 3 {
		r.Protocol = RTP
		return sure(r, 80)
	}
	return Likely
}

// isSTUN checks a message header with the magic cookie (RFC 8489 §5).
func isSTUN(head []byte, size int) bool {
	return len(head) >= stunHeader && head[0]&0xc0 == 0 &&
		be32(head[4:]) == stunCookie &&
		stunHeader+be16(head[2:]) == size
}

// isChannelData checks the framing of data to a TURN peer (RFC 8656 §12.4): over UDP padding to four bytes is optional.
func isChannelData(head []byte, size int) bool {
	if len(head) < 4 || head[0] < 0x40 || head[0] > 0x4f {
		return false
	}
	pad := size - 4 - be16(head[2:])
	return pad >= 0 && pad < 4
}

// isMultiplexedTURN checks Microsoft's header for many sessions at one relay ([MS-TURN] §2.2.3): type, length, session, then STUN.
func isMultiplexedTURN(head []byte, size int) bool {
	return len(head) >= 20 && head[0] == 0xff && head[1] == 0x10 && be16(head[2:])+4 == size &&
		head[12]&0xc0 == 0 && be32(head[16:]) == stunCookie
}

// stunAttributes goes through a message: it returns the datagram of a peer inside it, if any, and the service whose private
// types or attributes it has.
func stunAttributes(b []byte) (data []byte, service Protocol) {
	if kind := be16(b); kind >= 0x0800 && kind <= 0x0805 && kind != 0x0803 {
		return nil, WhatsAppCall // seen in its calls alone; the method (0x200 and up) is unassigned
	}
	for b = b[stunHeader:]; len(b) >= 4; {
		kind, n := be16(b), be16(b[2:])
		if n > len(b)-4 {
			break
		}
		switch value := b[4 : 4+n]; kind {
		case stunData:
			data = value
		case stunRealm:
			service = realmService(value)
		default:
			service = attributeService(kind)
		}
		if service != Unknown {
			return data, service
		}
		b = b[min(len(b), 4+(n+3)&^3):]
	}
	return data, Unknown
}

// attributeService names the service that uses an attribute type which nobody else does.
func attributeService(kind int) Protocol {
	switch kind {
	case 0x4000, 0x4001, 0x4002, 0x4003, 0x4004, 0x4007: // unassigned; seen in its calls
		return WhatsAppCall
	case 0x0101, 0x0103: // unassigned; seen in its calls between peers
		return ZoomMedia
	case 0x8008, 0x8050, 0x8054, 0x8055, 0x8056, 0x8070, 0x8095: // [MS-TURN] §2.2.2, [MS-ICE2] §2.2.2: Teams, Skype for Business
		return TeamsMedia
	}
	return Unknown
}

// realmService names the service whose TURN servers call their realm so.
func realmService(realm []byte) Protocol {
	switch {
	case bytes.Contains(realm, []byte("telegram")):
		return TelegramCall
	case bytes.Contains(realm, []byte("viber")):
		return ViberMedia
	}
	return Unknown
}

// classicSTUN reads STUN without the cookie (RFC 3489 §11). Its header alone is weak: a request counts when its attributes fill the
// datagram, and is proved by an answer with the same transaction.
func classicSTUN(v *View, r *Result) Verdict {
	dir, first, size := v.datagram(0)
	if len(first) < stunHeader || first[0] > 1 || first[1]&0xef == 0 || first[1]&0xef > 3 || first[0] == 0 && first[1]&0x10 != 0 ||
		stunHeader+be16(first[2:]) != size {
		return NotMine
	}
	if len(v.Heads) == 0 && !classicAttributes(v.Payload[stunHeader:]) {
		return NotMine
	}
	for i := 1; i < v.datagrams(); i++ {
		from, head, size := v.datagram(i)
		if from != dir && len(head) >= stunHeader && head[0]^first[0] == 1 && head[1]&0xef == first[1]&0xef &&
			bytes.Equal(head[4:stunHeader], first[4:stunHeader]) && stunHeader+be16(head[2:]) == size {
			return Found
		}
	}
	if size == stunHeader {
		return maybe(r, 60)
	}
	return maybe(r, 80)
}

// classicAttributes checks that b is a list of attributes of known types (RFC 3489 §11.2 and the drafts of TURN).
func classicAttributes(b []byte) bool {
	for len(b) >= 4 {
		kind, n := be16(b), be16(b[2:])
		if n > len(b)-4 || kind == 0 || kind > 0x24 && kind < 0x8000 || kind > 0x80ff {
			return false
		}
		b = b[min(len(b), 4+(n+3)&^3):]
	}
	return len(b) == 0
}

// readSTUNStream reads STUN over TCP: bare (RFC 8489 §6.2.2) or in the frames of ICE (RFC 4571, RFC 6544).
func readSTUNStream(v *View, r *Result) Verdict { return opening(v, r, stunStream) }

func stunStream(b []byte, r *Result) Verdict {
	bare, framed := stunPrefix(b), stunPrefix(b[min(len(b), 2):])
	if framed == Found && be16(b) != stunHeader+be16(b[4:]) {
		framed = NotMine
	}
	switch {
	case bare == Found:
	case framed == Found:
		b = b[2:]
	case bare == Need || framed == Need:
		return Need
	default:
		return NotMine
	}
	size := stunHeader + be16(b[2:])
	if size+2 > stunBudget {
		return Found
	}
	if len(b) < size {
		return Likely
	}
	if _, service := stunAttributes(b[:size]); service != Unknown {
		r.Protocol = service
		return sure(r, 80)
	}
	return Found
}

// stunPrefix checks the first eight bytes of a message as they come.
func stunPrefix(b []byte) Verdict {
	switch {
	case len(b) > 0 && b[0]&0xc0 != 0, len(b) > 3 && b[3]&3 != 0:
		return NotMine
	case len(b) <= 4:
		return Need
	}
	return starts(b[4:], "\x21\x12\xa4\x42")
}
