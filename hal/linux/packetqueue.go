package linux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

const (
	// queueLength is how many packets are held at most; more pass unread.
	queueLength = 1024

	// linux/netfilter/nfnetlink_queue.h
	queuePacket  = unix.NFNL_SUBSYS_QUEUE<<8 | 0 // NFQNL_MSG_PACKET
	queueVerdict = unix.NFNL_SUBSYS_QUEUE<<8 | 1 // NFQNL_MSG_VERDICT
	queueConfig  = unix.NFNL_SUBSYS_QUEUE<<8 | 2 // NFQNL_MSG_CONFIG

	queueConfigCommand = 1 // NFQA_CFG_CMD
	queueConfigParams  = 2 // NFQA_CFG_PARAMS
	queueConfigLength  = 3 // NFQA_CFG_QUEUE_MAXLEN
	queueConfigMask    = 4 // NFQA_CFG_MASK
	queueConfigFlags   = 5 // NFQA_CFG_FLAGS
	queueBind          = 1 // NFQNL_CFG_CMD_BIND
	queueCopyPacket    = 2 // NFQNL_COPY_PACKET
	queueFailOpen      = 1 // NFQA_CFG_F_FAIL_OPEN: what finds no room passes
	queueJoined        = 4 // NFQA_CFG_F_GSO: packets that the card joined come as one

	nfqaPacketHeader  = 1 // NFQA_PACKET_HDR: id, protocol, hook
	nfqaVerdictHeader = 2 // NFQA_VERDICT_HDR: verdict, id
	nfqaMark          = 3
	nfqaTimestamp     = 4
	nfqaInDevice      = 5
	nfqaOutDevice     = 6
	nfqaHardware      = 9
	nfqaPayload       = 10

	// linux/netfilter.h
	verdictDrop   = 0 // NF_DROP
	verdictAccept = 1 // NF_ACCEPT
)

// JudgePackets implements hal.PacketQueue. The kernel lets packets pass when the queue is full, and, by the rule's "bypass", when nobody
// has bound it. A packet whose verdict cannot be told is let pass when the socket closes.
func (m *Machine) JudgePackets(ctx context.Context, queue uint16, f func(hal.PacketCopy) hal.PacketVerdict) error {
	return m.HoldPackets(ctx, queue, func(c hal.PacketCopy, tell func(hal.PacketVerdict)) { tell(f(c)) })
}

// HoldPackets implements hal.PacketQueue.
func (m *Machine) HoldPackets(ctx context.Context, queue uint16, f func(hal.PacketCopy, func(hal.PacketVerdict))) error {
	return m.keepListening(ctx, fmt.Sprintf("packets of queue %d", queue), func(opened func()) error {
		s, err := openPacketQueue(ctx, queue)
		if err != nil {
			return fmt.Errorf("listen to packet queue %d: %w", queue, err)
		}
		defer s.close()
		opened()
		return holdPacketQueue(ctx, s, queue, f)
	})
}

func openPacketQueue(ctx context.Context, queue uint16) (*kernelSocket, error) {
	s, err := openKernelSocket(unix.NETLINK_NETFILTER, kernelSocketOptions{buffer: packetBuffer, lossless: true})
	if err != nil {
		return nil, err
	}
	flags := binary.BigEndian.AppendUint32(nil, queueFailOpen|queueJoined)
	for _, c := range []struct {
		doing   string
		request func(b []byte) []byte
	}{
		{"bind the queue", func(b []byte) []byte { // struct nfqnl_msg_config_cmd: command, padding, protocol family
			return appendAttribute(b, queueConfigCommand, []byte{queueBind, 0, 0, 0})
		}},
		{"set the copy range", func(b []byte) []byte { // struct nfqnl_msg_config_params: range, mode
			return appendAttribute(b, queueConfigParams, append(binary.BigEndian.AppendUint32(nil, copyRange), queueCopyPacket))
		}},
		{"set the queue's length", func(b []byte) []byte {
			return appendAttribute(b, queueConfigLength, binary.BigEndian.AppendUint32(nil, queueLength))
		}},
		{"let packets pass when the queue is full", func(b []byte) []byte {
			return appendAttribute(appendAttribute(b, queueConfigFlags, flags), queueConfigMask, flags)
		}},
	} {
		request := c.request(netfilterRequest(unix.AF_UNSPEC, nfnetlinkVersion, queue))
		if err := s.ask(ctx, queueConfig, unix.NLM_F_ACK, request, func(message) {}); err != nil {
			s.close()
			if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY) {
				return nil, fmt.Errorf("%s: no rights, or another program judges this queue; stop it: %w", c.doing, hal.ErrExists)
			}
			return nil, kernelError(err, "%s", c.doing)
		}
	}
	return s, nil
}

func holdPacketQueue(ctx context.Context, s *kernelSocket, queue uint16, f func(hal.PacketCopy, func(hal.PacketVerdict))) error {
	names, err := openNameCache()
	if err != nil {
		return err
	}
	defer names.close()
	var failed atomic.Pointer[error]
	tell := func(id uint32, v hal.PacketVerdict) {
		if err := s.send(appendVerdict(nil, queue, id, v)); err != nil && failed.CompareAndSwap(nil, &err) {
			s.close() // the kernel lets go of what it holds
		}
	}
	err = s.listen(ctx, func(a message) {
		if a.kind != queuePacket || failed.Load() != nil {
			return
		}
		now := time.Now()
		q, ok := decodeQueuedPacket(a.payload)
		switch {
		case !q.numbered:
		case !ok:
			tell(q.id, hal.PacketVerdict{})
		default:
			if q.Arrived.IsZero() {
				q.Arrived = now
			}
			q.InDev, q.OutDev = names.of(q.in, now), names.of(q.out, now)
			f(q.PacketCopy, func(v hal.PacketVerdict) { tell(q.id, v) })
		}
	}, func() {})
	if failed := failed.Load(); failed != nil && ctx.Err() == nil {
		return kernelError(*failed, "tell the verdict about a packet")
	}
	return err
}

// appendVerdict appends a whole NFQNL_MSG_VERDICT.
func appendVerdict(b []byte, queue uint16, id uint32, v hal.PacketVerdict) []byte {
	b, at := beginMessage(b, queueVerdict, unix.NLM_F_REQUEST, 0)
	b = append(b, netfilterRequest(unix.AF_UNSPEC, nfnetlinkVersion, queue)...)
	verdict := uint32(verdictAccept)
	if v.Drop {
		verdict = verdictDrop
	}
	b = appendAttribute(b, nfqaVerdictHeader, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, verdict), id))
	if v.Mark != 0 { // the connection's mark in a verdict (NFQA_CT) would be one step, but not every kernel takes it
		b = appendAttribute(b, nfqaMark, binary.BigEndian.AppendUint32(nil, uint32(v.Mark)))
	}
	return endMessage(b, at)
}

// queuedPacket is a held packet with the numbers of its devices; 0 is none.
type queuedPacket struct {
	hal.PacketCopy
	id       uint32
	numbered bool
	in, out  int
}

// decodeQueuedPacket reads the payload of an NFQNL_MSG_PACKET. The packet points into b. It never panics; false means that there is no IP packet
// in it, which must get a verdict even so when it is numbered.
func decodeQueuedPacket(b []byte) (q queuedPacket, ok bool) {
	if len(b) < sizeofGenMsg {
		return q, false
	}
	kinds := packetKinds{
		mark: nfqaMark, timestamp: nfqaTimestamp, inDevice: nfqaInDevice, outDevice: nfqaOutDevice, hardware: nfqaHardware, payload: nfqaPayload,
	}
	for kind, data := range attributes(b[sizeofGenMsg:]) {
		if kind == nfqaPacketHeader {
			if len(data) >= 4 {
				q.id, q.numbered = net32(data), true
			}
			continue
		}
		kinds.take(kind, data, &q.PacketCopy, &q.in, &q.out)
	}
	return q, isIP(q.Packet)
}
