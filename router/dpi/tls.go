package dpi

// TLS reads the ClientHello at the start of a TCP stream: server name, ALPN, encrypted hello (RFC 8446 §5.1 for records).
type TLS struct {
	hello    clientHello
	result   Result
	verdict  Verdict
	header   [5]byte
	have     uint8 // bytes in header
	recLeft  int   // of the current record
	streamed int   // bytes of the client read so far
}

// maxTLSRecord is the longest plaintext record (RFC 8446 §5.1); maxTLSStream bounds a hello in many small records.
const (
	maxTLSRecord = 1 << 14
	maxTLSStream = 2 * maxHello
)

// NewTLS makes a parser ready for a flow.
func NewTLS() *TLS {
	t := new(TLS)
	t.Reset()
	return t
}

func (t *TLS) Reset() {
	t.hello.reset()
	t.result.reset(SourceTLS)
	t.verdict, t.have, t.recLeft, t.streamed = Need, 0, 0, 0
}

func (t *TLS) Result() *Result { return &t.result }

// Feed reads the client's side; a server does not speak first in TLS, and its answer tells nothing here.
func (t *TLS) Feed(dir Direction, b []byte) Verdict {
	if dir == FromServer {
		return t.verdict
	}
	for len(b) > 0 && t.verdict == Need {
		if t.recLeft == 0 {
			t.header[t.have] = b[0]
			t.have++
			t.streamed++
			b = b[1:]
			t.verdict = t.record()
			continue
		}
		n := min(t.recLeft, len(b))
		t.recLeft -= n
		t.streamed += n
		t.verdict = t.hello.feed(b[:n], &t.result)
		b = b[n:]
	}
	return t.verdict
}

// record judges the header gathered so far: at each byte, so that a stream of another protocol is let go at once.
func (t *TLS) record() Verdict {
	switch t.have {
	case 1:
		return verdict(t.header[0] == 22 && t.streamed < maxTLSStream) // handshake
	case 2:
		return verdict(t.header[1] == 3)
	case 3:
		return verdict(t.header[2] <= 4)
	case 5:
		t.have = 0
		t.recLeft = int(t.header[3])<<8 | int(t.header[4])
		return verdict(t.recLeft > 0 && t.recLeft <= maxTLSRecord)
	}
	return Need
}
