package linux

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// The kernel keeps with a set what it only hands back: the number of the type that nft gave to keys and values
// (NFTA_SET_KEY_TYPE, NFTA_SET_DATA_TYPE). A type of several parts is their numbers, six bits each, the last part lowest.

const (
	typeBits = 6 // TYPE_BITS of nft
	maxParts = 32 / typeBits

	// registerSize is the kernel's register size in bytes, to which the parts of a concatenated key are padded.
	registerSize = 4
)

// partKind is nft's number for a type of which keys are made (nft describe).
type partKind uint8

const (
	kindIPv4    partKind = 7
	kindIPv6    partKind = 8
	kindMAC     partKind = 9
	kindProto   partKind = 12
	kindService partKind = 13
	kindMark    partKind = 19
	kindRealm   partKind = 22
	kindClass   partKind = 23
)

// size is the length of a part in bytes; 0 for a type that hal has no form for.
func (k partKind) size() int {
	switch k {
	case kindIPv4:
		return 4
	case kindIPv6:
		return 16
	case kindMAC:
		return 6
	case kindProto:
		return 1
	case kindService:
		return 2
	}
	if k.hostNumber() {
		return 4
	}
	return 0
}

// hostNumber tells whether the kernel keeps the type as a number of four bytes in host order.
func (k partKind) hostNumber() bool { return k == kindMark || k == kindRealm || k == kindClass }

func (k partKind) String() string {
	if name, ok := map[partKind]string{
		kindIPv4: "ipv4_addr", kindIPv6: "ipv6_addr", kindMAC: "ether_addr", kindProto: "inet_proto",
		kindService: "inet_service", kindMark: "mark", kindRealm: "realm", kindClass: "classid",
	}[k]; ok {
		return name
	}
	return fmt.Sprintf("type %d of nft", uint8(k))
}

// keyType is the types of a key's parts, in their order.
type keyType []partKind

func (t keyType) String() string {
	var parts []string
	for _, k := range t {
		parts = append(parts, k.String())
	}
	return strings.Join(parts, " . ")
}

// readKeyType splits the number of a type.
func readKeyType(n uint64) keyType {
	var t keyType
	for ; n != 0 && len(t) < maxParts; n >>= typeBits {
		t = append(t, partKind(n&(1<<typeBits-1)))
	}
	slices.Reverse(t)
	return t
}

// length is that of a key: its parts one after the other, each padded to registers unless it stands alone.
func (t keyType) length() int {
	n := 0
	for _, k := range t {
		n += t.step(k)
	}
	return n
}

// step is the room that a part takes in a key.
func (t keyType) step(k partKind) int {
	if len(t) == 1 {
		return k.size()
	}
	return (k.size() + registerSize - 1) / registerSize * registerSize
}

// elementSet is a set or map whose elements hal can express.
type elementSet struct {
	name       string
	key        keyType
	isMap      bool // with values of four bytes in host order
	hasTimeout bool
	timeout    time.Duration // of elements that name none
	size       uint64        // the most elements; 0 for no bound
}

// set finds a set or map of the table; hal.ErrUnsupported for one whose elements hal cannot express.
func (c *tableConn) set(name string) (*elementSet, error) {
	var a fields
	request := appendText(appendText(tableRequest(), unix.NFTA_SET_TABLE, table), unix.NFTA_SET_NAME, name)
	err := c.query(unix.NFT_MSG_GETSET, unix.NLM_F_ACK, request, func(f fields) { a = slices.Clone(f) })
	if err == nil && a == nil {
		err = unix.ENOENT
	}
	if err != nil {
		return nil, kernelError(err, "find set %s of table inet %s", name, table)
	}
	s, err := readSet(name, a)
	if err != nil {
		return nil, fmt.Errorf("elements of %s: %w: %w", name, err, hal.ErrUnsupported)
	}
	return s, nil
}

// readSet reads the fields of an NFT_MSG_NEWSET message. The error says what about the set hal has no form for.
func readSet(name string, a fields) (*elementSet, error) {
	flags := a.number(unix.NFTA_SET_FLAGS)
	s := &elementSet{
		name: name, key: readKeyType(a.number(unix.NFTA_SET_KEY_TYPE)),
		isMap: flags&unix.NFT_SET_MAP != 0, hasTimeout: flags&unix.NFT_SET_TIMEOUT != 0,
		timeout: time.Duration(a.number(unix.NFTA_SET_TIMEOUT)) * time.Millisecond,
		size:    fields(a.get(unix.NFTA_SET_DESC)).number(unix.NFTA_SET_DESC_SIZE),
	}
	switch value := partKind(a.number(unix.NFTA_SET_DATA_TYPE)); {
	case flags&unix.NFT_SET_INTERVAL != 0:
		return nil, fmt.Errorf("the set holds ranges, which are no elements; read it with `nft list set`, write it with the ruleset")
	case flags&unix.NFT_SET_OBJECT != 0:
		return nil, fmt.Errorf("the map's values are objects")
	case slices.ContainsFunc(s.key, func(k partKind) bool { return k.size() == 0 }),
		uint64(s.key.length()) != a.number(unix.NFTA_SET_KEY_LEN):
		return nil, fmt.Errorf("keys of type %s", s.key)
	case s.isMap && (!value.hostNumber() || a.number(unix.NFTA_SET_DATA_LEN) != registerSize):
		return nil, fmt.Errorf("values of %s", value)
	}
	return s, nil
}
