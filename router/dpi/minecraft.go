package dpi

import "bytes"

// Minecraft: Java Edition (the protocol as its community documents it, "Java Edition protocol/Packets", Handshake): a packet with a
// length, the number 0, the version, the server's name as the player typed it, its port and what comes next. Older clients
// ask for the server's status with a packet of their own ("Server List Ping", 1.6 and older).

// minecraftBudget holds the longest handshake: a name of 255 characters, and what mods append to it.
const minecraftBudget = 5 + 1 + 5 + 2 + 4*255 + 2 + 1

func readMinecraft(v *View, r *Result) Verdict {
	b := v.Client
	if len(b) == 0 {
		return Need
	}
	if b[0] == 0xfe {
		return oldMinecraft(v, r)
	}
	size, rest, verdict := gameInt(b)
	if verdict != Found {
		return verdict
	}
	if size < 7 || size > minecraftBudget-5 {
		return NotMine
	}
	if verdict := starts(rest, "\x00"); verdict != Found {
		return verdict
	}
	if len(rest) < size {
		return minecraftPrefix(rest[1:])
	}
	return minecraftHandshake(rest[1:size], r)
}

// minecraftPrefix refuses an unfinished handshake as soon as its name is not text.
func minecraftPrefix(b []byte) Verdict {
	version, b, verdict := gameInt(b)
	if verdict != Found {
		return verdict
	}
	n, b, verdict := gameInt(b)
	switch {
	case verdict != Found:
		return verdict
	case version < 0 || n < 1 || n > 4*255, len(b) > 0 && (b[0] <= ' ' || b[0] == 0x7f):
		return NotMine
	}
	return Need
}

func minecraftHandshake(b []byte, r *Result) Verdict {
	_, b, version := gameInt(b)
	n, b, verdict := gameInt(b)
	if version != Found || verdict != Found || n < 1 || n > len(b)-3 {
		return NotMine
	}
	name := b[:n]
	next, after, verdict := gameInt(b[n+2:])
	if verdict != Found || len(after) != 0 || next < 1 || next > 3 || name[0] <= ' ' || name[0] == 0x7f {
		return NotMine
	}
	name, _, _ = bytes.Cut(name, []byte{0}) // mods append their mark after a zero
	if len(name) <= len(r.host) {
		r.keepHost(copy(r.host[:], name))
	}
	return Found
}

// oldMinecraft waits for the answer: a packet 0xff with text in UTF-16.
func oldMinecraft(v *View, r *Result) Verdict {
	b, s := v.Client, v.Server
	switch {
	case len(b) > 1 && b[1] != 1, len(b) > 2 && b[2] != 0xfa:
		return NotMine
	case len(s) == 0:
		return maybe(r, 60)
	case s[0] != 0xff, len(s) > 4 && s[3] != 0:
		return NotMine
	case len(s) < 5:
		return Need
	}
	if n := be16(s[1:]); n == 0 || n > 512 {
		return NotMine
	}
	return sure(r, 80)
}

// gameInt reads an integer of seven bits a byte, lowest first, of at most five bytes.
func gameInt(b []byte) (n int, rest []byte, verdict Verdict) {
	var u uint32
	for i, c := range b[:min(len(b), 5)] {
		u |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			return int(int32(u)), b[i+1:], Found
		}
	}
	if len(b) >= 5 {
		return 0, nil, NotMine
	}
	return 0, nil, Need
}
