package linux

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// A transaction of nftables is one datagram: a message that begins it, those that change something, and one that ends it. The kernel
// carries it out while it is being sent; its answers are there when the sending returns.

const (
	destroyElements = 30 // NFT_MSG_DESTROYSETELEM

	// elementsPerMessage bounds the elements of one message, in bytes: the list is an attribute, of less than 64 KiB.
	elementsPerMessage = 32 << 10
)

// batch is a transaction in the making.
type batch struct {
	bytes    []byte
	first    uint32 // sequence number of the message that begins it
	sequence uint32 // of the last message
	at       int    // where the last message begins
}

// newBatch begins a transaction with the sequence number that follows after.
func newBatch(after uint32) *batch {
	b := &batch{sequence: after}
	b.mark(unix.NFNL_MSG_BATCH_BEGIN)
	b.first = b.sequence
	return b
}

// mark appends a message that begins or ends a transaction of nftables.
func (b *batch) mark(kind uint16) {
	b.message(kind, 0, func(to []byte) []byte {
		return append(to, netfilterRequest(unix.AF_UNSPEC, nfnetlinkVersion, unix.NFNL_SUBSYS_NFTABLES)...)
	})
}

func (b *batch) message(kind, flags uint16, payload func(to []byte) []byte) {
	b.sequence++
	b.bytes, b.at = beginMessage(b.bytes, kind, unix.NLM_F_REQUEST|flags, b.sequence)
	b.bytes = endMessage(payload(b.bytes), b.at)
}

// elements appends as many messages of a kind (NFT_MSG_*SETELEM) as the elements need.
func (b *batch) elements(kind, flags uint16, table, set string, raw []rawElement, one func([]byte, rawElement) []byte) {
	for len(raw) > 0 {
		n, size := 0, 0
		for ; n < len(raw) && size < elementsPerMessage; n++ {
			size += raw[n].bound()
		}
		b.message(tableMessage(kind), flags, func(to []byte) []byte {
			return appendElements(append(to, tableRequest()...), table, set, raw[:n], one)
		})
		raw = raw[n:]
	}
}

// bound is the most room in bytes that an element takes in a message.
func (r rawElement) bound() int {
	const aroundIt = 64 // the headers of its attributes, its value and its timeout
	return len(r.key) + len(r.comment) + aroundIt
}

// appendElements appends what a message says of elements of a set: table, set, and each element as one writes it.
func appendElements(b []byte, table, set string, raw []rawElement, one func([]byte, rawElement) []byte) []byte {
	b = appendText(b, unix.NFTA_SET_ELEM_LIST_TABLE, table)
	b = appendText(b, unix.NFTA_SET_ELEM_LIST_SET, set)
	b, list := beginNested(b, unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	for _, r := range raw {
		var element int
		b, element = beginNested(b, listElement)
		b = endNested(one(b, r), element)
	}
	return endNested(b, list)
}

// transact carries out a transaction. The error is the first that the kernel found in it; EMSGSIZE when it does not fit into the
// socket's buffer, which is enlarged as far as the process may.
func (s *kernelSocket) transact(b *batch) error {
	if b.sequence == b.first {
		return nil
	}
	last := b.sequence
	flags := b.bytes[b.at+6:] // nlmsg_flags of the last message that changes something: the kernel shall answer to it
	binary.NativeEndian.PutUint16(flags, binary.NativeEndian.Uint16(flags)|unix.NLM_F_ACK)
	b.mark(unix.NFNL_MSG_BATCH_END)
	s.sequence = b.sequence
	err := s.send(b.bytes)
	if errors.Is(err, unix.EMSGSIZE) && s.conn.SetWriteBuffer(len(b.bytes)) == nil {
		err = s.send(b.bytes)
	}
	if err != nil {
		return err
	}
	// Each message that failed is answered, so that there may be more answers than the socket holds; the first counts. A
	// transaction that fails as a whole is answered as its first message.
	answered := false
	var first error
	err = s.drain(func(m message) {
		if m.kind != unix.NLMSG_ERROR || m.sequence-b.first > last-b.first {
			return
		}
		answered = answered || m.sequence == last
		if first == nil {
			first = refusal(m)
		}
	})
	switch {
	case first != nil:
		return first
	case err == nil && !answered:
		return errors.New("the kernel did not answer")
	}
	return err
}
