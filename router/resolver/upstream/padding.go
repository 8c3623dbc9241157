package upstream

import (
	"fmt"

	"github.com/miekg/dns"
)

// queryBlock is what the length of a question is rounded up to (RFC 8467 §4.1).
const queryBlock = 128

// pack writes a question, padded when it has EDNS: servers pad their answers when they are asked so. query is not changed.
func pack(query *dns.Msg) ([]byte, error) {
	if query.IsEdns0() == nil {
		return packed(query)
	}
	query = query.Copy()
	pad := &dns.EDNS0_PADDING{}
	o := query.IsEdns0()
	o.Option = append(o.Option, pad)
	b, err := packed(query)
	if err != nil {
		return nil, err
	}
	if rest := len(b) % queryBlock; rest > 0 {
		pad.Padding = make([]byte, queryBlock-rest)
	}
	return packed(query)
}

func packed(query *dns.Msg) ([]byte, error) {
	b, err := query.Pack()
	if err != nil {
		return nil, fmt.Errorf("pack the question: %w", err)
	}
	return b, nil
}
