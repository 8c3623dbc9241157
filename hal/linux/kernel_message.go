package linux

import (
	"bytes"
	"encoding/binary"
	"iter"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The form of netlink messages and their attributes (netlink(7), linux/netlink.h). Lengths and types stand in host order. What reads
// is for what the kernel wrote, but takes any bytes and never panics.

// message is one netlink message of a datagram.
type message struct {
	kind, flags   uint16
	sequence, pid uint32
	payload       []byte
}

// messages splits a datagram into its messages. It stops at the first that does not fit.
func messages(b []byte) iter.Seq[message] {
	return func(yield func(message) bool) {
		for len(b) >= unix.SizeofNlMsghdr {
			n := binary.NativeEndian.Uint32(b)
			if n < unix.SizeofNlMsghdr || uint64(n) > uint64(len(b)) {
				return
			}
			m := message{
				kind:     binary.NativeEndian.Uint16(b[4:]),
				flags:    binary.NativeEndian.Uint16(b[6:]),
				sequence: binary.NativeEndian.Uint32(b[8:]),
				pid:      binary.NativeEndian.Uint32(b[12:]),
				payload:  b[unix.SizeofNlMsghdr:n],
			}
			if !yield(m) {
				return
			}
			b = b[min(aligned(int(n)), len(b)):]
		}
	}
}

// attributes splits a message's or an attribute's content into (type, content) pairs, the flags of the type (nested, network order)
// taken off. It stops at the first that does not fit.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for {
			kind, data, rest, ok := cutAttribute(b)
			if !ok || !yield(kind, data) {
				return
			}
			b = rest
		}
	}
}

// cutAttribute takes the first attribute off b.
func cutAttribute(b []byte) (kind uint16, data, rest []byte, ok bool) {
	if len(b) < unix.SizeofNlAttr {
		return 0, nil, nil, false
	}
	n := int(binary.NativeEndian.Uint16(b))
	if n < unix.SizeofNlAttr || n > len(b) {
		return 0, nil, nil, false
	}
	kind = binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
	return kind, b[unix.SizeofNlAttr:n], b[min(aligned(n), len(b)):], true
}

// fields are the attributes of a message or of a nested attribute, as they came: a few, so that looking for one costs less
// than an index of them.
type fields []byte

// get is the content of the first attribute of a type; nil when there is none.
func (f fields) get(kind uint16) []byte {
	for b := []byte(f); ; {
		k, data, rest, ok := cutAttribute(b)
		if !ok {
			return nil
		}
		if k == kind {
			return data
		}
		b = rest
	}
}

func (f fields) text(kind uint16) string { return text(f.get(kind)) }

// number reads a number of four or eight bytes in network order, as nfnetlink has them; 0 when there is none.
func (f fields) number(kind uint16) uint64 {
	switch b := f.get(kind); len(b) {
	case 4:
		return uint64(net32(b))
	case 8:
		return net64(b)
	}
	return 0
}

// aligned rounds up to the four bytes to which netlink aligns everything.
func aligned(n int) int { return (n + 3) &^ 3 }

// host32, net16, net32 and net64 read an attribute's number, in host or network order; 0 when it is too short.
func host32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}

func net16(b []byte) uint16 {
	if len(b) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

func net32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func net64(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// hostOrder16 is the number as it stands in the kernel's memory.
func hostOrder16(v uint16) []byte { return binary.NativeEndian.AppendUint16(nil, v) }

// text reads a string that may end with a NUL byte.
func text(b []byte) string { return string(unterminated(b)) }

// unterminated is what stands before the first NUL byte.
func unterminated(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// refusal reads the error that an NLMSG_ERROR or NLMSG_DONE message carries, with the kernel's own words if it sent
// some (NLMSGERR_ATTR_MSG); nil when it reports success.
func refusal(m message) error {
	if len(m.payload) < 4 {
		return nil
	}
	errno := -int32(binary.NativeEndian.Uint32(m.payload))
	if errno <= 0 {
		return nil
	}
	err := &netlink.OpError{Op: "receive", Err: unix.Errno(errno)}
	const header = 4 + unix.SizeofNlMsghdr
	if m.kind == unix.NLMSG_ERROR && m.flags&unix.NLM_F_ACK_TLVS != 0 && len(m.payload) > header {
		for kind, data := range attributes(m.payload[header:]) {
			if kind == unix.NLMSGERR_ATTR_MSG {
				err.Message = text(data)
			}
		}
	}
	return err
}

// beginMessage appends the header of a message that will be as long as endMessage finds it; at is where it begins.
func beginMessage(b []byte, kind, flags uint16, sequence uint32) (begun []byte, at int) {
	at = len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, sequence)
	return append(b, 0, 0, 0, 0), at // the kernel knows the sender's number
}

func endMessage(b []byte, at int) []byte {
	binary.NativeEndian.PutUint32(b[at:], uint32(len(b)-at))
	return pad(b, at)
}

// beginNested appends the header of an attribute that holds attributes; at is where it begins. With all that is
// appended until endNested it must stay below 64 KiB.
func beginNested(b []byte, kind uint16) (begun []byte, at int) {
	at = len(b)
	b = append(b, 0, 0)
	return binary.NativeEndian.AppendUint16(b, kind|unix.NLA_F_NESTED), at
}

func endNested(b []byte, at int) []byte {
	binary.NativeEndian.PutUint16(b[at:], uint16(len(b)-at))
	return pad(b, at)
}

// appendAttribute appends one attribute, padded to four bytes.
func appendAttribute(b []byte, kind uint16, data []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofNlAttr+len(data)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	at := len(b)
	return pad(append(b, data...), at)
}

// appendText appends an attribute with a string that ends with a NUL byte.
func appendText(b []byte, kind uint16, s string) []byte {
	return appendAttribute(b, kind, append([]byte(s), 0))
}

// pad appends zeros until what began at is aligned.
func pad(b []byte, at int) []byte {
	var zeros [4]byte
	n := len(b) - at
	return append(b, zeros[:aligned(n)-n]...)
}

func appendUint32(b []byte, kind uint16, v uint32) []byte {
	return appendAttribute(b, kind, binary.NativeEndian.AppendUint32(nil, v))
}

// sizeofGenMsg is the header that each nfnetlink message has before its attributes (linux/netfilter/nfnetlink.h).
const sizeofGenMsg = 4

const nfnetlinkVersion = 0

// netfilterRequest starts the payload of an nfnetlink request: struct nfgenmsg.
func netfilterRequest(family, version byte, resource uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{family, version}, resource)
}

func appendNet32(b []byte, kind uint16, v uint32) []byte {
	return appendAttribute(b, kind|unix.NLA_F_NET_BYTEORDER, binary.BigEndian.AppendUint32(nil, v))
}
