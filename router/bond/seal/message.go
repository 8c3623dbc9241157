package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The first byte of a datagram is its kind; data carries the number of its path in the low three bits. Integers are big-endian.
//
//	hello    kind 1, version 1, index 3, ephemeral 32, static 32+16, body 36+16, mac1 16, mac2 16
//	  body     count 8, epoch 8, cost of ChaCha 2, cost of AES 2, ticket 16
//	welcome  kind 1, receiver 3, ephemeral 32, body 12+16, mac1 16
//	  body     index 3, cipher 1, epoch 8
//	cookie   kind 1, receiver 3, nonce 24, cookie 16+16
//	refusal  kind 1, receiver 3, version 1, mac 16
//	data     kind and path 1, receiver 3, low half of the number 4, frame, tag 16
const (
	helloKind   = 1
	welcomeKind = 2
	cookieKind  = 3
	refusalKind = 4
	dataKind    = 0x10
	kindMask    = 0xf0
	pathMask    = 0x0f
)

// Version is the version of the wire format.
const Version = 1

// MaxPaths is how many paths a datagram can tell apart: those of a bond, and as many again that the carriers of its paths are checked by.
const MaxPaths = 16

const (
	tagSize     = 16
	macSize     = 16
	helloHead   = 5
	helloBody   = 8 + 8 + 4 + 16
	helloSize   = helloHead + 32 + 32 + tagSize + helloBody + tagSize + 2*macSize
	welcomeHead = 4
	welcomeBody = 3 + 1 + 8
	welcomeSize = welcomeHead + 32 + welcomeBody + tagSize + macSize
	cookieSize  = 4 + 24 + macSize + tagSize
	refusalSize = 4 + 1 + macSize
	dataHead    = 8
)

// Overhead is what sealing adds to a frame.
const Overhead = dataHead + tagSize

var (
	errBroken   = errors.New("this is no datagram of a bond")
	errForged   = errors.New("the datagram is forged or was sealed with another key")
	errSession  = errors.New("the datagram belongs to no session of ours")
	errReplay   = errors.New("the datagram has arrived before, or too late to tell")
	errStranger = errors.New("the router is not known here: it must join with an invite")
	errOldHello = errors.New("the first message is a repeated one, or two routers use one key")
)

// VersionError is another end that speaks another version.
type VersionError struct{ Theirs uint8 }

func (e VersionError) Error() string {
	older := "the other end"
	if e.Theirs > Version {
		older = "this end"
	}
	return fmt.Sprintf("the other end speaks version %d of the bond, this one version %d: update %s", e.Theirs, Version, older)
}

type hello struct {
	count  uint64
	epoch  epoch
	costs  Costs
	ticket Ticket
}

// epoch names the life of one end's numbers.
type epoch [8]byte

func (h *hello) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, h.count)
	b = append(b, h.epoch[:]...)
	b = binary.BigEndian.AppendUint16(b, h.costs.ChaCha)
	b = binary.BigEndian.AppendUint16(b, h.costs.AES)
	return append(b, h.ticket[:]...)
}

func parseHello(b []byte) (h hello, err error) {
	if len(b) != helloBody {
		return h, errBroken
	}
	return hello{
		count: binary.BigEndian.Uint64(b), epoch: epoch(b[8:]),
		costs:  Costs{ChaCha: binary.BigEndian.Uint16(b[16:]), AES: binary.BigEndian.Uint16(b[18:])},
		ticket: Ticket(b[20:]),
	}, nil
}

type welcome struct {
	index  uint32
	cipher Cipher
	epoch  epoch
}

func (w *welcome) append(b []byte) []byte {
	return append(append(append24(b, w.index), byte(w.cipher)), w.epoch[:]...)
}

func parseWelcome(b []byte) (w welcome, err error) {
	if len(b) != welcomeBody {
		return w, errBroken
	}
	w = welcome{index: uint24(b), cipher: Cipher(b[3]), epoch: epoch(b[4:])}
	if w.cipher != ChaCha20Poly1305 && w.cipher != AES256GCM {
		return w, errBroken
	}
	return w, nil
}

func append24(b []byte, v uint32) []byte { return append(b, byte(v>>16), byte(v>>8), byte(v)) }
func uint24(b []byte) uint32             { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
