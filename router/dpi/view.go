package dpi

import "github.com/trenza-router/trenza/router/flow"

// View is what was seen of a flow so far, as a parser reads it. A parser must not keep or change any of it.
//
// For TCP it is the start of each direction: all bytes from the first one on, in order, without gaps. A parser is asked again
// when there is more. For UDP it is one datagram at a time, with the heads of those before it.
type View struct {
	Proto                  flow.Proto // flow.ProtoTCP or flow.ProtoUDP
	ClientPort, ServerPort uint16

	// TCP.
	Client, Server []byte

	// UDP. Payload is the newest datagram, whole; Heads are the ones before it, oldest first.
	Dir     Direction // who sent Payload
	Payload []byte
	Heads   []Head

	rooms *pool[room]
	room  *room
}

// room is what a parser may remember of a flow beyond the view: QUIC cuts its hello into packets that must be decrypted. It
// is taken out of a pool by the first parser that needs it and goes back there when the reading ends.
type room struct {
	quic quicMemory
	join []byte // for a handshake message in several TLS records
}

func (r *room) reset() {
	r.quic.reset()
	if cap(r.join) > keptBuffer {
		r.join = nil
	}
}

// needRoom returns the flow's room.
func (v *View) needRoom() *room {
	if v.room == nil {
		v.room = v.rooms.take()
	}
	return v.room
}

// headBytes is how much of an earlier datagram is remembered.
const headBytes = 24

// Head is the start of an earlier datagram of a flow.
type Head struct {
	Dir  Direction
	Size uint16 // of the whole payload; 65,535 stands for more
	n    uint8
	b    [headBytes]byte
}

// Bytes returns the first bytes of the payload, at most 24.
func (h *Head) Bytes() []byte { return h.b[:h.n] }

// Parser recognises one protocol. It is a pure function of the view, so that its answer cannot depend on how a stream was cut
// into segments: for any longer view of the same flow, Found stays Found and NotMine stays NotMine.
//
// A parser that has recognised its own message and only waits for its end says Likely and sets Result.waits: then the reading goes
// on beyond its count of packets, up to 16 KiB, and later parsers wait.
//
// It says NotMine at the first byte that cannot be its own, reads no more than Budget bytes of a direction, allocates nothing and
// never panics, whatever a stranger sent.
type Parser struct {
	Protocol Protocol
	Over     flow.Proto // flow.ProtoTCP or flow.ProtoUDP; a protocol spoken over both has two entries
	Budget   int        // bytes of each direction of a TCP stream that it wants to see at most; 0 for UDP
	// Read looks at the view and fills r: Protocol and Confidence are set before the call and may be changed to something
	// more exact.
	Read func(v *View, r *Result) Verdict
}
