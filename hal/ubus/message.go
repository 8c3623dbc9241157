package ubus

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Type is what a message is for (ubusmsg.h, enum ubus_msg_type).
type Type uint8

// Types of messages.
const (
	Hello     Type = 0 // the bus's first word; Peer is the client's number
	Status    Type = 1 // the end of an answer
	Data      Type = 2 // a part of an answer
	Lookup    Type = 4
	Invoke    Type = 5 // a call; from the bus to a client an event, too
	AddObject Type = 6
)

// Attributes of messages (ubusmsg.h, enum ubus_msg_attr).
const (
	attrStatus   = 1
	attrPath     = 2
	attrObject   = 3
	attrMethod   = 4
	attrData     = 7
	longest      = 1 << 20 // bytes of a message; libubus refuses longer ones, too
	messageLen   = 8       // its header: version, type, sequence, peer
	eventObject  = 1       // the bus's own object for events
	wholeMessage = 0       // type of the attribute that all others are in
)

// Message is one message of the bus. Fields that its type does not have are zero.
type Message struct {
	Type     Type
	Sequence uint16
	Peer     uint32
	Status   Code
	Path     string
	Object   uint32
	Method   string
	Data     Table // nil: none
}

// Append appends the message as it goes over the socket.
func (m *Message) Append(b []byte) ([]byte, error) {
	var attrs []byte
	word := func(id int, v uint32) { attrs = appendAttribute(attrs, id, binary.BigEndian.AppendUint32(nil, v)) }
	text := func(id int, s string) {
		if s != "" {
			attrs = appendAttribute(attrs, id, append([]byte(s), 0))
		}
	}
	if m.Type == Status {
		word(attrStatus, uint32(m.Status))
	}
	if m.Object != 0 {
		word(attrObject, m.Object)
	}
	text(attrPath, m.Path)
	text(attrMethod, m.Method)
	if m.Data != nil {
		data, err := appendTable(nil, m.Data)
		if err != nil {
			return nil, err
		}
		attrs = appendAttribute(attrs, attrData, data)
	}
	if headerLen+len(attrs) > longest {
		return nil, fmt.Errorf("a message of %d bytes, more than the bus takes", len(attrs))
	}
	b = append(b, 0, byte(m.Type))
	b = binary.BigEndian.AppendUint16(b, m.Sequence)
	b = binary.BigEndian.AppendUint32(b, m.Peer)
	return appendAttribute(b, wholeMessage, attrs), nil
}

// Read reads one message. Attributes that this package does not know are passed over.
func Read(r io.Reader) (*Message, error) {
	head := make([]byte, messageLen+headerLen)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head[messageLen:]) & lengthMask)
	if head[0] != 0 || n < headerLen || n > longest {
		return nil, fmt.Errorf("version %d with %d bytes is no message of the bus", head[0], n)
	}
	body := make([]byte, padded(n)-headerLen)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	m := &Message{Type: Type(head[1]), Sequence: binary.BigEndian.Uint16(head[2:]), Peer: binary.BigEndian.Uint32(head[4:])}
	if err := attributes(body[:n-headerLen], m.take); err != nil {
		return nil, fmt.Errorf("a message of type %d: %w", m.Type, err)
	}
	return m, nil
}

// take takes in one attribute.
func (m *Message) take(word uint32, p []byte) (err error) {
	number := func(into *uint32) {
		if len(p) != 4 {
			err = fmt.Errorf("a number of %d bytes", len(p))
			return
		}
		*into = binary.BigEndian.Uint32(p)
	}
	text := func(into *string) {
		if len(p) == 0 || p[len(p)-1] != 0 {
			err = fmt.Errorf("a text without an end")
			return
		}
		*into = string(p[:len(p)-1])
	}
	switch word >> 24 & 0x7f {
	case attrStatus:
		number((*uint32)(&m.Status))
	case attrPath:
		text(&m.Path)
	case attrObject:
		number(&m.Object)
	case attrMethod:
		text(&m.Method)
	case attrData:
		m.Data, err = readTable(p, 0)
	}
	return err
}
