package dpi

import (
	"bytes"
	"encoding/binary"
)

// The words that parsers are written in. All of them settle: for longer bytes Found stays Found and NotMine stays NotMine.

// starts compares the start of b with a fixed one; Need while b is shorter and agrees.
func starts(b []byte, with string) Verdict {
	if len(b) > 0 && len(with) > 0 && b[0] != with[0] { // most often
		return NotMine
	}
	n := min(len(b), len(with))
	switch {
	case n > 0 && b[0] != with[0], string(b[:n]) != with[:n]: // most are told by the first byte
		return NotMine
	case n < len(with):
		return Need
	}
	return Found
}

// startsAny is starts for several.
func startsAny(b []byte, with ...string) Verdict {
	all := NotMine
	for _, w := range with {
		switch starts(b, w) {
		case Found:
			return Found
		case Need:
			all = Need
		}
	}
	return all
}

// saysAny is startsAny for commands of text protocols, in capitals: the case of what was said does not matter.
func saysAny(b []byte, words ...string) Verdict {
	all := NotMine
	for _, w := range words {
		if len(b) > 0 && len(w) > 0 && b[0]&^0x20 != w[0]&^0x20 {
			continue
		}
		n := min(len(b), len(w))
		same := true
		for i := range n {
			c := b[i]
			if c >= 'a' && c <= 'z' {
				c -= 'a' - 'A'
			}
			if c != w[i] {
				same = false
				break
			}
		}
		switch {
		case !same:
		case n == len(w):
			return Found
		default:
			all = Need
		}
	}
	return all
}

// both joins the verdicts on the two sides of a stream, where each settles alone: two sides that fit are proof (95), one is
// likely with the confidence alone, or nothing yet when that is 0.
func both(client, server Verdict, r *Result, alone uint8) Verdict {
	switch {
	case client == NotMine || server == NotMine:
		return NotMine
	case client == Found && server == Found:
		r.Confidence = 95
		return Found
	case alone > 0 && (client == Found || server == Found):
		r.Confidence = alone
		return Likely
	}
	return Need
}

// sure is Found with a confidence, maybe Likely.
func sure(r *Result, confidence uint8) Verdict {
	r.Confidence = confidence
	return Found
}

func maybe(r *Result, confidence uint8) Verdict {
	r.Confidence = confidence
	return Likely
}

// foundIf settles.
func foundIf(ok bool) Verdict {
	if ok {
		return Found
	}
	return NotMine
}

// ifPort is a confidence that counts only with the server's port.
func (v *View) ifPort(port uint16, confidence uint8) uint8 {
	if v.ServerPort == port {
		return confidence
	}
	return 0
}

// on tells whether one end of the flow has the port.
func (v *View) on(port uint16) bool { return v.ServerPort == port || v.ClientPort == port }

// answered returns the latest head that the other end sent before the payload, or nil.
func (v *View) answered() *Head {
	for i := len(v.Heads) - 1; i >= 0; i-- {
		if v.Heads[i].Dir != v.Dir {
			return &v.Heads[i]
		}
	}
	return nil
}

// firstLine returns b up to the first line feed, without it and a carriage return; Need while there is none within limit.
func firstLine(b []byte, limit int) ([]byte, Verdict) {
	i := bytes.IndexByte(b[:min(len(b), limit)], '\n')
	switch {
	case i >= 0:
		return bytes.TrimSuffix(b[:i], []byte{'\r'}), Found
	case len(b) >= limit:
		return nil, NotMine
	}
	return nil, Need
}

// printable tells whether b is text: ASCII without control characters, tabs excepted.
func printable(b []byte) bool {
	for _, c := range b {
		if (c < ' ' && c != '\t') || c > '~' {
			return false
		}
	}
	return true
}

func be16(b []byte) int    { return int(binary.BigEndian.Uint16(b)) }
func le16(b []byte) int    { return int(binary.LittleEndian.Uint16(b)) }
func be24(b []byte) int    { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
