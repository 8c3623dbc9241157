package dpi

import "bytes"

// Types of the transport PDU in a TPKT (RFC 1006 §6): ISO 8073 §13.
const (
	cotpConnect = 0xe0
	cotpConfirm = 0xd0
	cotpData    = 0xf0
)

// readTPKT reads the first packet of a stream: version 3, a zero byte, the length of all of it; then the length of the transport
// header and its type.
func readTPKT(b []byte, kinds ...byte) (length int, v Verdict) {
	if v := starts(b, "\x03\x00"); v != Found {
		return 0, v
	}
	if len(b) > 5 && bytes.IndexByte(kinds, b[5]&0xf0) < 0 {
		return 0, NotMine
	}
	if len(b) < 6 {
		return 0, Need
	}
	length = be16(b[2:])
	return length, foundIf(length >= 7 && int(b[4]) >= 2 && length >= int(b[4])+5)
}

// readRDP reads the connection request of the remote desktop ([MS-RDPBCGR] §2.2.1.1), with its cookie ("mstshash") or
// negotiation, and the confirmation.
func readRDP(v *View, r *Result) Verdict {
	_, server := readTPKT(v.Server, cotpConfirm)
	client := rdpRequest(v.Client)
	alone := uint8(95)
	if client != Found { // any ISO server answers so
		alone = 40
	}
	if client == Found && server == Need && len(v.Client) == 11 {
		alone = 60
	}
	return both(client, server, r, alone)
}

func rdpRequest(b []byte) Verdict {
	length, v := readTPKT(b, cotpConnect)
	switch {
	case v != Found:
		return v
	case length == 11:
		return Found // the first version: no cookie, no negotiation
	case len(b) < 12:
		return Need
	}
	if v := startsAny(b[11:], "Cookie: ", "\x01\x00\x08\x00", "\x01\x01\x08\x00", "\x01\x02\x08\x00", "\x01\x08\x08\x00"); v != NotMine {
		return v
	}
	return starts(b[11:], "tsv:")
}

// readRDPDatagram reads the SYN of RDP over UDP ([MS-RDPEUDP] §2.2.2): nothing received yet, the SYN flag, and two sizes of packets.
func readRDPDatagram(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 1132 || len(b) > 1232 || be32(b) != 0xffffffff || be16(b[6:])&1 == 0 || len(b) < 16 {
		return NotMine
	}
	up, down := be16(b[12:]), be16(b[14:])
	if up < 1132 || up > 1232 || down < 1132 || down > 1232 {
		return NotMine
	}
	return sure(r, 95)
}

// readS7 reads a connection to a controller of the S7 family (Siemens; as described by the libnodave and Snap7 projects): the connection request of ISO
// transport, then data that begin with 0x32, or with 0x72 in the newer generation; or to one that speaks MMS (ISO 9506) on the same transport.
func readS7(v *View, r *Result) Verdict {
	b := v.Client
	if _, server := readTPKT(v.Server, cotpConfirm, cotpData); server == NotMine {
		return NotMine
	}
	for range 2 {
		length, verdict := readTPKT(b, cotpConnect, cotpData)
		if verdict != Found {
			return verdict
		}
		if b[5] == cotpData {
			if len(b) < 8 {
				return Need
			}
			switch {
			case b[4] != 2:
				return NotMine
			case b[7] == 0x0d: // the session layer's CONNECT (ISO 8327 §8.3.1)
				r.Protocol = MMS
			case b[7] != 0x32 && b[7] != 0x72:
				return NotMine
			}
			_, server := readTPKT(v.Server, cotpConfirm, cotpData)
			return both(Found, server, r, 80)
		}
		if length > 64 {
			return NotMine
		}
		b = b[min(len(b), length):]
	}
	return NotMine
}
