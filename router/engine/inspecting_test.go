package engine_test

import (
	"net/netip"
	"testing"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/plan"
	"github.com/trenza-router/trenza/router/store"
)

const inspectingPolicy = `
people: [{id: ana, name: Ana}]
devices: [{id: laptop, name: Laptop, owner: ana, macs: ["02:00:00:00:77:01"]}]
house: [{id: no-upload, name: No uploads, force: must, what: {http: {path: /upload}}, filter: {block: true}}]
personal:
  ana: [{id: no-words, name: No words, what: {payload: top-secret}, filter: {block: true, silent: true}}]
`

// inspected is a house that looks into flows, with the laptop and a flow of it that runs.
func inspected(t *testing.T, policy string) (*enginetest.House, engine.DeviceView, hal.Connection) {
	t.Helper()
	h := enginetest.Start(t, policy, nil)
	var laptop engine.DeviceView
	enginetest.Eventually(t, "the laptop", func() bool {
		for _, d := range h.Devices() {
			if d.ID == "laptop" {
				laptop = d
			}
		}
		return laptop.Number != 0
	})
	c := hal.Connection{Orig: flow.Key{Proto: flow.ProtoTCP, Src: netip.MustParseAddrPort("10.77.0.20:50000"), Dst: netip.MustParseAddrPort("203.0.113.9:80")},
		Mark: laptop.Number.Mark() | flow.JudgedBit | flow.LinkID(1).Mark() | flow.ChoiceID(7).Mark() | 3}
	c.Reply = flow.Key{Proto: flow.ProtoTCP, Src: c.Orig.Dst, Dst: netip.MustParseAddrPort("100.64.1.2:50000")}
	h.Machine.SetConnection(c)
	return h, laptop, c
}

// A copy that shows what a rule does not let pass ends its flow: the connection is blocked, nothing calls it back, and the log names the rule.
func TestContentEndsFlow(t *testing.T) {
	h, laptop, c := inspected(t, inspectingPolicy)
	send := func(text string) {
		h.Machine.LogPacket(plan.DeepGroup, hal.PacketCopy{Packet: tcpPacket(c.Orig.Src, c.Orig.Dst, 0x18, text), Mark: c.Mark})
	}
	present := func(c hal.Connection) { // a plan that is made meanwhile lets go of what is blocked
		if markOf(t, h, c.Orig) == 0 {
			h.Machine.SetConnection(c)
		}
	}
	send("GET /list HTTP/1.1\r\nHost: a.example\r\n\r\n")
	send("POST /upload HTTP/1.1\r\nHost: a.example\r\n\r\n") // at the same place of the stream: what came first stays
	c2 := c
	c2.Orig.Src = netip.MustParseAddrPort("10.77.0.20:50001")
	enginetest.Eventually(t, "the flow's end", func() bool {
		present(c2)
		h.Machine.LogPacket(plan.DeepGroup, hal.PacketCopy{Packet: tcpPacket(c2.Orig.Src, c2.Orig.Dst, 0x18, "POST /upload?x HTTP/1.1\r\n"), Mark: c2.Mark})
		return markOf(t, h, c2.Orig) == laptop.Number.Mark()|flow.LinkID(1).Mark()|flow.BlockedBit
	})
	// Its class may have changed: what keeps promises follows the plan.
	if m := markOf(t, h, c.Orig); m.Blocked() || !m.Judged() || m.Link() != c.Mark.Link() {
		t.Errorf("another flow is marked %v", m)
	}
	c3 := c
	c3.Orig.Src = netip.MustParseAddrPort("10.77.0.20:50002")
	enginetest.Eventually(t, "the silent end", func() bool {
		present(c3)
		h.Machine.LogPacket(plan.DeepGroup, hal.PacketCopy{Packet: tcpPacket(c3.Orig.Src, c3.Orig.Dst, 0x18, "a Top-Secret word"), Mark: c3.Mark})
		return markOf(t, h, c3.Orig) == laptop.Number.Mark()|flow.LinkID(1).Mark()|flow.SilentlyBlocked
	})
	for rule, want := range map[string]store.Block{
		"no-upload": {Tier: "main", Name: "No uploads"}, "no-words": {Tier: "user", Name: "No words", Silent: true},
	} {
		enginetest.Eventually(t, "rule "+rule+" in the log", func() bool {
			list, err := h.Blocked(t.Context(), store.BlockQuery{Rule: rule})
			if err != nil || len(list) == 0 {
				return false
			}
			if b := list[0]; b.How != store.BlockedContent || b.Tier != want.Tier || b.Name != want.Name || b.Silent != want.Silent || b.Device != "laptop" || b.Text == "" {
				t.Fatalf("%+v", b)
			}
			return true
		})
	}
}
