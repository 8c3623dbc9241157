package dpi

// readCoAP reads a message (RFC 7252 §3): version 1, a type, a code that exists, a token, and options that end with the datagram or at the mark of a
// payload. On other ports than its own two it is only likely.
func readCoAP(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 4 || b[0]>>6 != 1 || b[0]&15 > 8 {
		return NotMine
	}
	known := v.on(5683) || v.on(5684)
	code, token := b[1], int(b[0]&15)
	switch class, detail := code>>5, code&31; {
	case code == 0: // empty: a ping or its answer
		return foundIf(known && len(b) == 4)
	case class == 0 && detail <= 7, class == 2 && detail >= 1 && (detail <= 5 || detail == 31), class == 4 && detail <= 15, class == 5 && detail <= 5:
	default:
		return NotMine
	}
	at, number, options := 4+token, 0, 0
	for at < len(b) && b[at] != 0xff {
		delta, length := int(b[at]>>4), int(b[at]&15)
		at++
		var ok bool
		if delta, at, ok = coapExtended(b, at, delta); !ok {
			return NotMine
		}
		if length, at, ok = coapExtended(b, at, length); !ok {
			return NotMine
		}
		number += delta
		if number > 65000 || length > 1034 || !known && (number == 0 || number > 60) {
			return NotMine
		}
		at += length
		options++
	}
	switch {
	case at > len(b) || at == len(b)-1: // a mark without a payload
		return NotMine
	case known:
		return sure(r, 95)
	case options > 1 && code>>5 == 0:
		return maybe(r, 60)
	}
	return NotMine
}

// readCoAPStream reads the message that both sides send first over TCP: their capabilities and settings (RFC 8323 §3.3, §5.3).
func readCoAPStream(v *View, r *Result) Verdict {
	return both(coapSettings(v.Client), coapSettings(v.Server), r, v.ifPort(5683, 80))
}

// coapSettings reads a message of code 7.01 without a token, whose options fill it: the length of the options and the token's in four bits each,
// the rest of the length, the code.
func coapSettings(b []byte) Verdict {
	if len(b) == 0 {
		return Need
	}
	if b[0]&15 != 0 || b[0]>>4 > 13 {
		return NotMine
	}
	length, at, ok := coapExtended(b, 1, int(b[0]>>4))
	switch {
	case !ok, at >= len(b):
		return Need
	case b[at] != 0xe1 || length > maxCoAPSettings:
		return NotMine
	}
	at++
	for end := at + length; at < end; {
		if len(b) < end {
			return Need
		}
		size := int(b[at] & 15)
		_, next, ok := coapExtended(b[:end], at+1, int(b[at]>>4))
		if !ok {
			return NotMine
		}
		if size, at, ok = coapExtended(b[:end], next, size); !ok || at+size > end {
			return NotMine
		}
		at += size
	}
	return Found
}

// maxCoAPSettings is the longest list of settings that is read; there are two of a few bytes.
const maxCoAPSettings = 32

// coapExtended reads the rest of a delta or a length: 13 and 14 have one or two more bytes (§3.1).
func coapExtended(b []byte, at, n int) (value, next int, ok bool) {
	switch {
	case n < 13:
		return n, at, true
	case n == 13 && at < len(b):
		return 13 + int(b[at]), at + 1, true
	case n == 14 && at+1 < len(b):
		return 269 + be16(b[at:]), at + 2, true
	}
	return 0, 0, false
}
