package dpi

// readAJP reads what a web server forwards to an application server (Apache Tomcat, "AJPv13"): magic, length, the type of the message; in a request the
// method and the protocol's name.
func readAJP(v *View, r *Result) Verdict {
	b := v.Client
	if v := starts(b, "\x12\x34"); v != Found {
		return v
	}
	if len(b) < 5 {
		return Need
	}
	switch b[4] {
	case 10: // a ping without a body
		return foundIf(be16(b[2:]) == 1)
	case 2:
		if len(b) < 8 {
			return Need
		}
		return starts(b[8:], "HTTP/")
	}
	return NotMine
}

// readFastCGI reads the first record (FastCGI specification §3.3, §5.1): version 1, begin request, eight bytes of body: role and flags, then zeros.
func readFastCGI(v *View, r *Result) Verdict {
	b := v.Client
	if v := starts(b, "\x01\x01"); v != Found {
		return v
	}
	if len(b) < 16 {
		return Need
	}
	return foundIf(be16(b[4:]) == 8 && b[7] == 0 && b[8] == 0 && b[9] >= 1 && b[9] <= 3 && b[10] <= 1 && be32(b[11:])|uint32(b[15]) == 0)
}

// readProxyProtocol reads the header by which a balancer tells a server who the client is (HAProxy, "The PROXY protocol", versions 1 and 2). The client's own stream
// follows it.
func readProxyProtocol(v *View, r *Result) Verdict {
	r.inner = true
	return startsAny(v.Client, "PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN", "\r\n\r\n\x00\r\nQUIT\n")
}

// readOpenFlow reads the hello that both ends send (OpenFlow 1.3 §7.5.1): a version, type 0, a length.
func readOpenFlow(v *View, r *Result) Verdict {
	return both(openFlowHello(v.Client), openFlowHello(v.Server), r, max(v.ifPort(6653, 80), v.ifPort(6633, 80)))
}

func openFlowHello(b []byte) Verdict {
	if len(b) > 0 && (b[0] < 1 || b[0] > 6) || len(b) > 1 && b[1] != 0 || len(b) > 2 && b[2] != 0 {
		return NotMine
	}
	if len(b) < 4 {
		return Need
	}
	return foundIf(b[3] == 8 || b[3] == 16)
}
