package tunnel

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/crypto/blake2s"

	"github.com/trenza-router/trenza/router/bond/https"
	"github.com/trenza-router/trenza/router/bond/seal"
)

// Invite is what a router needs to join a relay: who the relay is, where it is, and a seed that proves that it was invited. It contains no
// key that anybody uses: each end's own key stays where it was made.
type Invite struct {
	Relay     seal.Key
	Addresses []netip.AddrPort // to try in turns
	Seed      [16]byte
	Web       Web // the relay's web server, for links where UDP does not pass
}

// Web is a relay's web server. It has the relay's addresses, and a port of its own.
type Web struct {
	Port  uint16 // 0: there is none
	Trust https.Trust
}

// addresses are those of the web server, of a relay's.
func (w Web) addresses(relay []netip.AddrPort) (out []netip.AddrPort) {
	for _, a := range relay {
		if to := netip.AddrPortFrom(a.Addr(), w.Port); w.Port != 0 && !slices.Contains(out, to) {
			out = append(out, to)
		}
	}
	return out
}

const (
	inviteWord    = "TRENZA"
	inviteUDP     = "1" // of a relay that speaks UDP alone
	inviteWeb     = "2" // of one that has a web server, too
	invitePrefix  = inviteWord + inviteUDP + "-"
	inviteHead    = 32 + 16 + 1
	mostAddresses = 4
	inviteSum     = 4
	longestInvite = inviteHead + mostAddresses*19 + webHead + longestName + inviteSum
	webHead       = 2 + 1
	longestName   = 253 // RFC 1035 section 2.3.4, as text
	ticketLabel   = "trenza bond ticket"
	secretLabel   = "trenza bond secret"
)

var coding = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewInvite draws the seed of an invite.
func NewInvite(relay seal.Key, addresses []netip.AddrPort, random io.Reader) (Invite, error) {
	if len(addresses) == 0 || len(addresses) > mostAddresses {
		return Invite{}, fmt.Errorf("an invite names one to %d addresses of the relay, not %d", mostAddresses, len(addresses))
	}
	i := Invite{Relay: relay, Addresses: addresses}
	if _, err := io.ReadFull(random, i.Seed[:]); err != nil {
		return Invite{}, fmt.Errorf("drawing an invite: %w", err)
	}
	return i, nil
}

// Ticket names the invite towards the relay.
func (i Invite) Ticket() seal.Ticket {
	sum := blake2s.Sum256(append([]byte(ticketLabel), i.Seed[:]...))
	return seal.Ticket(sum[:16])
}

// Secret is the key that router and relay share beside their own.
func (i Invite) Secret() seal.Secret {
	return blake2s.Sum256(append([]byte(secretLabel), i.Seed[:]...))
}

// Code is the invite as a text that survives being read aloud and a QR code of capital letters: the prefix, then base32 (RFC 4648) of
// the relay's key 32, seed 16, count of addresses 1, addresses (family 1, IPv4 4 or IPv6 16, port 2), if there is a web server its port 2 and
// either 0 and the pin 32 or the length 1 of its name and the name, and the CRC-32 of all of it 4.
func (i Invite) Code() string {
	b := append(append([]byte(nil), i.Relay[:]...), i.Seed[:]...)
	b = append(b, byte(len(i.Addresses)))
	for _, a := range i.Addresses {
		if addr := a.Addr().Unmap(); addr.Is4() {
			b = append(append(b, 0), addr.AsSlice()...)
		} else {
			b = append(append(b, 1), addr.WithZone("").AsSlice()...)
		}
		b = binary.BigEndian.AppendUint16(b, a.Port())
	}
	prefix := invitePrefix
	if i.Web.Port != 0 {
		prefix = inviteWord + inviteWeb + "-"
		b = binary.BigEndian.AppendUint16(b, i.Web.Port)
		b = append(append(b, byte(len(i.Web.Trust.Name))), i.Web.Trust.Name...)
		if i.Web.Trust.Name == "" {
			b = append(b, i.Web.Trust.Pin[:]...)
		}
	}
	return prefix + coding.EncodeToString(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)))
}

// String hides the seed from logs.
func (i Invite) String() string { return "invite of relay " + i.Relay.String() }

// GoString hides the seed from logs.
func (i Invite) GoString() string { return i.String() }

var (
	errCodeShort = errors.New("the code is cut off or is none: it begins with " + invitePrefix + " and is copied whole")
	errCodeTyped = errors.New("the code was not copied right: a letter is wrong or missing; copy it again")
)

// ParseInvite reads a code; spaces, line breaks, dashes and small letters do no harm.
func ParseInvite(code string) (Invite, error) {
	clean := strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' || r == '\n' || r == '\r' || r == '\t' {
			return -1
		}
		return r
	}, strings.ToUpper(code))
	text, ok := strings.CutPrefix(clean, inviteWord)
	if !ok {
		return Invite{}, errCodeShort
	}
	text, web := strings.CutPrefix(text, inviteWeb)
	if !web {
		if text, ok = strings.CutPrefix(text, inviteUDP); !ok {
			return Invite{}, errors.New("the code is of another version: update this router or ask for a new code")
		}
	}
	if len(text) > coding.EncodedLen(longestInvite) {
		return Invite{}, errCodeTyped
	}
	b, err := coding.DecodeString(text)
	if err != nil {
		return Invite{}, errCodeTyped
	}
	if len(b) < inviteHead+inviteSum {
		return Invite{}, errCodeShort
	}
	body, sum := b[:len(b)-inviteSum], b[len(b)-inviteSum:]
	if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(sum) {
		return Invite{}, errCodeTyped
	}
	i := Invite{Relay: seal.Key(body), Seed: [16]byte(body[32:])}
	count := int(body[48])
	body = body[inviteHead:]
	if count == 0 || count > mostAddresses {
		return Invite{}, errCodeTyped
	}
	for range count {
		if len(body) == 0 || body[0] > 1 {
			return Invite{}, errCodeTyped
		}
		size := 4
		if body[0] == 1 {
			size = 16
		}
		if len(body) < 1+size+2 {
			return Invite{}, errCodeTyped
		}
		addr, _ := netip.AddrFromSlice(body[1 : 1+size])
		if body[0] == 1 && addr.Is4In6() {
			return Invite{}, errCodeTyped
		}
		i.Addresses = append(i.Addresses, netip.AddrPortFrom(addr, binary.BigEndian.Uint16(body[1+size:])))
		body = body[1+size+2:]
	}
	if web {
		if i.Web, body = readWeb(body); i.Web.Port == 0 {
			return Invite{}, errCodeTyped
		}
	}
	if len(body) != 0 {
		return Invite{}, errCodeTyped
	}
	return i, nil
}

// readWeb reads what a code says of the web server. The port is 0 when it is broken.
func readWeb(b []byte) (w Web, rest []byte) {
	if len(b) < webHead {
		return Web{}, nil
	}
	port, size := binary.BigEndian.Uint16(b), int(b[2])
	b = b[webHead:]
	if size == 0 {
		if len(b) < len(w.Trust.Pin) {
			return Web{}, nil
		}
		w.Trust.Pin, b = [len(w.Trust.Pin)]byte(b), b[len(w.Trust.Pin):]
	} else {
		if len(b) < size || size > longestName {
			return Web{}, nil
		}
		w.Trust.Name, b = string(b[:size]), b[size:]
	}
	w.Port = port
	return w, b
}
