package dpi

// readSNMP reads a message that fills the datagram.
func readSNMP(v *View, r *Result) Verdict {
	end, verdict := snmpMessage(v.Payload)
	if verdict != Found || end != len(v.Payload) {
		return NotMine
	}
	return sure(r, 95)
}

// readSNMPStream reads the first message over TCP (RFC 3430 §2), which is the client's, or an agent's notification.
func readSNMPStream(v *View, r *Result) Verdict {
	_, verdict := snmpMessage(v.Client)
	return verdict
}

// snmpMessage reads the start of a message of SNMP v1 or v2c (RFC 3416, RFC 1157 §4) or v3 (RFC 3412 §6): a sequence, the version, then
// the community and a PDU as long as the rest, or the global data. end is where the message ends.
func snmpMessage(b []byte) (end int, verdict Verdict) {
	if len(b) > 0 && b[0] != 0x30 {
		return 0, NotMine
	}
	outer, verdict := readBER(b, 0)
	if verdict != Found {
		return 0, verdict
	}
	version, at, verdict := berInteger(b, outer.at)
	if verdict != Found {
		return 0, verdict
	}
	if version > 3 {
		return 0, NotMine
	}
	next, verdict := readBER(b, at)
	if verdict != Found {
		return 0, verdict
	}
	if next.end() > outer.end() {
		return 0, NotMine
	}
	if version == 3 {
		if next.tag != 0x30 {
			return 0, NotMine
		}
		_, _, verdict := berInteger(b, next.at)
		return outer.end(), verdict
	}
	if next.tag != 4 {
		return 0, NotMine
	}
	pdu, verdict := readBER(b, next.end())
	if verdict != Found {
		return 0, verdict
	}
	return outer.end(), foundIf(pdu.tag >= 0xa0 && pdu.tag <= 0xa8 && pdu.end() == outer.end())
}
