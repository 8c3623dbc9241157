package page

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/backup"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/store"
	"github.com/trenza-router/trenza/webui/auth"
	"github.com/trenza-router/trenza/webui/server"
)

// What a large house has.
const (
	largeDevices = 250
	largeFlows   = 5000
	largeDays    = 365
	flowBytes    = 20_000 // that a flow moves each second
)

// TestLargeHouse measures the page in a house of 250 devices, 5,000 flows and a year of history, on a fake machine: `make measure-page`. How long screens take
// is for people to read; nothing is tested by it.
func TestLargeHouse(t *testing.T) {
	if os.Getenv("TRENZA_MEASURE") == "" {
		return
	}
	h := enginetest.Start(t, largePolicy(), nil)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range largeDevices {
		addr := netip.AddrFrom4([4]byte{10, 77, 0, byte(i + 2)})
		h.Machine.SetNeighbour(hal.Neighbour{Interface: "lan0", Addr: addr, MAC: largeMAC(i), State: hal.NeighbourReachable})
	}
	enginetest.Eventually(t, "the devices", func() bool { return len(h.Devices()) >= largeDevices })
	fillHistory(t, h, random)
	flows := makeFlows(h, random)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go keepMoving(ctx, h, flows)
	enginetest.Eventually(t, "the flows", func() bool { return h.Status().Flows >= largeFlows })

	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	users, err := auth.New(ctx, auth.Options{Store: h.Store, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.Setup(ctx, "Rosa", "three braided willow ropes"); err != nil {
		t.Fatal(err)
	}
	keeper := backup.New(backup.Options{Store: h.Store, State: t.TempDir(), Version: "test", Log: log, Now: time.Now, Restart: h.Reconfigure})
	s, err := server.New(server.Options{Engine: h.Engine, Store: h.Store, Auth: users, Backups: keeper, Metrics: h.Metrics, Log: log, Listen: at, Socket: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	run(ctx, t, app, []string{"PAGE=http://" + at, "LAB=none"}, "node", "e2e/large.mjs")
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
}

func largeMAC(i int) flow.MAC { return flow.MAC{2, 0, 0, 1, byte(i >> 8), byte(i)} }

// largePolicy has twelve people with twenty devices each, and as many rules as a careful family writes.
func largePolicy() string {
	var b strings.Builder
	b.WriteString("people:\n")
	for p := range 12 {
		fmt.Fprintf(&b, "  - {id: person%d, name: Person %d}\n", p, p)
	}
	b.WriteString("devices:\n")
	for d := range largeDevices - 10 {
		fmt.Fprintf(&b, "  - {id: device%d, name: Device %d, owner: person%d, macs: [%q]}\n", d, d, d%12, largeMAC(d))
	}
	b.WriteString("house:\n  - {id: calls, name: Calls are steady, force: must, what: {categories: [calls]}, steer: {use: [fiber, wifi, lte]}}\n")
	for r := range 40 {
		fmt.Fprintf(&b, "  - {id: house%d, name: House rule %d, force: must, who: {people: [person%d]}, what: {domains: [site%d.example]}, filter: {block: true}}\n", r, r, r%12, r)
	}
	b.WriteString("  - {id: spread, force: default, steer: {mode: balance, use: {fiber: 70, wifi: 30}, sticky: site}}\n")
	return b.String()
}

// fillHistory writes a year by the day: what ten applications of each device used, on two links.
func fillHistory(t *testing.T, h *enginetest.House, random *rand.Rand) {
	t.Helper()
	if err := h.Store.ReplaceHousehold(t.Context(), store.Household{Policy: largePolicy()}, store.Replacement{Author: "measure"}); err != nil {
		t.Fatal(err)
	}
	apps := []string{"youtube", "netflix", "whatsapp", "zoom", "spotify", "instagram", "tiktok", "steam", "wikipedia", "other"}
	today := time.Now().UTC().Truncate(24 * time.Hour)
	var days []store.Usage
	for d := 1; d <= largeDays; d++ {
		for _, v := range h.Devices() {
			for _, a := range apps[:2+random.IntN(3)] {
				n := uint64(random.IntN(1 << 30))
				days = append(days, store.Usage{At: today.AddDate(0, 0, -d), Device: v.ID, App: a, Link: []string{"fiber", "wifi"}[d%2],
					Traffic: store.Traffic{Up: n / 8, Down: n, PacketsUp: n / 8000, PacketsDown: n / 1000, Flows: n / 1e6}})
			}
		}
	}
	if err := h.Store.ConfirmHousehold(t.Context(), days); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d sums of days", len(days))
}

// makeFlows makes flows of all devices to many sites.
func makeFlows(h *enginetest.House, random *rand.Rand) []hal.Connection {
	devices := h.Devices()
	var out []hal.Connection
	for i := range largeFlows {
		d := devices[i%len(devices)]
		src := netip.AddrPortFrom(enginetest.Laptop, uint16(10_000+i))
		if len(d.Addrs) > 0 {
			src = netip.AddrPortFrom(d.Addrs[0], uint16(10_000+i))
		}
		dst := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i % 100), byte(1 + random.IntN(250))}), 443)
		key := flow.Key{Proto: flow.ProtoTCP, Src: src, Dst: dst}
		out = append(out, hal.Connection{ID: uint32(i + 1), Orig: key, Reply: key.Reverse(), Seen: true, Start: time.Now(),
			Mark: d.Number.Mark() | flow.LinkID(1+i%3).Mark() | flow.JudgedBit})
	}
	return out
}

// keepMoving lets every flow carry something each second.
func keepMoving(ctx context.Context, h *enginetest.House, flows []hal.Connection) {
	for tick := time.NewTicker(time.Second); ; {
		for i := range flows {
			c := &flows[i]
			n := uint64(flowBytes * (1 + i%7))
			c.ReplyBytes, c.ReplyPackets, c.OrigBytes, c.OrigPackets = c.ReplyBytes+n, c.ReplyPackets+n/1000, c.OrigBytes+n/8, c.OrigPackets+n/8000
			h.Machine.SetConnection(*c)
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}
