package dpi

import "bytes"

// certificateName looks for a host name in the certificate of a server whose client named none. It is Found when there is a
// name or when none can come any more, and Likely while the server's answer is missing. Servers of TLS 1.3 encrypt theirs.
func certificateName(v *View, r *Result) Verdict {
	if len(v.Server) == 0 {
		r.waits = true
		return Likely
	}
	b, records := handshake(v, v.Server)
	if records == NotMine { // an alert, or another protocol
		return Found
	}
	for len(b) >= 4 {
		kind, size := b[0], messageSize(b)
		if kind != helloServer && kind != messageCertificate {
			return Found
		}
		if len(b) < 4+size {
			break
		}
		body := b[4 : 4+size]
		if kind == messageCertificate {
			readCertificate(body, r)
			return Found
		}
		b = b[4+size:]
	}
	if records == Found || len(v.Server) >= maxStream {
		return Found
	}
	r.waits = true
	return Likely
}

// readCertificate reads a Certificate message (RFC 5246 §7.4.2): the first host name of the subject's alternative names of the
// first certificate, else the common name. "*.example.com" counts as example.com.
func readCertificate(b []byte, r *Result) {
	if len(b) < 6 {
		return
	}
	n := int(b[3])<<16 | int(b[4])<<8 | int(b[5])
	if n > len(b)-6 {
		return
	}
	certificate, _, ok := der(b[6:6+n], derSequence)
	if !ok {
		return
	}
	tbs, _, ok := der(certificate, derSequence)
	if !ok {
		return
	}
	var subject, extensions []byte
	sequences := 0
	for len(tbs) > 0 { // version, serial, algorithm, issuer, validity, subject, key, ids, extensions (RFC 5280 §4.1)
		tag := tbs[0]
		body, rest, ok := der(tbs, tag)
		if !ok {
			break
		}
		switch tag {
		case derSequence:
			if sequences++; sequences == 4 {
				subject = body
			}
		case derExtensions:
			extensions = body
		}
		tbs = rest
	}
	if !alternativeName(extensions, r) {
		commonName(subject, r)
	}
	if r.n > 0 {
		r.Source = SourceCertificate
	}
}

const (
	derOctets     = 0x04
	derOID        = 0x06
	derSequence   = 0x30
	derSet        = 0x31
	derDNSName    = 0x82 // [2] in GeneralName
	derExtensions = 0xa3 // [3] in TBSCertificate
)

// der takes one element with the tag off the front (X.690 §8.1, definite lengths).
func der(b []byte, tag byte) (body, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != tag {
		return nil, nil, false
	}
	n, at := int(b[1]), 2
	if n >= 0x80 {
		digits := n & 0x7f
		if digits == 0 || digits > 3 || len(b) < 2+digits {
			return nil, nil, false
		}
		n = 0
		for _, c := range b[2 : 2+digits] {
			n = n<<8 | int(c)
		}
		at += digits
	}
	if n > len(b)-at {
		return nil, nil, false
	}
	return b[at : at+n], b[at+n:], true
}

// alternativeName goes through the extensions to the subject's alternative names (RFC 5280 §4.2.1.6).
func alternativeName(b []byte, r *Result) bool {
	all, _, _ := der(b, derSequence)
	for len(all) > 0 {
		extension, rest, ok := der(all, derSequence)
		if !ok {
			return false
		}
		all = rest
		id, value, ok := der(extension, derOID)
		if !ok || string(id) != "\x55\x1d\x11" {
			continue
		}
		if len(value) > 3 && value[0] == 0x01 { // critical
			value = value[3:]
		}
		octets, _, _ := der(value, derOctets)
		names, _, _ := der(octets, derSequence)
		for len(names) > 0 {
			tag := names[0]
			name, rest, ok := der(names, tag)
			if !ok {
				return false
			}
			if names = rest; tag == derDNSName && keepCertificateName(name, r) {
				return true
			}
		}
	}
	return false
}

// commonName reads the subject's, where certificates had their name of old.
func commonName(b []byte, r *Result) {
	for len(b) > 0 {
		set, rest, ok := der(b, derSet)
		if !ok {
			return
		}
		b = rest
		attribute, _, _ := der(set, derSequence)
		id, value, ok := der(attribute, derOID)
		if !ok || string(id) != "\x55\x04\x03" || len(value) == 0 {
			continue
		}
		if name, _, ok := der(value, value[0]); ok && keepCertificateName(name, r) {
			return
		}
	}
}

func keepCertificateName(name []byte, r *Result) bool {
	if len(name) > 2 && name[0] == '*' && name[1] == '.' {
		name = name[2:]
	}
	if len(name) > len(r.host) || bytes.IndexByte(name, '.') < 0 {
		return false
	}
	r.keepHost(copy(r.host[:], name))
	return r.n > 0
}
