package dpi

import "bytes"

// readTFTP reads a request (RFC 1350 §5): opcode, file, mode; and what answers it from a port of its own: the first block and its
// acknowledgement, or the options that the server takes (RFC 2347).
func readTFTP(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 4 || b[0] != 0 {
		return NotMine
	}
	switch b[1] {
	case 1, 2:
		name := bytes.IndexByte(b[2:], 0)
		if name < 1 || !printable(b[2:2+name]) {
			return NotMine
		}
		mode := b[2+name+1:]
		if end := bytes.IndexByte(mode, 0); end < 0 || saysAny(mode[:end], "OCTET", "NETASCII", "MAIL") != Found {
			return NotMine
		}
		return sure(r, 95)
	case 3:
		if be16(b[2:]) != 1 {
			return NotMine
		}
		if h := v.answered(); h != nil && h.Size == 4 && string(h.Bytes()) == tftpGoOn {
			return sure(r, 80)
		}
		if len(b) <= 4+512 {
			return maybe(r, 60)
		}
	case 4:
		if string(b) == tftpGoOn && len(v.Heads) == 0 {
			return Need
		}
		h := v.answered()
		if len(b) == 4 && h != nil && len(h.Bytes()) >= 4 && be16(h.Bytes()) == 3 && string(h.Bytes()[2:4]) == string(b[2:4]) {
			return sure(r, 80)
		}
	case 6:
		return foundIf(b[len(b)-1] == 0 && saysAny(b[2:], "BLKSIZE\x00", "TSIZE\x00", "TIMEOUT\x00", "WINDOWSIZE\x00", "MULTICAST\x00") == Found)
	}
	return NotMine
}

// tftpGoOn acknowledges a request to write: block 0.
const tftpGoOn = "\x00\x04\x00\x00"

// readAFP reads the first request of the data stream interface of AFP (Apple Filing Protocol Reference, DSI header): flags 0, the command
// (status or open session), number, offset, length, four zero bytes.
func readAFP(v *View, r *Result) Verdict {
	b := v.Client
	if v := startsAny(b, "\x00\x03", "\x00\x04"); v != Found {
		return v
	}
	if len(b) < 16 {
		return Need
	}
	if be32(b[4:]) != 0 || be32(b[8:]) > 64 || be32(b[12:]) != 0 {
		return NotMine
	}
	if v.on(548) {
		return sure(r, 95)
	}
	return sure(r, 80)
}

// readRsync reads the greeting of the daemon, which both sides send (rsync, "csprotocol").
func readRsync(v *View, r *Result) Verdict {
	return both(starts(v.Client, "@RSYNCD: "), starts(v.Server, "@RSYNCD: "), r, 95)
}

// readGit reads the request of the git transport (gitprotocol-pack): a length of four hexadecimal digits and a service.
func readGit(v *View, r *Result) Verdict {
	b := v.Client
	for _, c := range b[:min(len(b), 4)] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return NotMine
		}
	}
	if len(b) < 4 {
		return Need
	}
	return startsAny(b[4:], "git-upload-pack ", "git-receive-pack ", "git-upload-archive ")
}

// readSVN reads the greeting of svnserve and the answer (Subversion, ra_svn protocol §2.1): versions and capabilities in lists.
func readSVN(v *View, r *Result) Verdict {
	return both(starts(v.Client, "( 2 ( "), starts(v.Server, "( success ( "), r, 80)
}
