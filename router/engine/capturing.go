package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/capture"
	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/host"
	"github.com/trenza-router/trenza/router/observe"
	"github.com/trenza-router/trenza/router/plan"
)

// CaptureQuery says what to capture, and when to stop: whichever bound is reached first.
type CaptureQuery struct {
	Device  string     // as people name it
	Far     netip.Addr // invalid: every far end
	Port    uint16     // of the far end; 0: every one
	Length  time.Duration
	Packets int
	Bytes   int // of each packet
}

// Bounds of a CaptureQuery.
const (
	MaxCaptureLength  = 10 * time.Minute
	MaxCapturePackets = 1_000_000
	MaxCaptureBytes   = 2048     // of a packet
	maxCaptureFile    = 64 << 20 // bytes of packets
)

// ErrCapturing: there is one capture at a time.
var ErrCapturing = errors.New("another capture runs: wait for its end")

// capturing is a capture that runs.
type capturing struct {
	query  CaptureQuery
	device host.Device
}

// Capture writes what a device sends and gets to w, in pcapng, until a bound is reached or the context ends, which is no error. Beside the packet
// that shows something new of its flow stands what the flow is. begun is called before anything is written.
func (e *Engine) Capture(ctx context.Context, q CaptureQuery, begun func(), w io.Writer) error {
	if q.Length <= 0 || q.Length > MaxCaptureLength || q.Packets <= 0 || q.Packets > MaxCapturePackets || q.Bytes <= 0 || q.Bytes > MaxCaptureBytes {
		return fmt.Errorf("%w: a capture has a length up to %s, up to %d packets and up to %d bytes of each", ErrBadQuestion, MaxCaptureLength, MaxCapturePackets, MaxCaptureBytes)
	}
	device, _, err := e.asked(q.Device)
	switch {
	case err != nil:
		return err
	case device.Number == flow.RouterDevice:
		return fmt.Errorf("%w: the router's own packets are not forwarded; capture a device", ErrBadQuestion)
	}
	q.Far = q.Far.Unmap().WithZone("")
	if !e.capture.CompareAndSwap(nil, &capturing{q, device}) {
		return ErrCapturing
	}
	defer func() {
		e.capture.Store(nil)
		e.planner.touch()
	}()
	ctx, stop := context.WithTimeout(ctx, q.Length)
	defer stop()
	begun()
	out, err := capture.NewWriter(w, capture.LinkRaw)
	if err != nil {
		return err
	}
	e.event(observe.Info, "capture", device.ID, fmt.Sprintf("What %s sends and gets is being captured.", device.Name))
	e.planner.touch()
	packets, size := 0, 0
	said, links := map[flow.Key]string{}, map[string]bool{}
	for _, l := range e.planLinks() {
		links[l.Device] = true
	}
	var failed error
	err = e.machine.WatchPackets(ctx, plan.CaptureGroup, func(c hal.PacketCopy) {
		if ctx.Err() != nil {
			return
		}
		if failed = out.Packet(c.Arrived, c.Packet, lengthOf(c.Packet), e.remark(device, c, links[c.InDev], said)); failed != nil {
			stop()
		}
		packets++
		if size += len(c.Packet); packets >= q.Packets || size >= maxCaptureFile {
			stop()
		}
	})
	switch {
	case failed != nil:
		return failed
	case ctx.Err() != nil:
		return nil
	}
	return err
}

// planCapture is the running capture, for the plan.
func (e *Engine) planCapture() plan.Capture {
	c := e.capture.Load()
	if c == nil {
		return plan.Capture{}
	}
	return plan.Capture{Device: c.device.Number, Far: c.query.Far, Port: c.query.Port, Bytes: c.query.Bytes}
}

// maxRemarked bounds the flows of which is remembered what was said of them; beyond it things are said twice.
const maxRemarked = 10_000

// remark is what a packet's flow is, if that was not said of it before.
func (e *Engine) remark(device host.Device, c hal.PacketCopy, answer bool, said map[flow.Key]string) string {
	var p dpi.Packet
	if err := dpi.Decode(c.Packet, &p); err != nil {
		return ""
	}
	key := p.Key
	if answer {
		key = key.Reverse()
	}
	j := e.decide(device.ID, key, e.now())
	var parts []string
	if j.identity.App != "" {
		parts = append(parts, fmt.Sprintf("%s (%s)", j.identity.App, j.identity.Category))
	}
	if j.identity.Host != "" {
		parts = append(parts, "host "+j.identity.Host)
	}
	if j.identity.Reason != "" {
		parts = append(parts, j.identity.Reason)
	}
	if f, ok := e.names.Said(key, e.now()); ok && f.Protocol != dpi.Unknown {
		parts = append(parts, "speaks "+f.Protocol.String())
	}
	parts = append(parts, treatment(j.decision))
	text := strings.Join(parts, "; ")
	if said[key] == text {
		return ""
	}
	if len(said) >= maxRemarked {
		clear(said)
	}
	said[key] = text
	return text
}

// lengthOf is the length of a packet on the wire, of which the copy may have the start alone.
func lengthOf(packet []byte) int {
	if len(packet) >= 20 && packet[0]>>4 == 4 {
		return int(packet[2])<<8 | int(packet[3])
	}
	if len(packet) >= 40 && packet[0]>>4 == 6 {
		return 40 + (int(packet[4])<<8 | int(packet[5]))
	}
	return len(packet)
}
