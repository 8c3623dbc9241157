package linux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

const (
	// copyRange is how much of a packet comes up. A packet may be several that the network card joined: the first
	// flight of TLS with post-quantum keys is two segments.
	copyRange = 4096
	// packetBuffer holds about a thousand copies. A copy that finds no room is dropped by the kernel, and that is all:
	// copies teach names early, and the next packet or connection teaches the same.
	packetBuffer = 8 << 20
	// deviceNamesFor is how long a device's name is believed before it is asked for again: a rename shows late.
	deviceNamesFor = 5 * time.Second
	deviceNamesMax = 1024

	// linux/netfilter/nfnetlink_log.h
	nflogPacket = unix.NFNL_SUBSYS_ULOG<<8 | 0 // NFULNL_MSG_PACKET
	nflogConfig = unix.NFNL_SUBSYS_ULOG<<8 | 1 // NFULNL_MSG_CONFIG

	nfulaConfigCommand   = 1 // NFULA_CFG_CMD
	nfulaConfigMode      = 2 // NFULA_CFG_MODE
	nfulaConfigThreshold = 5 // NFULA_CFG_QTHRESH
	nflogBind            = 1 // NFULNL_CFG_CMD_BIND
	nflogCopyPacket      = 2 // NFULNL_COPY_PACKET

	nfulaMark      = 2
	nfulaTimestamp = 3
	nfulaInDevice  = 4
	nfulaOutDevice = 5
	nfulaHardware  = 8
	nfulaPayload   = 9
	nfulaPrefix    = 10
)

// WatchPackets implements hal.PacketCopies. One process at a time can listen to a group (hal.ErrExists). Copies come up
// one by one and at once, and are dropped when f does not keep up.
func (m *Machine) WatchPackets(ctx context.Context, group uint16, f func(hal.PacketCopy)) error {
	return m.keepListening(ctx, fmt.Sprintf("packets of group %d", group), func(opened func()) error {
		s, err := openPacketLog(ctx, group)
		if err != nil {
			return fmt.Errorf("listen to packet copies of group %d: %w", group, err)
		}
		defer s.close()
		opened()
		return readPacketLog(ctx, s, f)
	})
}

func openPacketLog(ctx context.Context, group uint16) (*kernelSocket, error) {
	s, err := openKernelSocket(unix.NETLINK_NETFILTER, kernelSocketOptions{buffer: packetBuffer, lossless: true})
	if err != nil {
		return nil, err
	}
	// struct nfulnl_msg_config_mode: range, mode, padding. The threshold of one packet makes the kernel send each
	// at once instead of collecting for up to a second.
	mode := append(binary.BigEndian.AppendUint32(nil, copyRange), nflogCopyPacket, 0)
	for _, c := range []struct {
		doing string
		kind  uint16
		data  []byte
	}{
		{"bind the group", nfulaConfigCommand, []byte{nflogBind}},
		{"set the copy range", nfulaConfigMode, mode},
		{"set the queue threshold", nfulaConfigThreshold, binary.BigEndian.AppendUint32(nil, 1)},
	} {
		request := appendAttribute(netfilterRequest(unix.AF_UNSPEC, nfnetlinkVersion, group), c.kind, c.data)
		if err := s.ask(ctx, nflogConfig, unix.NLM_F_ACK, request, func(message) {}); err != nil {
			s.close()
			if errors.Is(err, unix.EPERM) && groupTaken(group) {
				return nil, fmt.Errorf("%s: another program listens to this group; stop it: %w", c.doing, hal.ErrExists)
			}
			return nil, kernelError(err, "%s", c.doing)
		}
	}
	return s, nil
}

// groupTaken tells whether someone listens to a group. The kernel refuses a second listener with the same error as one without rights.
func groupTaken(group uint16) bool {
	b, _ := os.ReadFile("/proc/thread-self/net/netfilter/nfnetlink_log")
	for line := range strings.Lines(string(b)) {
		if words := strings.Fields(line); len(words) > 0 && words[0] == strconv.Itoa(int(group)) {
			return true
		}
	}
	return false
}

func readPacketLog(ctx context.Context, s *kernelSocket, f func(hal.PacketCopy)) error {
	names, err := openNameCache()
	if err != nil {
		return err
	}
	defer names.close()
	return s.listen(ctx, func(a message) {
		if a.kind != nflogPacket {
			return
		}
		now := time.Now()
		c, in, out, ok := decodePacketCopy(a.payload)
		if !ok {
			return
		}
		if c.Arrived.IsZero() {
			c.Arrived = now
		}
		c.InDev, c.OutDev = names.of(in, now), names.of(out, now)
		f(c)
	}, func() {})
}

// decodePacketCopy reads the payload of an NFULNL_MSG_PACKET, without the names of the devices in and out; 0 is
// none. The packet points into b. It never panics; false means that there is no IP packet in it.
func decodePacketCopy(b []byte) (c hal.PacketCopy, in, out int, ok bool) {
	if len(b) < sizeofGenMsg {
		return c, 0, 0, false
	}
	kinds := packetKinds{
		mark: nfulaMark, timestamp: nfulaTimestamp, inDevice: nfulaInDevice, outDevice: nfulaOutDevice, hardware: nfulaHardware, payload: nfulaPayload,
	}
	for kind, data := range attributes(b[sizeofGenMsg:]) {
		if kind == nfulaPrefix {
			c.Prefix = text(data)
			continue
		}
		kinds.take(kind, data, &c, &in, &out)
	}
	return c, in, out, isIP(c.Packet)
}

// packetKinds are the numbers of the attributes of a packet that comes up, which differ between logs and queues; their forms do not.
type packetKinds struct{ mark, timestamp, inDevice, outDevice, hardware, payload uint16 }

// take takes in an attribute. The packet points into data.
func (k packetKinds) take(kind uint16, data []byte, c *hal.PacketCopy, in, out *int) {
	switch kind {
	case k.mark:
		c.Mark = flow.Mark(net32(data))
	case k.timestamp: // struct nfulnl_msg_packet_timestamp: seconds, microseconds
		if len(data) >= 16 {
			c.Arrived = time.Unix(int64(net64(data)), int64(net64(data[8:]))*1000)
		}
	case k.inDevice:
		*in = int(int32(net32(data)))
	case k.outDevice:
		*out = int(int32(net32(data)))
	case k.hardware: // struct nfulnl_msg_packet_hw: length, padding, eight bytes
		if len(data) >= 4+len(c.SrcMAC) && net16(data) == uint16(len(c.SrcMAC)) {
			c.SrcMAC = flow.MAC(data[4 : 4+len(c.SrcMAC)])
		}
	case k.payload:
		c.Packet = data
	}
}

// isIP tells whether a whole IP header is there.
func isIP(packet []byte) bool {
	if len(packet) == 0 {
		return false
	}
	version := packet[0] >> 4
	return version == 4 && len(packet) >= 20 || version == 6 && len(packet) >= 40
}

// nameCache finds devices' names by their numbers, and remembers them for a while. One goroutine uses it.
type nameCache struct {
	fd    int
	known map[int]deviceName
}

type deviceName struct {
	name  string
	until time.Time
}

func openNameCache() (*nameCache, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, kernelError(err, "open a socket to ask for device names")
	}
	return &nameCache{fd: fd, known: map[int]deviceName{}}, nil
}

func (d *nameCache) close() { unix.Close(d.fd) }

// of is the name of the device of that number; "" when there is none, or the number is 0.
func (d *nameCache) of(index int, now time.Time) string {
	if index <= 0 {
		return ""
	}
	if n, ok := d.known[index]; ok && now.Before(n.until) {
		return n.name
	}
	if len(d.known) >= deviceNamesMax { // devices that come and go for months: start over
		clear(d.known)
	}
	r, err := unix.NewIfreq("")
	if err != nil {
		return ""
	}
	r.SetUint32(uint32(index))
	var name string
	if unix.IoctlIfreq(d.fd, unix.SIOCGIFNAME, r) == nil {
		name = r.Name()
	}
	d.known[index] = deviceName{name: name, until: now.Add(deviceNamesFor)}
	return name
}
