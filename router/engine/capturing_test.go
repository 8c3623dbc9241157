package engine_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/capture"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/plan"
)

// What is captured can be read again: each packet, and beside the first of a flow what the flow is; the kernel's rule is there for as long as the capture.
func TestCapture(t *testing.T) {
	h, laptop, c := inspected(t, inspectingPolicy)
	rule := func() bool { return strings.Contains(h.Machine.String(), "log group 80") }
	if rule() {
		t.Fatal("packets are copied before anybody asked")
	}
	h.AnswerTo(t.Context(), netip.AddrPortFrom(enginetest.Laptop, 40000), new(dns.Msg).SetQuestion("work.example.", dns.TypeA))
	c.Orig.Dst = netip.MustParseAddrPort("198.51.100.10:443")
	var file bytes.Buffer
	var running sync.WaitGroup
	begun := make(chan struct{})
	q := engine.CaptureQuery{Device: "laptop", Length: time.Minute, Packets: 3, Bytes: 256}
	running.Go(func() {
		if err := h.Capture(t.Context(), q, func() { close(begun) }, &file); err != nil {
			t.Error(err)
		}
	})
	<-begun
	enginetest.Eventually(t, "the kernel's rule", rule)
	if err := h.Capture(t.Context(), q, func() {}, io.Discard); !errors.Is(err, engine.ErrCapturing) {
		t.Errorf("a second capture: %v", err)
	}
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	for over := false; !over; { // until the listener is there and has had its three
		h.Machine.LogPacket(plan.CaptureGroup, hal.PacketCopy{Packet: tcpPacket(c.Orig.Src, c.Orig.Dst, 0x18, "up"), InDev: "lan0", OutDev: "wan1", Mark: laptop.Number.Mark(), Arrived: time.Unix(1000, 5)})
		h.Machine.LogPacket(plan.CaptureGroup, hal.PacketCopy{Packet: tcpPacket(c.Orig.Dst, c.Orig.Src, 0x18, "down"), InDev: "wan1", OutDev: "lan0", Arrived: time.Unix(1000, 6)})
		select {
		case <-ended:
			over = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	enginetest.Eventually(t, "the rule's end", func() bool { return !rule() })
	r, err := capture.NewReader(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; ; n++ {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(record.Data) != 42 && len(record.Data) != 44 || record.At.Unix() != 1000 || record.Link != capture.LinkRaw {
			t.Errorf("%+v", record)
		}
	}
	if n < 3 {
		t.Errorf("%d packets", n)
	}
	if said := strings.Count(file.String(), "host work.example"); said != 1 {
		t.Errorf("what the flow is stands there %d times", said)
	}
	for _, q := range []engine.CaptureQuery{{Device: "laptop"}, {Device: "nobody", Length: time.Second, Packets: 1, Bytes: 64}, {Device: "router", Length: time.Second, Packets: 1, Bytes: 64}} {
		if err := h.Capture(t.Context(), q, func() { t.Error("it begins") }, io.Discard); err == nil {
			t.Errorf("%+v is taken", q)
		}
	}
}
