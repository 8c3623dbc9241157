package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/trenza-router/trenza/router/flow"
)

// The compiled form, all numbers big-endian:
//
//	0   8  magic "TRZNCTLG"
//	8   2  version of the form
//	10  8  version of the catalogue
//	18  4  length of the payload in bytes
//	22  32 SHA-256 of bytes 0 to 21 and the payload
//	54     payload
//
// In the payload a number is a varint and a text its length and its bytes (UTF-8): the number of categories, and of each the id
// and three names; the number of applications, and of each the id, three names, the category's index, then counted lists of
// domains (2·length + 1 if exact, bytes), protocols (text), prefixes (address length in bytes, bits, address) and ports (IP protocol, first, last - first).
const (
	magic       = "TRZNCTLG"
	formVersion = 1
	headerSize  = 54
	maxPayload  = 32 << 20
)

// ErrNotCatalogue: the bytes are not a compiled catalogue of a form that this program reads, or are damaged.
var ErrNotCatalogue = errors.New("not a catalogue this program can read")

// Encode is the compiled form. It depends on the contents alone.
func (c *Catalog) Encode() []byte {
	p := binary.AppendUvarint(nil, uint64(len(c.categories)))
	category := map[string]int{}
	for i, k := range c.categories {
		category[k.ID] = i
		p = appendNames(appendText(p, k.ID), k.Names)
	}
	p = binary.AppendUvarint(p, uint64(len(c.apps)))
	for _, a := range c.apps {
		p = appendNames(appendText(p, a.ID), a.Names)
		p = binary.AppendUvarint(p, uint64(category[a.Category]))
		p = binary.AppendUvarint(p, uint64(len(a.Domains)))
		for _, d := range a.Domains {
			n := uint64(len(d.Name)) << 1
			if d.Exact {
				n |= 1
			}
			p = append(binary.AppendUvarint(p, n), d.Name...)
		}
		p = binary.AppendUvarint(p, uint64(len(a.Protocols)))
		for _, s := range a.Protocols {
			p = appendText(p, s)
		}
		p = binary.AppendUvarint(p, uint64(len(a.Prefixes)))
		for _, x := range a.Prefixes {
			addr := x.Addr().AsSlice()
			p = append(p, byte(len(addr)), byte(x.Bits()))
			p = append(p, addr...)
		}
		p = binary.AppendUvarint(p, uint64(len(a.Ports)))
		for _, x := range a.Ports {
			p = binary.AppendUvarint(append(p, byte(x.Proto)), uint64(x.First))
			p = binary.AppendUvarint(p, uint64(x.Last-x.First))
		}
	}
	return seal(c.version, p)
}

// seal puts the header before a payload.
func seal(version uint64, payload []byte) []byte {
	out := make([]byte, 0, headerSize+len(payload))
	out = append(out, magic...)
	out = binary.BigEndian.AppendUint16(out, formVersion)
	out = binary.BigEndian.AppendUint64(out, version)
	out = binary.BigEndian.AppendUint32(out, uint32(len(payload)))
	sum := sha256.New()
	sum.Write(out)
	sum.Write(payload)
	return append(sum.Sum(out), payload...)
}

func appendText(p []byte, s string) []byte {
	return append(binary.AppendUvarint(p, uint64(len(s))), s...)
}

func appendNames(p []byte, n Names) []byte {
	return appendText(appendText(appendText(p, n.EN), n.ES), n.ZH)
}

// Decode reads the compiled form and checks all of it. The catalogue keeps data. Errors are ErrNotCatalogue.
func Decode(data string) (*Catalog, error) {
	version, payload, err := open(data)
	if err == nil {
		var c *Catalog
		if c, err = decodePayload(version, payload); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrNotCatalogue, err)
}

// open checks header and checksum.
func open(data string) (version uint64, payload string, err error) {
	switch {
	case len(data) < headerSize:
		return 0, "", fmt.Errorf("%d bytes are too few", len(data))
	case data[:len(magic)] != magic:
		return 0, "", errors.New("it does not begin as one")
	}
	h := []byte(data[:headerSize])
	if v := binary.BigEndian.Uint16(h[8:]); v != formVersion {
		return 0, "", fmt.Errorf("it has form %d, this program reads form %d: update the program", v, formVersion)
	}
	payload = data[headerSize:]
	if n := binary.BigEndian.Uint32(h[18:]); n > maxPayload || int(n) != len(payload) {
		return 0, "", fmt.Errorf("it says %d bytes and has %d: it was cut off or added to", n, len(payload))
	}
	sum := sha256.New()
	sum.Write(h[:22])
	sum.Write([]byte(payload))
	if string(sum.Sum(nil)) != data[22:headerSize] {
		return 0, "", errors.New("its checksum is wrong: it was damaged on the way")
	}
	return binary.BigEndian.Uint64(h[10:]), payload, nil
}

// reader takes values from the front of a payload. After the first failure it yields zeros.
type reader struct {
	rest string
	err  error
}

func (r *reader) fail(text string) {
	if r.err == nil {
		r.err = errors.New(text)
	}
	r.rest = ""
}

func (r *reader) number() uint64 {
	var n uint64
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen32; i++ {
		b := r.rest[i]
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			r.rest = r.rest[i+1:]
			return n
		}
	}
	r.fail("a number is cut off or too large")
	return 0
}

// count is the length of a list whose items take at least size bytes each: no more can be there than bytes.
func (r *reader) count(size int) int {
	n := r.number()
	if n > uint64(len(r.rest)/size) {
		r.fail("a list is longer than the file")
		return 0
	}
	return int(n)
}

func (r *reader) bytes(n uint64) string {
	if n > uint64(len(r.rest)) {
		r.fail("a text is cut off")
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) byte() byte {
	s := r.bytes(1)
	if s == "" {
		return 0
	}
	return s[0]
}

func (r *reader) slug() string {
	s := r.bytes(r.number())
	if r.err == nil && !ValidID(s) {
		r.fail(fmt.Sprintf("%.40q is not an id", s))
	}
	return s
}

func (r *reader) names() Names {
	var text [3]string
	for i := range text {
		text[i] = r.bytes(r.number())
		if r.err == nil && (text[i] == "" || len(text[i]) > 200 || !utf8.ValidString(text[i])) {
			r.fail(fmt.Sprintf("%.40q is not a name", text[i]))
		}
	}
	return Names{text[0], text[1], text[2]}
}

func decodePayload(version uint64, payload string) (*Catalog, error) {
	r := &reader{rest: payload}
	categories := make([]Category, r.count(7))
	for i := range categories {
		categories[i] = Category{ID: r.slug(), Names: r.names()}
	}
	apps := make([]App, r.count(12))
	for i := range apps {
		a := &apps[i]
		a.ID, a.Names = r.slug(), r.names()
		if k := r.number(); r.err == nil {
			if k >= uint64(len(categories)) {
				return nil, fmt.Errorf("application %s has a category that is not there", a.ID)
			}
			a.Category = categories[k].ID
		}
		r.claims(a)
		if r.err != nil {
			return nil, fmt.Errorf("application %d, %.40q: %w", i, a.ID, r.err)
		}
	}
	if r.err == nil && r.rest != "" {
		r.fail("something follows after the end")
	}
	if r.err != nil {
		return nil, r.err
	}
	return assemble(version, categories, apps)
}

func (r *reader) claims(a *App) {
	a.Domains = make([]Domain, r.count(4))
	for i := range a.Domains {
		n := r.number()
		d := Domain{Name: r.bytes(n >> 1), Exact: n&1 == 1}
		clean, ok := flow.CleanHost(d.Name)
		if r.err == nil && (!ok || clean != d.Name || !strings.Contains(clean, ".")) {
			r.fail(fmt.Sprintf("%.80q is not a domain", d.Name))
		}
		a.Domains[i] = d
	}
	a.Protocols = make([]string, r.count(2))
	for i := range a.Protocols {
		a.Protocols[i] = r.slug()
	}
	a.Prefixes = make([]netip.Prefix, r.count(6))
	for i := range a.Prefixes {
		size, bits := r.byte(), r.byte()
		addr, ok := netip.AddrFromSlice([]byte(r.bytes(uint64(size))))
		p := netip.PrefixFrom(addr, int(bits))
		if r.err == nil && (!ok || !p.IsValid() || p != p.Masked() || bits == 0 || addr.Is4In6()) {
			r.fail("an address range is impossible")
		}
		a.Prefixes[i] = p
	}
	a.Ports = make([]Ports, r.count(3))
	for i := range a.Ports {
		proto := flow.Proto(r.byte())
		first, more := r.number(), r.number()
		if r.err == nil && (!proto.HasPorts() || first == 0 || first+more > 65535) {
			r.fail("a port is impossible")
		}
		a.Ports[i] = Ports{proto, uint16(first), uint16(first + more)}
	}
}
