package census

import (
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
)

const dnsPort = 53

// answer is what a name server told a client.
type answer struct {
	host  string
	addrs []netip.Addr
	ttl   time.Duration // the shortest
}

// maxAnswers bounds the records that are read of one message.
const maxAnswers = 64

// dnsAnswer reads a packet as an answer of a name server. Over TCP that is a message that begins and ends with the segment. The
// addresses belong to the name that was asked, whatever aliases are between (RFC 1034 §3.6.2).
func dnsAnswer(p *dpi.Packet) (a answer, ok bool) {
	if p.Key.Src.Port() != dnsPort {
		return a, false
	}
	b := p.Payload
	if p.Key.Proto == flow.ProtoTCP {
		if len(b) < 2 || int(binary.BigEndian.Uint16(b)) != len(b)-2 {
			return a, false
		}
		b = b[2:]
	}
	var m dnsmessage.Parser
	head, err := m.Start(b)
	if err != nil || !head.Response || head.RCode != dnsmessage.RCodeSuccess {
		return a, false
	}
	q, err := m.Question()
	if err != nil || q.Class != dnsmessage.ClassINET || q.Type != dnsmessage.TypeA && q.Type != dnsmessage.TypeAAAA || m.SkipAllQuestions() != nil {
		return a, false
	}
	for range maxAnswers {
		r, err := m.AnswerHeader()
		if err != nil {
			break
		}
		switch ttl := time.Duration(r.TTL) * time.Second; r.Type {
		case dnsmessage.TypeA:
			v, err := m.AResource()
			if err != nil {
				return a, false
			}
			a.add(netip.AddrFrom4(v.A), ttl)
		case dnsmessage.TypeAAAA:
			v, err := m.AAAAResource()
			if err != nil {
				return a, false
			}
			a.add(netip.AddrFrom16(v.AAAA), ttl)
		default:
			if m.SkipAnswer() != nil {
				return a, false
			}
		}
	}
	a.host, ok = flow.CleanHost(q.Name.String())
	return a, ok && len(a.addrs) > 0
}

func (a *answer) add(addr netip.Addr, ttl time.Duration) {
	if len(a.addrs) == 0 || ttl < a.ttl {
		a.ttl = ttl
	}
	a.addrs = append(a.addrs, addr)
}
