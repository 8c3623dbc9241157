package dpi

import "bytes"

// readMySQL reads the server's first packet (MySQL client/server protocol, Protocol::HandshakeV10): a length of three bytes, number 0, protocol 10, the
// version as text. The client's answer has number 1.
func readMySQL(v *View, r *Result) Verdict {
	client := mysqlAnswer(v.Client)
	if len(v.Server) == 0 && client == Found {
		return Need // an answer shows nothing without a greeting
	}
	return both(client, mysqlGreeting(v.Server), r, 95)
}

func mysqlGreeting(b []byte) Verdict {
	if len(b) > 2 && b[2] != 0 || len(b) > 3 && b[3] != 0 || len(b) > 4 && b[4] != 10 && b[4] != 0xff {
		return NotMine
	}
	if len(b) < 8 {
		return Need
	}
	if b[4] == 0xff { // refused: an error number and a text
		return foundIf(le16(b) > 8 && le16(b) < 512 && le16(b[5:]) >= 1000 && le16(b[5:]) < 4000)
	}
	version := b[5:min(len(b), 5+64)]
	for i, c := range version {
		if c == 0 {
			return foundIf(i >= 3)
		}
		if i == 0 && (c < '0' || c > '9') || c < ' ' || c > '~' {
			return NotMine
		}
	}
	if len(version) == 64 {
		return NotMine
	}
	return Need
}

func mysqlAnswer(b []byte) Verdict {
	if len(b) > 2 && b[2] != 0 || len(b) > 3 && b[3] != 1 {
		return NotMine
	}
	if len(b) < 4 {
		return Need
	}
	return foundIf(le16(b) >= 32)
}

// readPostgreSQL reads the first message of a client (PostgreSQL protocol, "Message Formats": StartupMessage, SSLRequest, GSSENCRequest,
// CancelRequest): a length and a version or request number.
func readPostgreSQL(v *View, r *Result) Verdict {
	b := v.Client
	if v := starts(b, "\x00\x00"); v != Found {
		return v
	}
	if len(b) < 8 {
		return Need
	}
	switch length, number := be16(b[2:]), be32(b[4:]); number {
	case 80877103, 80877104:
		return foundIf(length == 8)
	case 80877102:
		return foundIf(length == 16)
	case 0x30000, 0x30002:
		if length < 9 {
			return NotMine
		}
		return startsAny(b[8:], "user\x00", "database\x00", "replication\x00", "options\x00", "application_name\x00", "client_encoding\x00", "DateStyle\x00", "TimeZone\x00", "\x00")
	}
	return NotMine
}

// readMSSQL reads the first packet of TDS ([MS-TDS] §2.2.3.1, §2.2.6.5): PRELOGIN with its table of options, or LOGIN7.
func readMSSQL(v *View, r *Result) Verdict {
	b := v.Client
	if v := startsAny(b, "\x12\x01", "\x10\x01", "\x02\x00", "\x02\x01"); v != Found {
		return v
	}
	if len(b) < 16 {
		return Need
	}
	length := be16(b[2:])
	if be16(b[4:]) != 0 || b[6] > 1 || b[7] != 0 {
		return NotMine
	}
	switch b[0] {
	case 0x12: // the first option is the version: offset and length lie inside
		if b[8] != 0 || be16(b[9:])+8 >= length || be16(b[11:]) != 6 {
			return NotMine
		}
		return sure(r, 95)
	case 0x10:
		return foundIf(int(le32(b[8:]))+8 == length)
	}
	if length != 512 || b[6] != 0 {
		return NotMine
	}
	return sure(r, 80) // the login of version 4 and 5
}

// readOracle reads the connect packet of TNS (Oracle Net Services): length, checksum, type 1, and a version from 300 to 330.
func readOracle(v *View, r *Result) Verdict {
	b := v.Client
	if len(b) > 2 && b[2] != 0 || len(b) > 3 && b[3] != 0 || len(b) > 4 && b[4] != 1 || len(b) > 0 && b[0] > 8 {
		return NotMine
	}
	if len(b) < 12 {
		return Need
	}
	length, version, oldest := be16(b), be16(b[8:]), be16(b[10:])
	if length < 26 || be16(b[6:]) != 0 || version < 300 || version > 330 || oldest < 300 || oldest > version {
		return NotMine
	}
	return sure(r, 95)
}

// readMongoDB reads the header of a message (MongoDB wire protocol): length, number, what it answers, and the operation; all little-endian.
func readMongoDB(v *View, r *Result) Verdict {
	b := v.Client
	if len(b) > 2 && b[2] > 2 || len(b) > 3 && b[3] != 0 || len(b) > 8 && b[8] != 0 || len(b) > 11 && le32(b[8:]) != 0 || len(b) > 13 && b[13] != 7 {
		return NotMine
	}
	if len(b) < 24 {
		return Need
	}
	length := le32(b)
	if length < 26 {
		return NotMine
	}
	switch le32(b[12:]) {
	case 2013: // OP_MSG: flags, then a section
		return foundIf(le32(b[16:])&0xfffc == 0 && b[20] <= 1)
	case 2012: // OP_COMPRESSED: the operation inside
		return foundIf(le32(b[16:]) >= 2001 && le32(b[16:]) <= 2013)
	case 2004: // OP_QUERY: flags, then the collection's name
		return foundIf(le32(b[16:]) < 256 && printable(b[20:24]))
	}
	return NotMine
}

// readCassandra reads the first frame of the CQL binary protocol (native_protocol_v4 §2): a request of version 1 to 5 that is OPTIONS or STARTUP.
func readCassandra(v *View, r *Result) Verdict {
	b := v.Client
	if len(b) > 0 && (b[0] < 1 || b[0] > 6) {
		return NotMine
	}
	header := 9
	if len(b) > 0 && b[0] < 3 { // the number of the stream had one byte
		header = 8
	}
	if len(b) < header {
		return Need
	}
	opcode, length := b[header-5], be32(b[header-4:])
	switch {
	case b[1] > 0x1f:
		return NotMine
	case opcode == 5 && length == 0: // OPTIONS
		if v.on(9042) {
			return sure(r, 95)
		}
		return sure(r, 80)
	case opcode == 1 && length < 512: // STARTUP: a map of strings
		rest := b[header:]
		if len(rest) < 4 {
			return Need
		}
		return foundIf(be16(rest) >= 1 && be16(rest) <= 8 && be16(rest[2:]) <= 32)
	}
	return NotMine
}

// readRedis reads a command of RESP (Redis serialization protocol): "*count", "$length", the command; both lines end in CR LF.
func readRedis(v *View, r *Result) Verdict {
	b := v.Client
	if v := redisNumber(b, '*'); v != Found {
		return v
	}
	b = b[bytes.IndexByte(b, '\n')+1:]
	if v := redisNumber(b, '$'); v != Found {
		return v
	}
	b = b[bytes.IndexByte(b, '\n')+1:]
	if len(b) == 0 {
		return Need
	}
	if c := b[0] | 0x20; c < 'a' || c > 'z' {
		return NotMine
	}
	return sure(r, 95)
}

// redisNumber reads a sign, one to four digits, CR LF.
func redisNumber(b []byte, sign byte) Verdict {
	for i, c := range b {
		switch {
		case i == 0 && c == sign, i > 0 && i < 5 && c >= '0' && c <= '9':
		case c == '\r' && i > 1:
			if len(b) < i+2 {
				return Need
			}
			return foundIf(b[i+1] == '\n')
		default:
			return NotMine
		}
	}
	return Need
}
