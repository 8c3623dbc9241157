package dpi

// readMemcached reads the text protocol (memcached, protocol.txt).
func readMemcached(v *View, r *Result) Verdict {
	client := startsAny(v.Client, "get ", "gets ", "set ", "add ", "replace ", "delete ", "incr ", "decr ", "stats\r\n", "stats ", "version\r\n", "mg ", "ms ", "flush_all")
	server := startsAny(v.Server, "VALUE ", "END\r\n", "STORED\r\n", "NOT_STORED\r\n", "NOT_FOUND\r\n", "EXISTS\r\n", "DELETED\r\n", "STAT ", "VERSION ", "OK\r\n", "ERROR\r\n", "EN\r\n", "HD\r\n", "VA ")
	return both(client, server, r, v.ifPort(11211, 80))
}

// readMemcachedBinary reads the header of a request and the magic of the answer (memcached, BinaryProtocolRevamped): magic, operation, lengths of key
// and extras, a data type and a bucket of zero, and the length of all, which is no smaller.
func readMemcachedBinary(v *View, r *Result) Verdict {
	b := v.Client
	if v := starts(b, "\x80"); v != Found {
		return v
	}
	if len(b) > 1 && b[1] > 0x50 || len(b) > 4 && b[4] > 32 || len(b) > 5 && b[5] != 0 {
		return NotMine
	}
	if len(b) < 24 {
		return Need
	}
	if length := be32(b[8:]); length > 1<<20 || int(length) < be16(b[2:])+int(b[4]) || b[6]|b[7] != 0 {
		return NotMine
	}
	return both(Found, starts(v.Server, "\x81"), r, 60)
}

// readMemcachedDatagram reads the frame before a text command: number, sequence 0, one datagram, nothing reserved in use.
func readMemcachedDatagram(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 12 || be16(b[2:]) != 0 || be16(b[4:]) != 1 || be16(b[6:]) != 0 {
		return NotMine
	}
	return startsAlready(b[8:], "get ", "gets ", "set ", "stats\r\n", "stats ", "version\r\n", "VALUE ", "END\r\n", "STAT ", "VERSION ")
}

// startsAlready is startsAny for a datagram, which will not grow.
func startsAlready(b []byte, with ...string) Verdict { return foundIf(startsAny(b, with...) == Found) }

// readElasticsearch reads the header of the transport protocol (Elasticsearch, TcpHeader): "ES", length, number, status, version.
func readElasticsearch(v *View, r *Result) Verdict {
	b := v.Client
	if v := starts(b, "ES\x00"); v != Found {
		return v
	}
	if len(b) < 19 {
		return Need
	}
	if be32(b[2:]) < 13 || b[14] > 0x0f || be32(b[15:]) > 99_999_999 {
		return NotMine
	}
	return sure(r, 95)
}

// readKafka reads the first request (Apache Kafka protocol, "Request Header"): length, API, its version, a number that the answer
// repeats, and the client's name.
func readKafka(v *View, r *Result) Verdict {
	b, answer := v.Client, v.Server
	if len(b) > 0 && b[0] != 0 || len(b) > 1 && b[1] > 16 || len(b) > 4 && b[4] != 0 || len(b) > 5 && b[5] > 91 || len(b) > 6 && b[6] != 0 || len(b) > 7 && b[7] > 20 {
		return NotMine
	}
	if len(answer) > 0 && answer[0] != 0 {
		return NotMine
	}
	if len(b) < 14 {
		return Need
	}
	if n := be16(b[12:]); n != 0xffff {
		if n == 0 || n > 255 || be32(b) < uint32(10+n) {
			return NotMine
		}
		if name := b[14:min(len(b), 14+n)]; !printable(name) {
			return NotMine
		} else if len(name) < n {
			return Need
		}
	} else if be32(b) < 10 {
		return NotMine
	}
	if len(answer) < 8 {
		return maybe(r, 60)
	}
	if be32(answer[4:]) != be32(b[8:]) {
		return NotMine
	}
	return sure(r, 95)
}

// readAMQP reads the protocol header (AMQP 0-9-1 §4.2.2, AMQP 1.0 §2.2), or in the middle of a connection a method's frame with its end (AMQP 0-9-1 §2.3.5).
func readAMQP(v *View, r *Result) Verdict {
	b := v.Client
	if len(b) > 0 && b[0] == 1 {
		return amqpFrame(b)
	}
	if v := starts(b, "AMQP"); v != Found {
		return v
	}
	if len(b) < 8 {
		return Need
	}
	if b[4] > 3 || b[5] > 9 {
		return NotMine
	}
	return sure(r, 95)
}

// amqpFrame reads type 1, a channel, a size, the class of the method and the octet after the frame.
func amqpFrame(b []byte) Verdict {
	if len(b) > 1 && b[1] != 0 || len(b) > 3 && b[3] != 0 || len(b) > 4 && b[4] != 0 || len(b) > 7 && b[7] != 0 {
		return NotMine
	}
	if len(b) < 12 {
		return Need
	}
	size, class := int(be32(b[3:])), b[8]
	if size < 4 || size > 500 || class < 10 || class > 90 || class%5 != 0 || b[9] != 0 {
		return NotMine
	}
	if len(b) < size+8 {
		return Need
	}
	return foundIf(b[size+7] == 0xce)
}

// readNATS reads the server's INFO and the client's first command (NATS client protocol).
func readNATS(v *View, r *Result) Verdict {
	return both(saysAny(v.Client, "CONNECT {", "PING\r\n"), startsAny(v.Server, "INFO {"), r, 80)
}

// readZooKeeper reads a client's ConnectRequest (Apache ZooKeeper, zookeeper.jute): length, protocol 0, last transaction, timeout, session, and a
// password of 16 bytes.
func readZooKeeper(v *View, r *Result) Verdict {
	b := v.Client
	if v := startsAny(b, "\x00\x00\x00\x2c\x00\x00\x00\x00", "\x00\x00\x00\x2d\x00\x00\x00\x00"); v != Found {
		return v
	}
	if len(b) < 32 {
		return Need
	}
	if timeout := be32(b[16:]); timeout == 0 || timeout > 1<<24 || be32(b[28:]) != 16 {
		return NotMine
	}
	return sure(r, 95)
}
