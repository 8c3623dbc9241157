package dpi

// eDonkey2000, its extensions by eMule, and the Kademlia network of both (as documented in "The eMule Protocol
// Specification", Kulbak and Bickson 2005, §6 and §7): a byte for the protocol, over TCP a length, and an opcode.

const (
	edonkeyPlain  = 0xe3
	edonkeyEMule  = 0xc5
	edonkeyPacked = 0xd4
	edonkeyKad    = 0xe4
	edonkeyKadZip = 0xe5

	edonkeyBudget = 32
)

// readEDonkey takes the greeting of a client to a server or to another client, or the extended one.
func readEDonkey(v *View, r *Result) Verdict { return opening(v, r, edonkeyStream) }

func edonkeyStream(b []byte, r *Result) Verdict {
	if len(b) == 0 {
		return Need
	}
	if b[0] != edonkeyPlain && b[0] != edonkeyEMule && b[0] != edonkeyPacked {
		return NotMine
	}
	if len(b) < 6 {
		return Need
	}
	size := le32(b[1:])
	switch kind := b[5]; {
	case size < 2 || size > 1<<20:
		return NotMine
	case b[0] == edonkeyPlain && kind == 0x01: // login or greeting
		return edonkeyHello(b, size, r)
	case b[0] == edonkeyPlain && kind == 0x4c, b[0] == edonkeyEMule && (kind == 0x01 || kind == 0x02): // greeting back, eMule's own
		if size < 1<<10 {
			return sure(r, 60)
		}
	}
	return NotMine
}

// edonkeyHello checks a greeting: to a client the hash of the user comes after its length, 16; eMule marks its hashes.
func edonkeyHello(b []byte, size uint32, r *Result) Verdict {
	if size < 24 || size > 1<<10 {
		return NotMine
	}
	if len(b) < 24 {
		return Need
	}
	hash := b[6:22]
	if b[6] == 16 {
		hash = b[7:23]
	}
	if hash[5] == 14 && hash[14] == 111 || b[6] == 16 {
		return Found
	}
	return sure(r, 60)
}

// readEDonkeyDatagram takes requests of a fixed size, and others when the answer that belongs to them comes back.
func readEDonkeyDatagram(v *View, r *Result) Verdict {
	dir, first, size := v.datagram(0)
	exact, ok := edonkeyMessage(first, size)
	switch {
	case exact:
		return sure(r, 80)
	case !ok:
		return NotMine
	}
	for i := 1; i < v.datagrams(); i++ {
		from, head, size := v.datagram(i)
		if exact, ok := edonkeyMessage(head, size); exact || ok && from != dir && edonkeyAnswers(head, first) {
			return sure(r, 80)
		}
	}
	if v.datagrams() >= 6 {
		return NotMine
	}
	return Need
}

// edonkeyAnswers: the opcode of an answer is that of the request plus one, in Kad of the second version plus eight.
func edonkeyAnswers(answer, request []byte) bool {
	step := byte(1)
	if request[0] == edonkeyKad {
		step = 8
	}
	return answer[0] == request[0] && (answer[1] == request[1]+step || request[1] == answer[1]+step)
}

// edonkeyMessage knows the opcodes; exact: the size is the only one the opcode can have.
func edonkeyMessage(head []byte, size int) (exact, ok bool) {
	if len(head) < 2 {
		return false, false
	}
	switch kind := head[1]; head[0] {
	case edonkeyKad:
		switch kind {
		case 0x20, 0x21: // search for a contact: type, target, receiver
			return size == 35 && len(head) > 2 && head[2] > 0 && head[2] <= 0x20, true
		case 0x00, 0x10, 0x18: // greetings of the first version: number, address, ports, type
			return size == 27, true
		case 0x01, 0x60: // bare
			return false, size == 2
		case 0x08, 0x09, 0x11, 0x19, 0x22, 0x28, 0x29, 0x33, 0x34, 0x35, 0x3b, 0x43, 0x44, 0x45, 0x4b, 0x53, 0x61:
			return false, true
		}
	case edonkeyKadZip:
		return len(head) > 3 && head[2] == 0x78 && (head[3] == 0x9c || head[3] == 0xda) && kind < 0x62, true // a zlib stream
	case edonkeyPlain:
		switch kind {
		case 0x96: // server status request: challenge
			return size == 6, true
		case 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x92, 0xa2, 0xa3, 0xa4:
			return false, true
		}
	case edonkeyEMule:
		switch kind {
		case 0x90: // ask again for a file: its hash, and since eMule 0.42 parts and sources
			return size == 18, true
		case 0x91, 0x92, 0x93:
			return false, true
		}
	}
	return false, false
}
