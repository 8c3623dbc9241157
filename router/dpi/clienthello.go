package dpi

// maxHello is the longest ClientHello that is read, in bytes after its four-byte header.
const maxHello = 16 << 10

// Extension types (IANA TLS ExtensionType values).
const (
	extServerName = 0
	extALPN       = 16
	extECH        = 0xfe0d // encrypted_client_hello, RFC 9849
)

// clientHello reads a TLS ClientHello (RFC 8446 §4.1.2) from a handshake stream that may be cut anywhere. It is a list of
// small steps: gather an integer, skip, or keep some bytes; every length is checked against what encloses it before a
// step begins, so a broken hello ends at the first wrong length.
type clientHello struct {
	step helloStep
	op   helloOp
	want int    // bytes left of the current operation
	acc  uint32 // integer being gathered
	kept int    // bytes in the buffer

	msgLeft  int // of the message
	extsLeft int // of the extensions block
	extLeft  int // of the current extension
	listLeft int // of the list inside it
	length   int // of the name being read
	ext      uint16
	seen     uint8 // bits: extensions that must not come twice
	name     [255]byte
}

type helloOp uint8

const (
	opInt helloOp = iota
	opSkip
	opKeep
)

type helloStep uint8

const (
	stepHeader helloStep = iota
	stepFixed
	stepSessionLen
	stepSession
	stepSuitesLen
	stepSuites
	stepCompressionLen
	stepCompression
	stepExtensionsLen
	stepExtension
	stepExtensionLen
	stepExtensionRest
	stepNamesLen
	stepNameType
	stepNameLen
	stepName
	stepOtherName
	stepProtocolsLen
	stepProtocolLen
	stepProtocol
)

func (h *clientHello) reset() {
	h.step, h.seen, h.msgLeft, h.extsLeft, h.extLeft, h.listLeft = stepHeader, 0, 4, 0, 0, 0
	h.gather(4)
}

func (h *clientHello) gather(n int) { h.op, h.want, h.acc = opInt, n, 0 }

// feed takes the next bytes of the handshake stream and fills r. What follows the hello is not looked at.
func (h *clientHello) feed(b []byte, r *Result) Verdict {
	for len(b) > 0 {
		n := min(h.want, len(b))
		switch h.op {
		case opInt:
			if n == 2 {
				h.acc = h.acc<<16 | uint32(b[0])<<8 | uint32(b[1])
				break
			}
			for _, c := range b[:n] {
				h.acc = h.acc<<8 | uint32(c)
			}
		case opKeep:
			h.kept += copy(h.name[h.kept:], b[:n])
		}
		b = b[n:]
		h.want -= n
		for h.want == 0 {
			if v := h.next(r); v != Need {
				return v
			}
		}
	}
	return Need
}

// take enters a step that reads n bytes out of the enclosing length; false: it does not hold so many.
func (h *clientHello) take(step helloStep, op helloOp, n int, outer *int) bool {
	if *outer < n {
		return false
	}
	*outer -= n
	h.step, h.op, h.want, h.acc, h.kept = step, op, n, 0, 0
	return true
}

// takeItem is take inside a list, which lies in the current extension.
func (h *clientHello) takeItem(step helloStep, op helloOp, n int) bool {
	if h.extLeft < n {
		return false
	}
	h.extLeft -= n
	return h.take(step, op, n, &h.listLeft)
}

func verdict(ok bool) Verdict {
	if ok {
		return Need
	}
	return NotMine
}

// next is called when the current operation is complete, and begins the one after it.
func (h *clientHello) next(r *Result) Verdict {
	switch h.step {
	case stepHeader:
		h.msgLeft = int(h.acc & 0xffffff)
		if h.acc>>24 != 1 || h.msgLeft > maxHello {
			return NotMine
		}
		return verdict(h.take(stepFixed, opSkip, 34, &h.msgLeft)) // legacy_version, random
	case stepFixed:
		return verdict(h.take(stepSessionLen, opInt, 1, &h.msgLeft))
	case stepSessionLen:
		n := int(h.acc)
		return verdict(n <= 32 && h.take(stepSession, opSkip, n, &h.msgLeft))
	case stepSession:
		return verdict(h.take(stepSuitesLen, opInt, 2, &h.msgLeft))
	case stepSuitesLen:
		n := int(h.acc)
		return verdict(n >= 2 && n%2 == 0 && h.take(stepSuites, opSkip, n, &h.msgLeft))
	case stepSuites:
		return verdict(h.take(stepCompressionLen, opInt, 1, &h.msgLeft))
	case stepCompressionLen:
		return verdict(h.acc > 0 && h.take(stepCompression, opSkip, int(h.acc), &h.msgLeft))
	case stepCompression:
		if h.msgLeft == 0 {
			return Found // a hello without extensions: TLS 1.2 and older
		}
		return verdict(h.take(stepExtensionsLen, opInt, 2, &h.msgLeft))
	case stepExtensionsLen:
		if int(h.acc) != h.msgLeft {
			return NotMine
		}
		h.extsLeft = h.msgLeft
		return h.nextExtension()
	case stepExtension:
		h.ext = uint16(h.acc)
		return verdict(h.take(stepExtensionLen, opInt, 2, &h.extsLeft))
	case stepExtensionLen:
		return h.beginExtension(r)
	case stepExtensionRest:
		return h.nextExtension()
	default:
		return h.insideExtension(r)
	}
}

func (h *clientHello) nextExtension() Verdict {
	if h.extsLeft == 0 {
		return Found
	}
	return verdict(h.take(stepExtension, opInt, 2, &h.extsLeft))
}

func (h *clientHello) beginExtension(r *Result) Verdict {
	h.extLeft = int(h.acc)
	if h.extLeft > h.extsLeft {
		return NotMine
	}
	h.extsLeft -= h.extLeft
	switch h.ext {
	case extServerName:
		return verdict(h.once(1) && h.take(stepNamesLen, opInt, 2, &h.extLeft))
	case extALPN:
		return verdict(h.once(2) && h.take(stepProtocolsLen, opInt, 2, &h.extLeft))
	case extECH:
		if !h.once(4) {
			return NotMine
		}
		r.ECH = true
	}
	return verdict(h.take(stepExtensionRest, opSkip, h.extLeft, &h.extLeft))
}

// once notes an extension and refuses it the second time (RFC 8446 §4.2).
func (h *clientHello) once(bit uint8) bool {
	first := h.seen&bit == 0
	h.seen |= bit
	return first
}

// insideExtension goes through server_name (RFC 6066 §3) and application_layer_protocol_negotiation (RFC 7301 §3.1).
func (h *clientHello) insideExtension(r *Result) Verdict {
	switch h.step {
	case stepNamesLen:
		if h.listLeft = int(h.acc); h.listLeft != h.extLeft {
			return NotMine
		}
		return h.nextName()
	case stepNameType:
		h.length = int(h.acc) // the type, until the length is known
		return verdict(h.takeItem(stepNameLen, opInt, 2))
	case stepNameLen:
		kind := h.length
		if h.length = int(h.acc); kind == 0 && h.length <= len(h.name) {
			return verdict(h.takeItem(stepName, opKeep, h.length))
		}
		return verdict(h.takeItem(stepOtherName, opSkip, h.length))
	case stepName:
		if r.n == 0 {
			r.keepHost(copy(r.host[:], h.name[:h.length]))
		}
		return h.nextName()
	case stepOtherName:
		return h.nextName()
	case stepProtocolsLen:
		if h.listLeft = int(h.acc); h.listLeft != h.extLeft {
			return NotMine
		}
		return h.nextProtocol()
	case stepProtocolLen:
		h.length = int(h.acc)
		return verdict(h.length > 0 && h.takeItem(stepProtocol, opKeep, h.length))
	case stepProtocol:
		r.ALPN.add(h.name[:h.length])
		return h.nextProtocol()
	}
	return NotMine
}

func (h *clientHello) nextName() Verdict {
	if h.listLeft == 0 {
		return h.nextExtension()
	}
	return verdict(h.takeItem(stepNameType, opInt, 1))
}

func (h *clientHello) nextProtocol() Verdict {
	if h.listLeft == 0 {
		return h.nextExtension()
	}
	return verdict(h.takeItem(stepProtocolLen, opInt, 1))
}
