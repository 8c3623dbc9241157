package linux

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// A concatenated key is its parts one after the other, each padded to the kernel's register size of four bytes; a key of one
// part is not padded. Addresses, ports and protocols stand in network order, marks in host order.

const registerSize = 4

// encodeElements gives one element for each key; of several with one key, the last.
func encodeElements(s *nftables.Set, elems []hal.Element) ([]nftables.SetElement, error) {
	raw := make([]nftables.SetElement, 0, len(elems))
	place := make(map[string]int, len(elems))
	for _, e := range elems {
		r, err := encodeElement(s, e)
		if err != nil {
			return nil, err
		}
		if i, ok := place[string(r.Key)]; ok {
			raw[i] = r
			continue
		}
		place[string(r.Key)] = len(raw)
		raw = append(raw, r)
	}
	return raw, nil
}

func encodeElement(s *nftables.Set, e hal.Element) (nftables.SetElement, error) {
	key, err := encodeKey(s, e.Key)
	if err != nil {
		return nftables.SetElement{}, err
	}
	switch {
	case s.Interval:
		return nftables.SetElement{}, fmt.Errorf("the set holds ranges; write it with the ruleset: %w", hal.ErrUnsupported)
	case len(e.Comment) > maxComment:
		return nftables.SetElement{}, fmt.Errorf("element %v: the comment has %d bytes; at most %d fit", e.Key, len(e.Comment), maxComment)
	case e.Timeout < 0:
		return nftables.SetElement{}, fmt.Errorf("element %v: timeout %s is below zero", e.Key, e.Timeout)
	case e.Timeout > 0 && !s.HasTimeout:
		return nftables.SetElement{}, fmt.Errorf("element %v: the set was not made with flag timeout, so the element cannot expire", e.Key)
	case !s.IsMap && e.Value != 0:
		return nftables.SetElement{}, fmt.Errorf("element %v: value %#x for a set; only maps have values", e.Key, e.Value)
	}
	raw := nftables.SetElement{Key: key, Timeout: milliseconds(e.Timeout), Comment: e.Comment}
	if s.IsMap {
		if !hostNumber(s.DataType) {
			return nftables.SetElement{}, fmt.Errorf("values of type %s: %w", s.DataType.Name, hal.ErrUnsupported)
		}
		raw.Val = binary.NativeEndian.AppendUint32(nil, e.Value)
	}
	return raw, nil
}

// Attributes and types of user data that x/sys/unix does not name.
const (
	dataValue      = 1 // NFTA_DATA_VALUE
	elementComment = 0 // NFTNL_UDATA_SET_ELEM_COMMENT: the type in a record of type, length, bytes (libnftnl/udata.h)
)

// readElement reads one element of a listing. It never panics, whatever the bytes are.
func readElement(e fields) (nftables.SetElement, error) {
	key, err := parseFields(e[unix.NFTA_SET_ELEM_KEY])
	if err != nil {
		return nftables.SetElement{}, err
	}
	data, err := parseFields(e[unix.NFTA_SET_ELEM_DATA])
	if err != nil {
		return nftables.SetElement{}, err
	}
	raw := nftables.SetElement{
		Key: key[dataValue], Val: data[dataValue],
		Timeout: time.Duration(e.number(unix.NFTA_SET_ELEM_TIMEOUT)) * time.Millisecond,
		Expires: time.Duration(e.number(unix.NFTA_SET_ELEM_EXPIRATION)) * time.Millisecond,
	}
	for b := e[unix.NFTA_SET_ELEM_USERDATA]; len(b) >= 2 && len(b) >= 2+int(b[1]); b = b[2+int(b[1]):] {
		if b[0] == elementComment {
			raw.Comment = strings.TrimRight(string(b[2:2+int(b[1])]), "\x00")
		}
	}
	return raw, nil
}

func decodeElement(s *nftables.Set, raw nftables.SetElement) (hal.Element, error) {
	key, err := decodeKey(s, raw.Key)
	if err != nil {
		return hal.Element{}, err
	}
	e := hal.Element{Key: key, Timeout: raw.Timeout, Expires: raw.Expires, Comment: raw.Comment}
	if e.Timeout == 0 && e.Expires > 0 {
		e.Timeout = s.Timeout // the kernel does not repeat the set's default
	}
	if s.IsMap {
		if !hostNumber(s.DataType) || len(raw.Val) != registerSize {
			return hal.Element{}, fmt.Errorf("values of type %s: %w", s.DataType.Name, hal.ErrUnsupported)
		}
		e.Value = binary.NativeEndian.Uint32(raw.Val)
	}
	return e, nil
}

// hostNumber tells whether the kernel keeps values of the type as numbers of four bytes in host order.
func hostNumber(t nftables.SetDatatype) bool {
	return t.Name == nftables.TypeMark.Name || t.Name == nftables.TypeClassID.Name || t.Name == nftables.TypeRealm.Name
}

func encodeKey(s *nftables.Set, parts []hal.KeyPart) ([]byte, error) {
	types := nftables.ConcatSetTypeElements(s.KeyType)
	if len(parts) != len(types) {
		return nil, fmt.Errorf("key %v has %d parts, the set's type is %s", parts, len(parts), s.KeyType.Name)
	}
	var key []byte
	for i, p := range parts {
		b, ok := encodePart(types[i], p)
		if !ok {
			return nil, fmt.Errorf("part %d of key %v is a %T, the set's type is %s", i+1, parts, p, s.KeyType.Name)
		}
		key = append(key, b...)
		if len(types) > 1 {
			key = append(key, make([]byte, padded(len(b))-len(b))...)
		}
	}
	return key, nil
}

func padded(n int) int { return (n + registerSize - 1) / registerSize * registerSize }

func encodePart(t nftables.SetDatatype, p hal.KeyPart) ([]byte, bool) {
	switch v := p.(type) {
	case netip.Addr:
		return v.AsSlice(), t.Name == nftables.TypeIPAddr.Name && v.Is4() ||
			t.Name == nftables.TypeIP6Addr.Name && v.Is6() && v.Zone() == ""
	case uint32:
		return binary.NativeEndian.AppendUint32(nil, v), hostNumber(t)
	case uint16:
		return binary.BigEndian.AppendUint16(nil, v), t.Name == nftables.TypeInetService.Name
	case flow.Proto:
		return []byte{byte(v)}, t.Name == nftables.TypeInetProto.Name
	case flow.MAC:
		return v[:], t.Name == nftables.TypeEtherAddr.Name
	}
	return nil, false
}

func decodeKey(s *nftables.Set, key []byte) ([]hal.KeyPart, error) {
	types := nftables.ConcatSetTypeElements(s.KeyType)
	parts := make([]hal.KeyPart, 0, len(types))
	for _, t := range types {
		n := int(t.Bytes)
		step := n
		if len(types) > 1 {
			step = padded(n)
		}
		if len(key) < n || step == 0 {
			return nil, fmt.Errorf("key is shorter than its type %s", s.KeyType.Name)
		}
		p, ok := decodePart(t, key[:n])
		if !ok {
			return nil, fmt.Errorf("keys of type %s: %w", s.KeyType.Name, hal.ErrUnsupported)
		}
		parts, key = append(parts, p), key[min(step, len(key)):]
	}
	return parts, nil
}

// decodePart reads b, which has as many bytes as the type says.
func decodePart(t nftables.SetDatatype, b []byte) (hal.KeyPart, bool) {
	switch t.Name {
	case nftables.TypeIPAddr.Name, nftables.TypeIP6Addr.Name:
		return netip.AddrFromSlice(b)
	case nftables.TypeInetService.Name:
		return binary.BigEndian.Uint16(b), true
	case nftables.TypeInetProto.Name:
		return flow.Proto(b[0]), true
	case nftables.TypeEtherAddr.Name:
		return flow.MAC(b), true
	}
	if hostNumber(t) {
		return binary.NativeEndian.Uint32(b), true
	}
	return nil, false
}
