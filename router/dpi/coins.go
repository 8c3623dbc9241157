package dpi

import "bytes"

// readBitcoin reads the header of a message (Bitcoin developer reference, "Message Headers"): the magic of the network or one of its relatives, a command
// padded with zeros, a length.
func readBitcoin(v *View, r *Result) Verdict {
	return both(bitcoinHeader(v.Client), bitcoinHeader(v.Server), r, 95)
}

func bitcoinHeader(b []byte) Verdict {
	if v := startsAny(b, "\xf9\xbe\xb4\xd9", "\x0b\x11\x09\x07", "\xfa\xbf\xb5\xda", "\x0a\x03\xcf\x40", "\x1c\x16\x3f\x28", // main, test, regression, signet, test 4
		"\xfb\xc0\xb6\xdb", "\xc0\xc0\xc0\xc0", "\xbf\x0c\x6b\xbd", "\xe3\xe1\xf3\xe8"); v != Found { // Litecoin, Dogecoin, Dash, Bitcoin Cash
		return v
	}
	if len(b) < 20 {
		return Need
	}
	end := bytes.IndexByte(b[4:16], 0)
	if end < 2 || b[19] != 0 {
		return NotMine
	}
	for i, c := range b[4:16] {
		if i < end && (c < '0' || c > 'z') || i >= end && c != 0 {
			return NotMine
		}
	}
	return Found
}

// readEthereum reads a packet of node discovery version 4 (ethereum/devp2p discv4.md): a hash of 32 bytes, a signature of 65 that ends in 0 or 1, a type, and a list
// that fills the rest.
func readEthereum(v *View, r *Result) Verdict {
	b := v.Payload
	if len(b) < 100 || len(b) > 1280 || b[96] > 1 || b[97] < 1 || b[97] > 6 {
		return NotMine
	}
	switch list := b[98:]; {
	case list[0] >= 0xc0 && list[0] <= 0xf7 && int(list[0]-0xc0)+1 == len(list):
	case list[0] == 0xf8 && len(list) > 1 && int(list[1])+2 == len(list):
	case list[0] == 0xf9 && len(list) > 2 && be16(list[1:])+3 == len(list):
	default:
		return NotMine
	}
	return sure(r, 95)
}

// readEthereumStream reads the sender's first message on a port of Ethereum (ethereum/devp2p rlpx.md, EIP-8): its size, then an elliptic curve's point, which begins with 4.
func readEthereumStream(v *View, r *Result) Verdict {
	if v.ServerPort < 30300 || v.ServerPort > 30311 {
		return NotMine
	}
	return both(rlpxMessage(v.Client), rlpxMessage(v.Server), r, 60)
}

func rlpxMessage(b []byte) Verdict {
	if len(b) > 0 && (b[0] == 0 || b[0] > 3) || len(b) > 2 && b[2] != 4 {
		return NotMine
	}
	if len(b) < 3 {
		return Need
	}
	return Found
}

// readStratum reads a miner's first call (Stratum mining protocol; its relatives of Ethereum and Monero): a JSON object with one of its methods.
func readStratum(v *View, r *Result) Verdict {
	b := v.Client
	if v := starts(b, "{"); v != Found {
		return v
	}
	b = b[:min(len(b), 256)]
	end := bytes.IndexByte(b, '\n')
	if end >= 0 {
		b = b[:end]
	}
	at := bytes.Index(b, []byte(`"method"`))
	if at < 0 {
		if len(b) < 256 && end < 0 {
			return Need
		}
		return NotMine
	}
	b = bytes.TrimLeft(b[at+len(`"method"`):], " :")
	if v := startsAny(b, `"mining.`, `"eth_submit`, `"eth_login`, `"eth_getWork`); v != NotMine {
		return v
	}
	if v := starts(b, `"login"`); v != Found {
		return v
	}
	if bytes.Contains(v.Client[:min(len(v.Client), 256)], []byte(`"agent"`)) {
		return sure(r, 80)
	}
	return maybe(r, 60)
}
