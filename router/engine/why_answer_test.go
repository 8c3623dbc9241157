package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/capture/capturetest"
	"github.com/trenza-router/trenza/router/classify"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// links writes what the families of an answer get: "4: fiber 70 wifi 30; 6: fiber 100".
func links(a engine.Answer) string {
	var families []string
	for _, f := range a.Families {
		text := map[hal.Family]string{hal.IPv4: "4:", hal.IPv6: "6:"}[f.Family]
		for _, l := range f.Links {
			text += " " + l.Link
			if l.Lent {
				text += " lent"
			}
			if l.Share != 1 {
				text += fmt.Sprintf(" %.0f", l.Share*100)
			}
		}
		if f.Near {
			text += " near"
		}
		families = append(families, text)
	}
	return strings.Join(families, "; ")
}

// ask checks of every answer that its shares are whole and its sentences are sentences.
func ask(t *testing.T, h *enginetest.House, q engine.Question) engine.Answer {
	t.Helper()
	if q.Port == 0 && q.Proto != flow.ProtoICMP {
		q.Port = 443
	}
	a, err := h.Why(t.Context(), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	for _, f := range a.Families {
		sum := 0.0
		for _, l := range f.Links {
			sum += l.Share
		}
		if len(f.Links) > 0 && math.Abs(sum-1) > 1e-9 {
			t.Errorf("%+v: the shares of %s add up to %v, want 1: %+v", q, f.Family, sum, f.Links)
		}
		if !strings.HasSuffix(f.Why, ".") {
			t.Errorf("%+v: %q is no sentence", q, f.Why)
		}
	}
	if !strings.HasSuffix(a.Sentence, ".") || strings.Contains(a.Sentence, "..") || strings.Contains(a.Sentence, "  ") || strings.Contains(a.Sentence, "invalid") {
		t.Errorf("%+v: %q is no good sentence", q, a.Sentence)
	}
	return a
}

func TestWhyNamesTheLinks(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	for _, c := range []struct{ device, to, links, sentence string }{
		{"laptop", "work.example", "4: fiber; 6: fiber",
			`Laptop reaches work.example over fiber. Ana's rule "Work over fiber" decides: only fiber.`},
		{"Laptop", "WORK.example.", "4: fiber; 6: fiber",
			`Laptop reaches work.example over fiber. Ana's rule "Work over fiber" decides: only fiber.`},
		{"02:00:00:00:77:01", "bank.example", "4: wifi; 6:",
			`Laptop reaches bank.example over wifi with IPv4 and not at all with IPv6. Ana's rule "My bank over WiFi" decides: only wifi.`},
		{"10.77.0.20", "copies.example", "4: fiber 70 wifi 30; 6: fiber",
			`Laptop reaches copies.example over fiber or wifi with IPv4 and over fiber with IPv6. Ana's rule "Copies where there is room" decides: balance of fiber 70 and wifi 30.`},
		// Sites that hash into a range of their own; where it is that of wifi, which has no IPv6, fiber stands in.
		{"tablet", "work.example", "4: fiber; 6: fiber", ""},
		{"tablet", "meet.jit.si", "4: fiber; 6: fiber",
			`Tablet reaches meet.jit.si (jitsi) over fiber. The house's rule "Calls are steady" decides: fiber, then wifi, then lte.`},
		{"tablet", "www.bet365.com", "4:", `Tablet may not reach www.bet365.com (bet365). The house's rule "No gambling" blocks the flow.`},
		{"router", "www.bet365.com", "4: fiber 70 wifi 30", `The router reaches www.bet365.com (bet365) over fiber or wifi. No rule chooses: any link, in the router's own order.`},
		{"laptop", "new.example", "6: fiber lent", ""},
		{"laptop", "10.77.0.21", "4: near", "Laptop reaches 10.77.0.21 inside the house: rules and links have no part in it."},
		{"laptop", "100.64.2.2", "4: near", "Laptop reaches 100.64.2.2 inside the house: rules and links have no part in it."},
		{"laptop", "[fd00:77::1]", "6: near", "Laptop reaches fd00:77::1 inside the house: rules and links have no part in it."},
		{"router", "fe80::1%lan0", "6: near", "The router reaches fe80::1 inside the house: rules and links have no part in it."},
	} {
		a := ask(t, h, engine.Question{Device: c.device, To: c.to})
		if got := links(a); got != c.links {
			t.Errorf("%s to %s: %s, want %s", c.device, c.to, got, c.links)
		}
		if c.sentence != "" && a.Sentence != c.sentence {
			t.Errorf("%s to %s:\n got %s\nwant %s", c.device, c.to, a.Sentence, c.sentence)
		}
	}
}

// A name with IPv4 addresses alone has one answer; one that nobody knows has one, too, and says so.
func TestWhyNamesOfOneFamily(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	a := ask(t, h, engine.Question{Device: "laptop", To: "old.example"})
	if len(a.Families) != 1 || a.Families[0].Family != hal.IPv4 || a.Families[0].Addr != netip.MustParseAddr("198.51.100.13") {
		t.Errorf("old.example: %+v, want IPv4 alone", a.Families)
	}
	a = ask(t, h, engine.Question{Device: "laptop", To: "nowhere.example"})
	if len(a.Families) != 1 || a.Families[0].Addr.IsValid() || !strings.Contains(a.Sentence, "No address of it is known now.") {
		t.Errorf("nowhere.example: %+v %q", a.Families, a.Sentence)
	}
}

// The links' state is in the answer: who stands in is lent, and a fixed rule's flow is refused.
func TestWhyWhenLinksAreOut(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	h.Cut(t, "fiber", true)
	a := ask(t, h, engine.Question{Device: "tablet", To: "meet.jit.si"})
	if got, want := links(a), "4: wifi lent; 6: lte lent"; got != want {
		t.Errorf("calls: %s, want %s", got, want)
	}
	want := `Tablet reaches meet.jit.si (jitsi) over wifi with IPv4 and over lte with IPv6. The house's rule "Calls are steady" decides: fiber, then wifi, then lte.`
	if a.Sentence != want {
		t.Errorf("got  %s\nwant %s", a.Sentence, want)
	}
	a = ask(t, h, engine.Question{Device: "laptop", To: "work.example"})
	if got, want := links(a), "4:; 6:"; got != want {
		t.Errorf("fixed: %s, want %s", got, want)
	}
	want = `Laptop cannot reach work.example: no link may carry it now. Ana's rule "Work over fiber" decides: only fiber.`
	if a.Sentence != want || a.Decision.Blocked {
		t.Errorf("got  %s (blocked %v)\nwant %s", a.Sentence, a.Decision.Blocked, want)
	}
	if got := h.Status().Sentence; got != "fiber is off. Everything else works." {
		t.Errorf("status: %q", got)
	}
	h.Cut(t, "fiber", false)
	if got := links(ask(t, h, engine.Question{Device: "tablet", To: "meet.jit.si"})); got != "4: fiber; 6: fiber" {
		t.Errorf("calls, fiber back: %s", got)
	}
}

// What a device's own packet named is known of the address from then on, on other ports, too.
func TestWhyKnowsAddressesByTheirNames(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	a := ask(t, h, engine.Question{Device: "laptop", To: "198.51.100.10"})
	if a.Target.Host != "" || a.Certain > classify.PortOnly || !strings.Contains(a.Known, "nothing is known but the port") {
		t.Errorf("before: %+v %q %d", a.Target, a.Known, a.Certain)
	}
	h.Machine.LogPacket(77, hal.PacketCopy{Mark: deviceMark(t, h, "laptop"), Packet: request(enginetest.Laptop, netip.MustParseAddr("198.51.100.10"), "work.example")})
	enginetest.Eventually(t, "the address to be known", func() bool {
		return ask(t, h, engine.Question{Device: "laptop", To: "198.51.100.10", Port: 80}).Target.Host == "work.example"
	})
	a = ask(t, h, engine.Question{Device: "laptop", To: "198.51.100.10", Port: 80})
	if got := links(a); got != "4: fiber" || a.Decision.Steer.Mode != policy.Fixed {
		t.Errorf("after: %s %+v", got, a.Decision.Steer)
	}
}

// What a flow speaks can be an application's alone; then others at that address and port are known by it, without any name.
func TestWhyKnowsServersByWhatTheySpeak(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	to := netip.MustParseAddrPort("198.51.100.77:51413")
	initiation := append([]byte{1, 0, 0, 0}, bytes.Repeat([]byte{0x5a, 0xc3, 0x17}, 48)...) // of WireGuard, 148 bytes
	h.Machine.LogPacket(77, hal.PacketCopy{Mark: deviceMark(t, h, "laptop"), Packet: capturetest.UDP(netip.AddrPortFrom(enginetest.Laptop, 50001), to, initiation)})
	enginetest.Eventually(t, "the tablet to profit", func() bool {
		a := ask(t, h, engine.Question{Device: "tablet", To: to.Addr().String(), Proto: flow.ProtoUDP, Port: to.Port()})
		return a.Target.App == "wireguard" && strings.Contains(a.Known, "spoke as only WireGuard")
	})
}

func deviceMark(t *testing.T, h *enginetest.House, id string) flow.Mark {
	t.Helper()
	for _, d := range h.Devices() {
		if d.ID == id {
			return d.Number.Mark()
		}
	}
	t.Fatalf("no device %s", id)
	return 0
}

// request is an IPv4 packet with the head of an HTTP request (RFC 791, RFC 9293, RFC 9112); nobody checks the sums.
func request(from, to netip.Addr, host string) []byte {
	head := "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	size := 40 + len(head)
	p := []byte{0x45, 0, byte(size >> 8), byte(size), 0, 1, 0, 0, 64, 6, 0, 0}
	p = append(append(p, from.AsSlice()...), to.AsSlice()...)
	p = append(p, 0xc0, 0x00, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0)
	return append(p, head...)
}

// Running flows that the question means are in the answer, others are not; the router is a device, too.
func TestWhyListsRunningFlows(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	laptop, fiber := deviceMark(t, h, "laptop"), flow.LinkID(1).Mark()
	connect := func(id uint32, mark flow.Mark, from, to string, proto flow.Proto) {
		key := flow.Key{Proto: proto, Src: netip.MustParseAddrPort(from), Dst: netip.MustParseAddrPort(to)}
		h.Machine.SetConnection(hal.Connection{ID: id, Orig: key, Reply: key.Reverse(), Mark: mark | fiber | flow.JudgedBit, Seen: true, Start: time.Now()})
	}
	connect(1, laptop, "10.77.0.20:50001", "198.51.100.10:443", flow.ProtoTCP)
	connect(2, laptop, "10.77.0.20:50002", "198.51.100.10:80", flow.ProtoTCP)
	connect(3, laptop, "10.77.0.20:50003", "198.51.100.10:443", flow.ProtoUDP)
	connect(4, deviceMark(t, h, "tablet"), "10.77.0.21:50004", "198.51.100.10:443", flow.ProtoTCP)
	connect(5, flow.RouterDevice.Mark(), "100.64.1.2:50005", "198.51.100.10:443", flow.ProtoTCP)
	enginetest.Eventually(t, "the flows to be seen", func() bool { return len(h.Flows(engine.FlowFilter{})) == 5 })
	for device, want := range map[string]uint32{"laptop": 1, "tablet": 4, "router": 5} {
		for _, to := range []string{"work.example", "198.51.100.10"} {
			a := ask(t, h, engine.Question{Device: device, To: to})
			if len(a.Running) != 1 || a.Running[0].ID != want || a.Running[0].Link != "fiber" {
				t.Errorf("%s to %s: %+v, want flow %d over fiber", device, to, a.Running, want)
			}
		}
	}
}

func TestWhyRefusesBadQuestions(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	for _, c := range []struct {
		device, to string
		want       error
		says       string
	}{
		{"toaster", "work.example", engine.ErrUnknownDevice, `"toaster"`},
		{"", "work.example", engine.ErrUnknownDevice, `""`},
		{"10.77.0.99", "work.example", engine.ErrUnknownDevice, "10.77.0.99"},
		{"laptop", "", engine.ErrBadQuestion, "neither a host name nor an address"},
		{"laptop", "not a name", engine.ErrBadQuestion, "not a name"},
		{"laptop", "300.1.1.1", engine.ErrBadQuestion, "300.1.1.1"},
		{"laptop", strings.Repeat("a.", 200) + "example", engine.ErrBadQuestion, "neither"},
	} {
		_, err := h.Why(t.Context(), engine.Question{Device: c.device, To: c.to})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q to %q: %v, want %v and %q", c.device, c.to, err, c.want, c.says)
		}
	}
}

// A moment that is asked about is the moment that schedules are judged by.
func TestWhyAtAnotherTime(t *testing.T) {
	const nights = `
time_zone: Europe/Madrid
devices: [{id: tablet, name: Tablet, macs: ["02:00:00:00:77:02"]}]
house:
  - {id: nights, name: Nights are quiet, force: must, when: ["22:00-06:00"], filter: {block: true}}
`
	h := enginetest.Start(t, nights, nil)
	got := map[string]bool{}
	for _, at := range []string{"2026-07-01T19:59:00Z", "2026-07-01T20:01:00Z", "2026-07-01T22:01:00+02:00", "2026-12-01T20:59:00Z", "2026-12-01T21:01:00Z"} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		a := ask(t, h, engine.Question{Device: "tablet", To: "old.example", At: when})
		got[at] = a.Decision.Blocked
		if !a.At.Equal(when) {
			t.Errorf("the answer is for %v, want %v", a.At, when)
		}
	}
	want := map[string]bool{"2026-07-01T19:59:00Z": false, "2026-07-01T20:01:00Z": true, "2026-07-01T22:01:00+02:00": true,
		"2026-12-01T20:59:00Z": false, "2026-12-01T21:01:00Z": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("blocked (-want +got):\n%s", diff)
	}
}
