package dpi

import "bytes"

// readZabbix reads the header of both sides (Zabbix, "Header and data length"): magic and flags.
func readZabbix(v *View, r *Result) Verdict {
	return both(startsAny(v.Client, "ZBXD\x01", "ZBXD\x03"), startsAny(v.Server, "ZBXD\x01", "ZBXD\x03"), r, 95)
}

// readCheckMK reads what an agent says without being asked (Checkmk agent output): its first section.
func readCheckMK(v *View, r *Result) Verdict {
	if len(v.Client) > 0 {
		return NotMine
	}
	if v := starts(v.Server, "<<<check_mk>>>"); v != Found {
		return v
	}
	return maybe(r, 95)
}

// readMunin reads a node's greeting and the first command (Munin, "Data exchange between master and node").
func readMunin(v *View, r *Result) Verdict {
	alone := uint8(95)
	if len(v.Client) > 0 {
		alone = 0
	}
	return both(saysAny(v.Client, "CAP ", "LIST", "NODES", "CONFIG ", "FETCH ", "VERSION", "QUIT"), starts(v.Server, "# munin node at "), r, alone)
}

// readCollectd reads the first two parts of a datagram (collectd, "Binary protocol"): a host, which ends in a zero byte, and a time or a plugin.
func readCollectd(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 16 || be16(b) != 0 {
		return NotMine
	}
	n := be16(b[2:])
	if n < 6 || n > 260 || n+4 > len(b) || b[n-1] != 0 || !printable(b[4:n-1]) {
		return NotMine
	}
	kind, size := be16(b[n:]), be16(b[n+2:])
	return foundIf((kind == 1 || kind == 8) && size == 12 || kind == 2 && size > 4 && size < 260)
}

// readIPMI reads the header of remote management (IPMI 2.0 §13.1.3, ASF 2.0 §3.2.2): version 6, a zero byte, a sequence number that wants no acknowledgement, and the class.
func readIPMI(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 8 || b[0] != 6 || b[1] != 0 || b[2] != 0xff || b[3] != 6 && b[3] != 7 {
		return NotMine
	}
	if b[3] == 6 && be32(b[4:]) != 0x11be || b[3] == 7 && b[4] > 6 {
		return NotMine
	}
	return sure(r, 95)
}

// readRoughtime reads the magic of a packet (draft-ietf-ntp-roughtime §5).
func readRoughtime(v *View, r *Result) Verdict {
	return foundIf(starts(v.Payload, "ROUGHTIM") == Found)
}

// readOokla reads the first words of a speed test over TCP (Ookla server protocol).
func readOokla(v *View, r *Result) Verdict {
	return both(startsAny(v.Client, "HI\n", "HI "), starts(v.Server, "HELLO 2."), r, 0)
}

// readDropboxLAN reads the broadcast of Dropbox's LAN sync: an object that begins with the host's number.
func readDropboxLAN(v *View, r *Result) Verdict {
	b := v.Payload
	return foundIf(starts(b, `{"`) == Found && bytes.Contains(b, []byte(`"host_int": `)) && bytes.Contains(b, []byte(`"namespaces": `)))
}

// readTiVo reads the beacon of TiVo's devices ("TiVo Connect Automatic Machine Discovery" §4).
func readTiVo(v *View, r *Result) Verdict { return foundIf(starts(v.Payload, "TiVoConnect=") == Found) }

// readBJNP reads the header of Canon's printers and scanners (as the SANE project documented it): magic, a type of device, a command, zeros.
func readBJNP(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 16 || startsAny(b, "BJNP", "MFNP", "BJNB") != Found {
		return NotMine
	}
	return foundIf(b[4]&0x7f >= 1 && b[4]&0x7f <= 4)
}
