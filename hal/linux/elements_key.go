package linux

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// Addresses, ports and protocols stand in keys in network order, marks in host order.

// maxComment is the longest comment that nft takes, in bytes (NFTNL_UDATA_COMMENT_MAXLEN without its NUL).
const maxComment = 127

// rawElement is an element as the kernel has it.
type rawElement struct {
	key              []byte
	value            uint32
	timeout, expires time.Duration // whole milliseconds
	comment          string
}

// Attributes and types of user data that x/sys/unix does not name.
const (
	dataValue      = 1 // NFTA_DATA_VALUE
	elementComment = 0 // NFTNL_UDATA_SET_ELEM_COMMENT: the type in a record of type, length, bytes (libnftnl/udata.h)
)

// encode gives one element for each key; of several with one key, the last.
func (s *elementSet) encode(elems []hal.Element) ([]rawElement, error) {
	raw := make([]rawElement, 0, len(elems))
	place := make(map[string]int, len(elems))
	keys := make([]byte, 0, len(elems)*s.key.length())
	for _, e := range elems {
		if err := s.check(e); err != nil {
			return nil, fmt.Errorf("element %v: %w", e.Key, err)
		}
		begin := len(keys)
		var err error
		if keys, err = s.key.appendKey(keys, e.Key); err != nil {
			return nil, err
		}
		r := rawElement{key: keys[begin:], value: e.Value, timeout: milliseconds(e.Timeout), comment: e.Comment}
		if i, ok := place[string(r.key)]; ok {
			raw[i] = r
			continue
		}
		place[string(r.key)] = len(raw)
		raw = append(raw, r)
	}
	return raw, nil
}

// check tells what of an element, besides its key, does not go with the set.
func (s *elementSet) check(e hal.Element) error {
	switch {
	case len(e.Comment) > maxComment:
		return fmt.Errorf("the comment has %d bytes; at most %d fit", len(e.Comment), maxComment)
	case e.Timeout < 0:
		return fmt.Errorf("timeout %s is below zero", e.Timeout)
	case e.Timeout > 0 && !s.hasTimeout:
		return errors.New("the set was not made with flag timeout, so the element cannot expire")
	case !s.isMap && e.Value != 0:
		return fmt.Errorf("value %#x for a set; only maps have values", e.Value)
	}
	return nil
}

// milliseconds rounds a timeout up to the kernel's unit, so that a short one does not become "for ever".
func milliseconds(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}

// appendKeyOf appends an element of which the key alone counts.
func appendKeyOf(b []byte, r rawElement) []byte {
	b, key := beginNested(b, unix.NFTA_SET_ELEM_KEY)
	return endNested(appendAttribute(b, dataValue, r.key), key)
}

// appendElement appends the attributes of an element.
func (s *elementSet) appendElement(b []byte, r rawElement) []byte {
	b = appendKeyOf(b, r)
	if s.isMap {
		var data int
		b, data = beginNested(b, unix.NFTA_SET_ELEM_DATA)
		b = endNested(appendUint32(b, dataValue, r.value), data)
	}
	if r.timeout != 0 {
		b = appendAttribute(b, unix.NFTA_SET_ELEM_TIMEOUT, binary.BigEndian.AppendUint64(nil, uint64(r.timeout/time.Millisecond)))
	}
	if r.comment != "" {
		record := append([]byte{elementComment, byte(len(r.comment) + 1)}, r.comment...)
		b = appendAttribute(b, unix.NFTA_SET_ELEM_USERDATA, append(record, 0))
	}
	return b
}

// readElement reads one element of a listing. It keeps nothing of e, and never panics, whatever the bytes are.
func readElement(e fields) rawElement {
	r := rawElement{
		key:     append([]byte(nil), fields(e.get(unix.NFTA_SET_ELEM_KEY)).get(dataValue)...),
		value:   host32(fields(e.get(unix.NFTA_SET_ELEM_DATA)).get(dataValue)),
		timeout: time.Duration(e.number(unix.NFTA_SET_ELEM_TIMEOUT)) * time.Millisecond,
		expires: time.Duration(e.number(unix.NFTA_SET_ELEM_EXPIRATION)) * time.Millisecond,
	}
	for b := e.get(unix.NFTA_SET_ELEM_USERDATA); len(b) >= 2 && len(b) >= 2+int(b[1]); b = b[2+int(b[1]):] {
		if b[0] == elementComment {
			r.comment = strings.TrimRight(string(b[2:2+int(b[1])]), "\x00")
		}
	}
	return r
}

func (s *elementSet) decode(r rawElement) (hal.Element, error) {
	key, err := s.key.split(r.key)
	if err != nil {
		return hal.Element{}, err
	}
	e := hal.Element{Key: key, Timeout: r.timeout, Expires: r.expires, Comment: r.comment}
	if e.Timeout == 0 && e.Expires > 0 {
		e.Timeout = s.timeout // the kernel does not repeat the set's default
	}
	if s.isMap {
		e.Value = r.value
	}
	return e, nil
}

func (t keyType) appendKey(b []byte, parts []hal.KeyPart) ([]byte, error) {
	if len(parts) != len(t) {
		return nil, fmt.Errorf("key %v has %d parts, the set's type is %s", parts, len(parts), t)
	}
	for i, p := range parts {
		begin := len(b)
		var ok bool
		if b, ok = t[i].appendPart(b, p); !ok {
			return nil, fmt.Errorf("part %d of key %v is a %T, the set's type is %s", i+1, parts, p, t)
		}
		for len(b) < begin+t.step(t[i]) {
			b = append(b, 0)
		}
	}
	return b, nil
}

func (k partKind) appendPart(b []byte, p hal.KeyPart) ([]byte, bool) {
	switch v := p.(type) {
	case netip.Addr:
		return append(b, v.AsSlice()...), k == kindIPv4 && v.Is4() || k == kindIPv6 && v.Is6() && v.Zone() == ""
	case uint32:
		return binary.NativeEndian.AppendUint32(b, v), k.hostNumber()
	case uint16:
		return binary.BigEndian.AppendUint16(b, v), k == kindService
	case flow.Proto:
		return append(b, byte(v)), k == kindProto
	case flow.MAC:
		return append(b, v[:]...), k == kindMAC
	}
	return b, false
}

// split reads the parts of a key.
func (t keyType) split(key []byte) ([]hal.KeyPart, error) {
	if len(key) != t.length() {
		return nil, fmt.Errorf("key of %d bytes, its type %s has %d", len(key), t, t.length())
	}
	parts := make([]hal.KeyPart, 0, len(t))
	for _, k := range t {
		parts = append(parts, k.part(key[:k.size()]))
		key = key[t.step(k):]
	}
	return parts, nil
}

// part reads b, which has as many bytes as the type says.
func (k partKind) part(b []byte) hal.KeyPart {
	switch k {
	case kindIPv4, kindIPv6:
		a, _ := netip.AddrFromSlice(b)
		return a
	case kindService:
		return binary.BigEndian.Uint16(b)
	case kindProto:
		return flow.Proto(b[0])
	case kindMAC:
		return flow.MAC(b)
	}
	return binary.NativeEndian.Uint32(b)
}
