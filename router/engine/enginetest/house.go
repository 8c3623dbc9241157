package enginetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/store"
)

// ErrNoBonds is why a link of the house that is a bond has none: there is no relay in this world.
var ErrNoBonds = errors.New("this house can make no bond")

// Config is the house's configuration file.
const Config = `
lan: [{device: lan0}]
links:
  - {name: fiber, device: wan1, ipv4: {gateway: 100.64.1.1}, ipv6: {gateway: "fe80::1"}, weight: 70, rate: {down: 600mbit, up: 600mbit}, dns: [192.0.2.53], probes: {targets: ["icmp:192.0.2.1"]}}
  - {name: wifi, device: wan2, ipv4: {gateway: 100.64.2.1}, ipv6: off, weight: 30, dns: [192.0.2.53], probes: {targets: ["icmp:192.0.2.1"]}}
  - {name: lte, device: wan3, ipv4: {gateway: 100.64.3.1}, ipv6: {gateway: "fe80::3"}, role: backup, metered: true, quota: {limit: 20GB, reset_day: 1}, dns: [192.0.2.53], probes: {targets: ["icmp:192.0.2.1"]}}
leases: []
web: {listen: ""}
`

// Policy is what the house's family wants. The house itself balances; the rest are rules that tests ask about.
const Policy = `
people: [{id: ana, name: Ana}, {id: leo, name: Leo}]
devices:
  - {id: laptop, name: Laptop, macs: ["02:00:00:00:77:01"], owner: ana}
  - {id: tablet, name: Tablet, macs: ["02:00:00:00:77:02"], owner: leo}
house:
  - {id: calls, name: Calls are steady, force: must, what: {categories: [calls]}, steer: {use: [fiber, wifi, lte]}}
  - {id: no-gambling, name: No gambling, force: must, what: {domains: [bet365.com]}, filter: {block: true}}
  - {id: spread, name: The rest is spread, force: default, steer: {mode: balance, use: {fiber: 70, wifi: 30}, sticky: site}}
personal:
  ana:
    - {id: work, name: Work over fiber, what: {domains: [work.example]}, steer: {mode: fixed, use: [fiber]}}
    - {id: wifi-bank, name: My bank over WiFi, what: {domains: [bank.example]}, steer: {mode: fixed, use: [wifi]}}
    - {id: bulk, name: Copies where there is room, what: {domains: [copies.example]}, steer: {mode: balance, use: {fiber: 70, wifi: 30}, sticky: flow}}
`

// names are what the name server behind the links knows.
var names = map[string][]string{
	"work.example.":   {"198.51.100.10", "2001:db8:9::10"},
	"bank.example.":   {"198.51.100.11", "2001:db8:9::11"},
	"copies.example.": {"198.51.100.12", "2001:db8:9::12"},
	"old.example.":    {"198.51.100.13"}, // IPv4 alone
	"new.example.":    {"2001:db8:9::14"},
	"www.bet365.com.": {"198.51.100.15"},
	"meet.jit.si.":    {"198.51.100.16", "2001:db8:9::16"},
}

// Addresses and Ethernet addresses of the house's devices, which the policy names laptop and tablet.
var (
	Laptop    = netip.MustParseAddr("10.77.0.20")
	Tablet    = netip.MustParseAddr("10.77.0.21")
	LaptopMAC = flow.MAC{2, 0, 0, 0, 0x77, 1}
	TabletMAC = flow.MAC{2, 0, 0, 0, 0x77, 2}
)

// House is a running router and the machine under it.
type House struct {
	*engine.Engine
	Machine  *haltest.Fake
	Hardware *haltest.Hardware // nothing is plugged in at first
	LANSide  *haltest.LAN
	Store    *store.Store
	Metrics  *prometheus.Registry

	wans    map[string]hal.Interface // by link
	servers sync.Map                 // loopback addresses by port, of servers on the internet
}

// Answer leads connections over any link to a port, whatever the server's address, to a server on loopback.
func (h *House) Answer(port uint16, address string) { h.servers.Store(port, address) }

// Start runs a router with a policy until the test ends. It returns when a plan stands and all links that have a device are up. change, which may be
// nil, edits the configuration.
func Start(t testing.TB, policy string, change func(*config.Config)) *House {
	t.Helper()
	return StartOn(t, policy, change)
}

// StartOn is Start on a machine that can also do something that a router does not need.
func StartOn(t testing.TB, policy string, change func(*config.Config), features ...hal.Capability) *House {
	t.Helper()
	cfg, err := config.Parse("house.yaml", []byte(Config))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Resolver.Listen = []string{freePort(t)}
	cfg.State = t.TempDir()
	if change != nil {
		change(&cfg)
	}
	h := &House{Machine: haltest.New(), Hardware: &haltest.Hardware{}, Metrics: prometheus.NewRegistry(), wans: map[string]hal.Interface{}}
	h.Machine.Features = append(h.Machine.Features, features...)
	h.LANSide = &haltest.LAN{Machine: h.Machine}
	h.furnish(t)
	log := slog.New(slog.NewTextHandler(testLog{t: t, done: ended(t)}, nil))
	if h.Store, err = store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "trenza.db"), Log: log, Location: time.UTC}); err != nil {
		t.Fatal(err)
	}
	if policy != "" {
		if _, err := h.Store.SavePolicy(t.Context(), policy, "setup", ""); err != nil {
			t.Fatal(err)
		}
	}
	h.Engine, err = engine.New(t.Context(), engine.Options{
		Config: cfg, Machine: h.Machine, Hardware: h.Hardware, Ports: h.LANSide, Addresses: h.LANSide, Radios: h.LANSide, Store: h.Store, Log: log, Version: "test", Metrics: h.Metrics, Now: time.Now, Zone: time.UTC,
		Bonds: func(tunnel.Options) (engine.Bond, error) { return nil, ErrNoBonds },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	over := make(chan error, 1)
	go func() { over <- h.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-over; err != nil && !errors.Is(err, engine.ErrReconfigured) {
			t.Errorf("the router ended with: %v", err)
		}
		if err := h.Store.Close(); err != nil {
			t.Error(err)
		}
	})
	Eventually(t, "a plan and three links that are up", func() bool {
		st := h.Status()
		for _, l := range st.Links {
			bonded := slices.ContainsFunc(cfg.Links, func(c config.Link) bool { return c.ByRelay() && c.Name == l.Name })
			if l.State != "up" && l.Device != "" && !bonded {
				return false
			}
		}
		return st.Plan.Applied > 0 && st.Devices >= 2
	})
	return h
}

// furnish sets up the machine.
func (h *House) furnish(t testing.TB) {
	h.Machine.SetInterface(hal.Interface{Name: "lan0", Kind: "bridge", Up: true, Carrier: true, Addrs: haltest.Addresses("10.77.0.1/24", "fd00:77::1/64", "fe80::77/64")})
	for link, i := range map[string]hal.Interface{
		"fiber": {Name: "wan1", Addrs: haltest.Addresses("100.64.1.2/24", "2001:db8:1::2/64")},
		"wifi":  {Name: "wan2", Addrs: haltest.Addresses("100.64.2.2/24")},
		"lte":   {Name: "wan3", Addrs: haltest.Addresses("100.64.3.2/24", "2001:db8:3::2/64")},
	} {
		i.Kind, i.Up, i.Carrier = "device", true, true
		h.wans[link] = i
		h.Machine.SetInterface(i)
	}
	h.Machine.SetNeighbour(hal.Neighbour{Interface: "lan0", Addr: Laptop, MAC: LaptopMAC, State: hal.NeighbourReachable})
	h.Machine.SetNeighbour(hal.Neighbour{Interface: "lan0", Addr: Tablet, MAC: TabletMAC, State: hal.NeighbourReachable})
	h.Machine.OnPing = func(context.Context, hal.Via, netip.Addr) (time.Duration, error) { return 7 * time.Millisecond, nil }
	server := nameServer(t)
	h.Machine.OnDial = func(ctx context.Context, _ hal.Via, network string, to netip.AddrPort) (net.Conn, error) {
		var d net.Dialer
		if at, ok := h.servers.Load(to.Port()); ok {
			return d.DialContext(ctx, "tcp", at.(string))
		}
		if to.Port() != 53 {
			return nil, errors.New("nobody answers")
		}
		return d.DialContext(ctx, strings.TrimRight(network, "46"), server)
	}
}

// Cut takes a link's carrier away, or gives it back, and returns when the router has planned for it.
func (h *House) Cut(t testing.TB, link string, cut bool) {
	t.Helper()
	plans := h.Status().Plan.Applied
	i := h.wans[link]
	i.Carrier = !cut
	h.Machine.SetInterface(i)
	Eventually(t, "a plan for link "+link, func() bool {
		st := h.Status()
		for _, l := range st.Links {
			if l.Name == link && l.Usable == cut {
				return false
			}
		}
		return st.Plan.Applied > plans
	})
}

// nameServer answers for names over UDP and TCP on one loopback port.
func nameServer(t testing.TB) string {
	t.Helper()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		known, ok := names[strings.ToLower(q.Question[0].Name)]
		if !ok {
			m.Rcode = dns.RcodeNameError
		}
		for _, text := range known {
			head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}
			switch a := netip.MustParseAddr(text); {
			case a.Is4() && q.Question[0].Qtype == dns.TypeA:
				m.Answer = append(m.Answer, &dns.A{Hdr: head, A: a.AsSlice()})
			case a.Is6() && q.Question[0].Qtype == dns.TypeAAAA:
				head.Rrtype = dns.TypeAAAA
				m.Answer = append(m.Answer, &dns.AAAA{Hdr: head, AAAA: a.AsSlice()})
			}
		}
		_ = w.WriteMsg(m) // a client that went away asks again
	})
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: pc, Handler: handler}
	go func() { _ = server.ActivateAndServe() }() // ends with Shutdown
	t.Cleanup(func() { _ = server.Shutdown() })
	return pc.LocalAddr().String()
}

// freePort is a loopback address on which nobody listens, neither by TCP nor by UDP. It lies below the ports that the kernel gives to those who ask
// for any (ip_local_port_range), of whom other tests have many.
func freePort(t testing.TB) string {
	t.Helper()
	for range 50 {
		address := fmt.Sprintf("127.0.0.1:%d", 10000+rand.N(20000))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		pc, err := net.ListenPacket("udp", address)
		l.Close()
		if err == nil {
			pc.Close()
			return address
		}
	}
	t.Fatal("no port of 50 is free")
	return ""
}

// Eventually waits until a condition holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// testLog writes the router's log into the test's, which takes nothing once the test is over.
type testLog struct {
	t    testing.TB
	done *atomic.Bool
}

func ended(t testing.TB) *atomic.Bool {
	var m atomic.Bool
	t.Cleanup(func() { m.Store(true) })
	return &m
}

func (l testLog) Write(p []byte) (int, error) {
	if !l.done.Load() {
		l.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}
