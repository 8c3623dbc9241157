package ubus

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Table is arguments, an answer or an event: names with values. A value that was read is a string, bool, int64, float64, nil, []any or Table;
// those that are written may also be int, int32 and uint32. What json.Marshal makes of one is what `ubus call` prints.
type Table = map[string]any

// An attribute begins with one word: bit 31 says that a name follows (blobmsg.h), bits 24 to 30 are its type, the rest its length with this word.
const (
	headerLen   = 4
	extended    = 1 << 31
	lengthMask  = 1<<24 - 1
	deepest     = 32 // tables in tables; deeper ones are refused
	nameLenSize = 2
)

// Types of values (blobmsg.h).
const (
	typeUnspecified = iota
	typeArray
	typeTable
	typeString
	typeInt64
	typeInt32
	typeInt16
	typeInt8 // booleans
	typeDouble
)

func padded(n int) int { return (n + 3) &^ 3 }

// appendAttribute appends an attribute without a name.
func appendAttribute(b []byte, id int, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(id)<<24|uint32(headerLen+len(data)))
	b = append(b, data...)
	return append(b, make([]byte, padded(len(data))-len(data))...)
}

// attributes splits a sequence of attributes and calls each with its word's type and its payload.
func attributes(b []byte, each func(word uint32, payload []byte) error) error {
	for len(b) > 0 {
		if len(b) < headerLen {
			return fmt.Errorf("%d bytes are left, which are no attribute", len(b))
		}
		word := binary.BigEndian.Uint32(b)
		n := int(word & lengthMask)
		if n < headerLen || n > len(b) {
			return fmt.Errorf("an attribute of %d bytes in %d", n, len(b))
		}
		if err := each(word, b[headerLen:n]); err != nil {
			return err
		}
		b = b[min(padded(n), len(b)):]
	}
	return nil
}

// appendTable appends the values of a table in the order of their names.
func appendTable(b []byte, t Table) ([]byte, error) {
	var err error
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if b, err = appendValue(b, name, t[name]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// appendValue appends an attribute with a name, as blobmsg.h has them: two bytes of length, the name, a zero, padding.
func appendValue(b []byte, name string, value any) ([]byte, error) {
	if len(name) > math.MaxUint16 || strings.ContainsRune(name, 0) {
		return nil, fmt.Errorf("%.20q is no name", name)
	}
	kind, data, err := encode(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	head := padded(nameLenSize + len(name) + 1)
	if headerLen+head+len(data) > lengthMask {
		return nil, fmt.Errorf("%s: %d bytes are too many", name, len(data))
	}
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, extended|uint32(kind)<<24|uint32(headerLen+head+len(data)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	b = append(b, name...)
	b = append(b, make([]byte, start+headerLen+head-len(b))...)
	b = append(b, data...)
	return append(b, make([]byte, padded(len(data))-len(data))...), nil
}

func encode(value any) (kind int, data []byte, err error) {
	switch v := value.(type) {
	case nil:
		return typeUnspecified, nil, nil
	case string:
		if strings.ContainsRune(v, 0) {
			return 0, nil, fmt.Errorf("a text with a zero byte")
		}
		return typeString, append([]byte(v), 0), nil
	case bool:
		if v {
			return typeInt8, []byte{1}, nil
		}
		return typeInt8, []byte{0}, nil
	case int:
		return encode(int64(v))
	case int64:
		if v == int64(int32(v)) {
			return encode(int32(v))
		}
		return typeInt64, binary.BigEndian.AppendUint64(nil, uint64(v)), nil
	case int32:
		return encode(uint32(v))
	case uint32:
		return typeInt32, binary.BigEndian.AppendUint32(nil, v), nil
	case float64:
		return typeDouble, binary.BigEndian.AppendUint64(nil, math.Float64bits(v)), nil
	case Table:
		data, err = appendTable(nil, v)
		return typeTable, data, err
	case []any:
		for _, e := range v {
			if data, err = appendValue(data, "", e); err != nil {
				return 0, nil, err
			}
		}
		return typeArray, data, nil
	}
	return 0, nil, fmt.Errorf("a %T is nothing that the bus carries", value)
}

// readTable reads the values of a table.
func readTable(b []byte, depth int) (Table, error) {
	t := Table{}
	err := values(b, depth, func(name string, value any) { t[name] = value })
	return t, err
}

// values reads a sequence of values. A name that is not in its place, or a value of another size than its type's, is an error.
func values(b []byte, depth int, each func(name string, value any)) error {
	if depth > deepest {
		return fmt.Errorf("tables in tables, more than %d deep", deepest)
	}
	return attributes(b, func(word uint32, p []byte) error {
		if word&extended == 0 || len(p) < nameLenSize {
			return fmt.Errorf("a value without a name")
		}
		n := int(binary.BigEndian.Uint16(p))
		head := padded(nameLenSize + n + 1)
		if head > len(p) || p[nameLenSize+n] != 0 {
			return fmt.Errorf("a name of %d bytes in a value of %d", n, len(p))
		}
		name := string(p[nameLenSize : nameLenSize+n])
		value, err := decode(int(word>>24&0x7f), p[head:], depth)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		each(name, value)
		return nil
	})
}

// sizeOf is that of values whose type says it; 0 of others.
func sizeOf(kind int) int {
	switch kind {
	case typeInt64, typeDouble:
		return 8
	case typeInt32:
		return 4
	case typeInt16:
		return 2
	case typeInt8:
		return 1
	}
	return 0
}

func decode(kind int, data []byte, depth int) (any, error) {
	if want := sizeOf(kind); want != 0 && len(data) != want {
		return nil, fmt.Errorf("%d bytes where a value of type %d has %d", len(data), kind, want)
	}
	switch kind {
	case typeUnspecified:
		return nil, nil
	case typeArray:
		list := []any{}
		err := values(data, depth+1, func(_ string, v any) { list = append(list, v) })
		return list, err
	case typeTable:
		return readTable(data, depth+1)
	case typeString:
		if len(data) == 0 || data[len(data)-1] != 0 {
			return nil, fmt.Errorf("a text without an end")
		}
		return string(data[:len(data)-1]), nil
	case typeInt64:
		return int64(binary.BigEndian.Uint64(data)), nil
	case typeInt32:
		return int64(int32(binary.BigEndian.Uint32(data))), nil
	case typeInt16:
		return int64(int16(binary.BigEndian.Uint16(data))), nil
	case typeInt8:
		return data[0] != 0, nil
	case typeDouble:
		return math.Float64frombits(binary.BigEndian.Uint64(data)), nil
	}
	return nil, fmt.Errorf("no value has the type %d", kind)
}
