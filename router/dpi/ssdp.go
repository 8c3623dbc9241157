package dpi

import "bytes"

// readSSDP reads the requests and answers of simple service discovery (UPnP Device Architecture 2.0 §1), which are HTTP in a datagram.
func readSSDP(v *View, r *Result) Verdict {
	b := v.Payload
	switch {
	case starts(b, "M-SEARCH * HTTP/1.") == Found, starts(b, "NOTIFY * HTTP/1.") == Found:
		return sure(r, 95)
	case starts(b, "HTTP/1.1 200 OK\r\n") == Found && (v.on(1900) || bytes.Contains(b, []byte("\r\nUSN:")) || bytes.Contains(b, []byte("\r\nST:"))):
		return sure(r, 95)
	}
	return NotMine
}

// readWSDiscovery reads an XML envelope that names the schema of WS-Discovery (OASIS WS-Discovery 1.1 §1.4, and the draft of 2005 before it).
func readWSDiscovery(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) == 0 || b[0] != '<' && starts(b, "\xef\xbb\xbf<") != Found {
		return NotMine
	}
	if bytes.Contains(b, []byte("schemas.xmlsoap.org/ws/2005/04/discovery")) || bytes.Contains(b, []byte("docs.oasis-open.org/ws-dd/ns/discovery")) {
		return sure(r, 95)
	}
	return NotMine
}
