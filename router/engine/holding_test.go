package engine_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/plan"
)

// quicHello are the datagrams that a client of QUIC sends first, with the key shares of today.
func quicHello(t *testing.T, name string) (datagrams [][]byte) {
	t.Helper()
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = quic.DialAddr(ctx, server.LocalAddr().String(), &tls.Config{ServerName: name, NextProtos: []string{"h3"}}, nil) // ends with ctx: nobody answers
	}()
	defer func() { stop(); <-over }()
	buf := make([]byte, 2048)
	for range 2 {
		if err := server.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, _, err := server.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		datagrams = append(datagrams, slices.Clone(buf[:n]))
	}
	return datagrams
}

// udpPacket is an IPv4 packet with a datagram, without checksums.
func udpPacket(src, dst netip.AddrPort, payload []byte) []byte {
	b := make([]byte, 28, 28+len(payload))
	b[0], b[8], b[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(b[2:], uint16(28+len(payload)))
	copy(b[12:], src.Addr().AsSlice())
	copy(b[16:], dst.Addr().AsSlice())
	binary.BigEndian.PutUint16(b[20:], src.Port())
	binary.BigEndian.PutUint16(b[22:], dst.Port())
	binary.BigEndian.PutUint16(b[24:], uint16(8+len(payload)))
	return append(b, payload...)
}

// Held packets of QUIC go on when their name is in the kernel's map, though two applications share the address; those without a name go on, too.
func TestHoldOpenings(t *testing.T) {
	h := enginetest.StartOn(t, inspectingPolicy, nil, hal.Capability{Name: "nft-queue", Present: true})
	var laptop engine.DeviceView
	enginetest.Eventually(t, "the laptop", func() bool {
		for _, d := range h.Devices() {
			if d.ID == "laptop" {
				laptop = d
			}
		}
		return laptop.Number != 0
	})
	to := netip.MustParseAddrPort("203.0.113.9:443")
	known := func(name string) bool {
		elements, err := h.Machine.Elements(t.Context(), plan.MapNames4)
		return err == nil && slices.ContainsFunc(elements, func(e hal.Element) bool { return e.Comment == name })
	}
	port := uint16(51000)
	hold := func(datagrams ...[]byte) {
		for _, d := range datagrams {
			h.Machine.HoldPacket(plan.HoldQueue, hal.PacketCopy{Mark: laptop.Number.Mark(), Packet: udpPacket(netip.AddrPortFrom(netip.MustParseAddr("10.77.0.20"), port), to, d)})
		}
	}
	for _, name := range []string{"www.youtube.com", "en.wikipedia.org"} {
		hello := quicHello(t, name)
		enginetest.Eventually(t, "the name "+name+" in the kernel", func() bool { // the reader of the queue may begin after the house
			port++
			hold(hello...)
			return known(name)
		})
	}
	// Whatever is held is let go: what has no name after a time, and more packets than may wait at once.
	before := len(h.Machine.Verdicts())
	port++
	hold([]byte{0xc0, 0, 0, 0, 1})
	enginetest.Eventually(t, "the verdict about what has no name", func() bool { return len(h.Machine.Verdicts()) > before })
	for _, v := range h.Machine.Verdicts() {
		if v != (hal.PacketVerdict{}) {
			t.Errorf("the verdict is %+v", v)
		}
	}
}
