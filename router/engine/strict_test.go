package engine_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/plan"
)

const strictPolicy = `
people: [{id: ana, name: Ana}]
devices: [{id: laptop, name: Laptop, owner: ana, macs: ["02:00:00:00:77:01"]}]
house:
  - {id: bank, name: The bank over fiber, force: must, what: {domains: [bank.example]}, steer: {use: [fiber], strict: true}}
  - {id: shop, name: The shop over fiber, force: must, what: {domains: [shop.example]}, steer: {use: [fiber]}}
`

// A flow that says that it is on a wrong link is reset, and its name taught for the next one, even where DNS said another name; but only once, only where
// the rule is strict, and only if the link is none that the rule takes now.
func TestStrictResetsOnce(t *testing.T) {
	h, laptop, c := inspected(t, strictPolicy)
	port := 50100
	open := func(link flow.LinkID, host string) flow.Key { // a flow that has just said what it wants
		t.Helper()
		port++
		c := c
		c.Orig.Src = netip.MustParseAddrPort(fmt.Sprintf("10.77.0.20:%d", port))
		c.Reply.Dst = netip.AddrPortFrom(c.Reply.Dst.Addr(), uint16(port))
		c.Mark = laptop.Number.Mark() | flow.JudgedBit | link.Mark() | flow.ChoiceID(7).Mark()
		h.Machine.SetConnection(c)
		h.Machine.LogPacket(plan.NamesGroup, hal.PacketCopy{Mark: c.Mark, Packet: tcpPacket(c.Orig.Src, c.Orig.Dst, 0x18, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")})
		return c.Orig
	}
	resets := func() (n int) {
		t.Helper()
		for _, e := range h.Events(1000) {
			if e.Kind == "steer" {
				n++
			}
		}
		return n
	}
	// A plan that is made meanwhile lets go of what is blocked: that a flow was reset is told by the events, and its mark only if it is there.
	isReset := func(key flow.Key) {
		t.Helper()
		if m := markOf(t, h, key); m != 0 && m != laptop.Number.Mark()|flow.LinkID(2).Mark()|flow.ResetBoth {
			t.Errorf("a flow that was reset is marked %v", m)
		}
	}
	var tries []flow.Key
	enginetest.Eventually(t, "the reset of one of some flows", func() bool { // the reader of copies may begin after the house
		tries = append(tries, open(2, "www.bank.example"))
		return resets() > 0
	})
	enginetest.Eventually(t, "its name in the kernel", func() bool {
		elements, err := h.Machine.Elements(t.Context(), plan.MapNames4)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range elements {
			if e.Comment == "www.bank.example" {
				return true
			}
		}
		return false
	})
	if n := resets(); n != 1 {
		t.Fatalf("%d resets are told of, want 1", n)
	}
	again := open(2, "www.bank.example")
	right := open(1, "pay.bank.example")
	loose := open(2, "www.shop.example")
	last := open(2, "other.bank.example") // copies are read in order: when this one is reset, the others were looked at
	enginetest.Eventually(t, "the reset of another name's flow", func() bool { return resets() == 2 })
	isReset(last)
	if i := slices.IndexFunc(tries, func(k flow.Key) bool { return markOf(t, h, k)&flow.BlockedBit != 0 }); i >= 0 {
		isReset(tries[i])
	}
	for what, key := range map[string]flow.Key{"a second try": again, "a flow on the right link": right, "a flow of a rule that is not strict": loose} {
		if m := markOf(t, h, key); m&flow.BlockedBit != 0 {
			t.Errorf("%s is marked %v", what, m)
		}
	}
}
