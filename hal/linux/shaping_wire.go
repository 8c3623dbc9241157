package linux

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// The form of traffic control messages (rtnetlink(7), linux/pkt_sched.h, linux/rtnetlink.h).
const (
	tcHeader = 20 // struct tcmsg
	tcRoot   = 0xffffffff

	tcaKind    = 1
	tcaOptions = 2
	tcaStats2  = 7

	htbParms   = 1
	htbInit    = 2
	htbVersion = 3
	// htbQuantum is rate2quantum. It is not used, since every class says its own, so it serves as the sign that a tree is the router's:
	// others' have tc's 10. tc -d shows it as r2q.
	htbQuantum = 0x747a

	ethernetFraming = 1 // TC_LINKLAYER_ETHERNET
	atmFraming      = 2 // TC_LINKLAYER_ATM

	codelTarget, codelInterval, codelMemory                    = 1, 3, 9
	cakeDiffserv, cakeFlowMode, cakeMemory, cakeNAT            = 3, 5, 10, 11
	cakeBestEffort, cakeDualSource, cakeDualDestination uint32 = 3, 5, 6
	statsBasic, statsQueue                                     = 1, 3
)

// queueName is what the kernel calls a kind of queue.
func queueName(k hal.QueueKind) string {
	return map[hal.QueueKind]string{hal.FIFO: "bfifo", hal.FQCoDel: "fq_codel", hal.Cake: "cake"}[k]
}

func classHandle(id uint16) uint32 { return hal.ShapingMajor<<16 | uint32(id) }

// queueRequest is a struct tcmsg alone: what a request for a device's queues, or the deletion of one, needs.
func queueRequest(index int32, handle, parent uint32) []byte {
	b := make([]byte, 4, 256)
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = binary.NativeEndian.AppendUint32(b, handle)
	b = binary.NativeEndian.AppendUint32(b, parent)
	return binary.NativeEndian.AppendUint32(b, 0)
}

func number32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func appendKind(b []byte, kind string) []byte {
	return appendAttribute(b, tcaKind, append([]byte(kind), 0))
}

func rootMessage(index int32, fallback uint16) []byte {
	b := appendKind(queueRequest(index, hal.ShapingMajor<<16, tcRoot), "htb")
	b, at := beginNested(b, tcaOptions)
	glob := make([]byte, 0, 20)
	for _, v := range []uint32{htbVersion, htbQuantum, uint32(fallback), 0, 0} {
		glob = binary.NativeEndian.AppendUint32(glob, v)
	}
	return endNested(appendAttribute(b, htbInit, glob), at)
}

// classMessage holds all of a class: the kernel takes what is left out for 0.
func classMessage(index int32, c hal.Class) []byte {
	parent := uint32(hal.ShapingMajor << 16)
	if c.Parent != 0 {
		parent = classHandle(c.Parent)
	}
	b := appendKind(queueRequest(index, classHandle(c.ID), parent), "htb")
	b, at := beginNested(b, tcaOptions)
	opt := appendRate(nil, c.Rate, c.Overhead)
	opt = appendRate(opt, c.Ceil, c.Overhead)
	quantum := c.Quantum
	if !c.Leaf() {
		quantum = 1514 // not used; of 0 the kernel would make a number of its own and warn of it
	}
	for _, v := range []uint32{uint32(c.Ticks()), uint32(c.CTicks()), quantum, 0, uint32(c.Priority)} {
		opt = binary.NativeEndian.AppendUint32(opt, v)
	}
	return endNested(appendAttribute(b, htbParms, opt), at)
}

// appendRate appends a struct tc_ratespec.
func appendRate(b []byte, rate uint64, o hal.Overhead) []byte {
	framing := byte(ethernetFraming)
	if o.Cells {
		framing = atmFraming
	}
	b = append(b, 0, framing)
	b = binary.NativeEndian.AppendUint16(b, o.Bytes)
	b = binary.NativeEndian.AppendUint16(b, 0)
	b = binary.NativeEndian.AppendUint16(b, o.Min)
	return binary.NativeEndian.AppendUint32(b, uint32(rate/8))
}

func readRate(b []byte) (rate uint64, o hal.Overhead) {
	o = hal.Overhead{Bytes: binary.NativeEndian.Uint16(b[2:]), Min: binary.NativeEndian.Uint16(b[6:]), Cells: b[1] == atmFraming}
	return uint64(binary.NativeEndian.Uint32(b[8:])) * 8, o
}

// bytesOf is the burst whose time are so many ticks: the largest, since the time was rounded down.
func bytesOf(ticks uint32, rate uint64) uint32 {
	return uint32((uint64(ticks)*64*(rate/8) + 1e9 - 1) / 1e9)
}

func queueMessage(index int32, c hal.Class) []byte {
	b := appendKind(queueRequest(index, uint32(c.Handle())<<16, classHandle(c.ID)), queueName(c.Queue.Kind))
	if c.Queue.Kind == hal.FIFO {
		return appendAttribute(b, tcaOptions, number32(c.Queue.Bytes))
	}
	b, at := beginNested(b, tcaOptions)
	if c.Queue.Kind == hal.FQCoDel {
		target := c.Queue.Target
		if target == 0 {
			target = hal.CoDelTarget
		}
		b = appendAttribute(b, codelTarget, number32(uint32(target/time.Microsecond)))
		b = appendAttribute(b, codelInterval, number32(uint32(c.Queue.Interval()/time.Microsecond)))
		b = appendAttribute(b, codelMemory, number32(c.Queue.Bytes))
		return endNested(b, at)
	}
	mode, nat := cakeDualDestination, uint32(0)
	if c.Queue.Sources {
		mode, nat = cakeDualSource, 1 // the sender's address is translated by now: ask connection tracking
	}
	b = appendAttribute(b, cakeDiffserv, number32(cakeBestEffort))
	b = appendAttribute(b, cakeFlowMode, number32(mode))
	b = appendAttribute(b, cakeNAT, number32(nat))
	b = appendAttribute(b, cakeMemory, number32(c.Queue.Bytes))
	return endNested(b, at)
}

func readQueue(kind string, options []byte) hal.Queue {
	f := fields(options)
	switch kind {
	case "bfifo":
		return hal.Queue{Kind: hal.FIFO, Bytes: host32(options)}
	case "fq_codel":
		q := hal.Queue{Kind: hal.FQCoDel, Bytes: host32(f.get(codelMemory))}
		// The kernel keeps times in units of 1024 ns, and what it tells is a little less than what it was told.
		target := (time.Duration(host32(f.get(codelTarget))) * time.Microsecond).Round(time.Millisecond)
		if target != hal.CoDelTarget {
			q.Target = target
		}
		return q
	case "cake":
		return hal.Queue{Kind: hal.Cake, Bytes: host32(f.get(cakeMemory)), Sources: host32(f.get(cakeFlowMode)) == cakeDualSource}
	}
	return hal.Queue{}
}

// dumpedTree collects the messages of a device's dump.
type dumpedTree struct {
	ours     bool // the root is an HTB with our handle
	fallback uint16
	queues   map[uint32]hal.Queue // by parent
	classes  []hal.Class
	counters map[uint16]hal.ClassCounter
}

// tcMessage splits a message about a device's queues; the kernel sends those of all devices.
func tcMessage(m message, index int32) (handle, parent uint32, f fields, ok bool) {
	if len(m.payload) < tcHeader || int32(binary.NativeEndian.Uint32(m.payload[4:])) != index {
		return 0, 0, nil, false
	}
	return binary.NativeEndian.Uint32(m.payload[8:]), binary.NativeEndian.Uint32(m.payload[12:]), fields(m.payload[tcHeader:]), true
}

// ownRoot tells on which device a message shows the root of a tree of the router's.
func ownRoot(m message) (index int32, ok bool) {
	if m.kind != unix.RTM_NEWQDISC || len(m.payload) < tcHeader {
		return 0, false
	}
	index = int32(binary.NativeEndian.Uint32(m.payload[4:]))
	handle, parent, f, _ := tcMessage(m, index)
	glob := fields(fields(f.get(tcaOptions)).get(htbInit))
	return index, parent == tcRoot && handle == hal.ShapingMajor<<16 && f.text(tcaKind) == "htb" && len(glob) >= 8 && host32(glob[4:]) == htbQuantum
}

func (d *dumpedTree) addQueue(index int32) func(message) {
	d.queues = map[uint32]hal.Queue{}
	return func(m message) {
		handle, parent, f, ok := tcMessage(m, index)
		if !ok || m.kind != unix.RTM_NEWQDISC {
			return
		}
		kind, options := f.text(tcaKind), f.get(tcaOptions)
		if parent == tcRoot {
			d.ours = kind == "htb" && handle == hal.ShapingMajor<<16
			if glob := fields(options).get(htbInit); d.ours && len(glob) >= 12 {
				d.fallback = uint16(host32(glob[8:]))
			}
			return
		}
		d.queues[parent] = readQueue(kind, options)
	}
}

func (d *dumpedTree) addClass(index int32) func(message) {
	d.classes, d.counters = nil, map[uint16]hal.ClassCounter{}
	return func(m message) {
		handle, parent, f, ok := tcMessage(m, index)
		if !ok || m.kind != unix.RTM_NEWTCLASS || handle>>16 != hal.ShapingMajor || f.text(tcaKind) != "htb" {
			return
		}
		opt := fields(f.get(tcaOptions)).get(htbParms)
		if len(opt) < 44 {
			return
		}
		c := hal.Class{ID: uint16(handle), Quantum: host32(opt[32:]), Priority: uint8(host32(opt[40:]))}
		if parent != tcRoot {
			c.Parent = uint16(parent)
		}
		c.Rate, c.Overhead = readRate(opt)
		c.Ceil, _ = readRate(opt[12:])
		c.Burst, c.CBurst = bytesOf(host32(opt[24:]), c.Rate), bytesOf(host32(opt[28:]), c.Ceil)
		d.classes = append(d.classes, c)
		d.counters[c.ID] = readCounter(fields(f.get(tcaStats2)))
	}
}

// readCounter reads a struct gnet_stats_basic and a struct gnet_stats_queue.
func readCounter(f fields) hal.ClassCounter {
	var c hal.ClassCounter
	if b := f.get(statsBasic); len(b) >= 12 {
		c.Bytes, c.Packets = binary.NativeEndian.Uint64(b), uint64(host32(b[8:]))
	}
	if b := f.get(statsQueue); len(b) >= 12 {
		c.Waiting, c.WaitingBytes, c.Dropped = uint64(host32(b)), uint64(host32(b[4:])), uint64(host32(b[8:]))
	}
	return c
}

// shaping puts together what the messages said.
func (d *dumpedTree) shaping(device string) hal.Shaping {
	parents := map[uint16]bool{}
	for _, c := range d.classes {
		parents[c.Parent] = true
	}
	for i := range d.classes {
		if c := &d.classes[i]; parents[c.ID] {
			c.Quantum, c.Priority = 0, 0
		} else {
			c.Queue = d.queues[classHandle(c.ID)]
		}
	}
	return hal.Shaping{Device: device, Default: d.fallback, Classes: d.classes}.Ordered()
}
