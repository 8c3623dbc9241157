package plan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/policy/policytest"
	"github.com/trenza-router/trenza/router/steer"
)

// bench is a router in a network namespace: lan0, whose other end peer0 plays the household, and three WAN devices whose
// other ends take what they are sent and never answer.
type bench struct {
	machine *linux.Machine
	socket  int // a packet socket on peer0
	lanMAC  net.HardwareAddr

	mu     sync.Mutex
	copies map[netip.Addr]string // prefix of the verdict's copy by the flow's source
}

func run(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

func newBench(t *testing.T) *bench {
	t.Helper()
	for _, line := range []string{
		"ip link add lan0 type veth peer name peer0",
		"ip address add 10.77.0.1/16 dev lan0",
		"ip address add fd00:77::1/64 dev lan0 nodad",
		"ip link set lan0 up", "ip link set peer0 up",
	} {
		run(t, line)
	}
	for n := 1; n <= 3; n++ {
		run(t, fmt.Sprintf("ip link add wan%d arp off type veth peer name far%d", n, n))
		run(t, fmt.Sprintf("ip address add 198.18.%d.2/24 dev wan%d", n, n))
		run(t, fmt.Sprintf("ip address add 2001:db8:ff0%d::2/64 dev wan%d nodad", n, n))
		run(t, fmt.Sprintf("ip link set wan%d up", n))
		run(t, fmt.Sprintf("ip link set far%d up", n))
	}
	m, err := linux.New(linux.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{machine: m, copies: map[netip.Addr]string{}}
	lan, err := net.InterfaceByName("lan0")
	if err != nil {
		t.Fatal(err)
	}
	b.lanMAC = lan.HardwareAddr
	peer, err := net.InterfaceByName("peer0")
	if err != nil {
		t.Fatal(err)
	}
	if b.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		t.Fatalf("opening a packet socket: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(b.socket) })
	if err := unix.Bind(b.socket, &unix.SockaddrLinklayer{Ifindex: peer.Index}); err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{
		"nf_conntrack_checksum": "0", // the test's packets carry none of the upper layers
		// Flows that nobody answers stand longer than the test waits for the last word on any of them.
		"nf_conntrack_udp_timeout": "600", "nf_conntrack_icmp_timeout": "600", "nf_conntrack_icmpv6_timeout": "600",
		"nf_conntrack_sctp_timeout_cookie_wait": "600", "nf_conntrack_gre_timeout": "600",
	} {
		if err := m.SetSysctl("net/netfilter/"+key, value); err != nil {
			t.Fatal(err)
		}
	}
	b.watchVerdicts(t)
	return b
}

// watchVerdicts collects what the ruleset says of blocked and logged flows.
func (b *bench) watchVerdicts(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- b.machine.WatchPackets(ctx, VerdictGroup, func(c hal.PacketCopy) {
			b.mu.Lock()
			defer b.mu.Unlock()
			var src netip.Addr
			if c.Packet[0]>>4 == 4 {
				src = netip.AddrFrom4([4]byte(c.Packet[12:16]))
			} else {
				src = netip.AddrFrom16([16]byte(c.Packet[8:24]))
			}
			b.copies[src] = c.Prefix
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("watching copies: %v", err)
		}
	})
	// A copy that the kernel makes before anyone listens is gone, and its flow would never get its verdict.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		groups, err := os.ReadFile("/proc/net/netfilter/nfnetlink_log")
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(strings.Split(string(groups), "\n"), func(line string) bool {
			words := strings.Fields(line)
			return len(words) > 0 && words[0] == fmt.Sprint(VerdictGroup)
		}) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody listens to group %d:\n%s", VerdictGroup, groups)
		}
	}
}

// install writes a state without the help of router/apply, whatever stood before.
func (b *bench) install(ctx context.Context, s State) error {
	for _, c := range s.Sysctls {
		if err := b.machine.SetSysctl(c.Key, c.Value); err != nil {
			return err
		}
	}
	for _, r := range s.Rules {
		if err := b.machine.AddRule(ctx, r); err != nil && !errors.Is(err, hal.ErrExists) {
			return err
		}
	}
	for _, r := range s.Routes {
		if err := b.machine.ReplaceRoute(ctx, r); err != nil {
			return err
		}
	}
	return b.replace(ctx, s.Ruleset)
}

func (b *bench) replace(ctx context.Context, r Ruleset) error {
	o, err := b.machine.Objects(ctx)
	if err != nil {
		return err
	}
	return b.machine.Load(ctx, r.Replace(Standing{Chains: o.Chains, Sets: o.Sets, Maps: o.Maps}))
}

// first is a new flow's first packet as the household sends it.
type first struct {
	mac flow.MAC
	src netip.Addr
	to  policy.Target
}

// send puts the packet on the cable.
func (b *bench) send(p first) error {
	frame := append(slices.Clone(b.lanMAC), p.mac[:]...)
	payload := p.upper()
	if p.src.Is4() {
		frame = append(frame, 0x08, 0x00)
		h := make([]byte, 20)
		h[0], h[1], h[8], h[9] = 0x45, p.to.DSCP<<2, 64, byte(p.to.Proto)
		binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(payload)))
		copy(h[12:], p.src.AsSlice())
		copy(h[16:], p.to.Addr.AsSlice())
		sum := uint32(0)
		for i := 0; i < len(h); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(h[i:]))
		}
		binary.BigEndian.PutUint16(h[10:], ^uint16(sum+sum>>16))
		frame = append(frame, h...)
	} else {
		frame = append(frame, 0x86, 0xdd)
		h := make([]byte, 40)
		binary.BigEndian.PutUint32(h, 6<<28|uint32(p.to.DSCP)<<22)
		binary.BigEndian.PutUint16(h[4:], uint16(len(payload)))
		h[6], h[7] = byte(p.to.Proto), 64
		copy(h[8:], p.src.AsSlice())
		copy(h[24:], p.to.Addr.AsSlice())
		frame = append(frame, h...)
	}
	_, err := unix.Write(b.socket, append(frame, payload...))
	return err
}

// upper is the packet behind the IP header: what a connection of its protocol starts with.
func (p first) upper() []byte {
	b := make([]byte, 32)
	switch p.to.Proto {
	case flow.ProtoTCP:
		b = b[:20]
		b[12], b[13] = 5<<4, 0x02 // SYN
	case flow.ProtoUDP:
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	case flow.ProtoSCTP:
		b[12], b[15], b[19] = 1, 20, 7 // INIT chunk of 20 bytes
		b[25], b[27] = 1, 1            // a stream each way
	case flow.ProtoICMP:
		b[0], b[3] = 8, 187 // where a port would be: 443 is 0x01bb
		b[2] = 1
	case flow.ProtoICMPv6:
		b[0], b[3] = 128, 187
		b[2] = 1
	}
	if p.to.Proto.HasPorts() {
		binary.BigEndian.PutUint16(b, 40000)
		binary.BigEndian.PutUint16(b[2:], p.to.Port)
	}
	return b
}

// routable tells whether a kernel forwards packets to the address at all, and plans steer them.
func routable(a netip.Addr) bool {
	if a.Is6() {
		return netip.MustParsePrefix("2000::/3").Contains(a) && !netip.MustParsePrefix("2001:db8:ff00::/40").Contains(a)
	}
	return a.As4()[0] != 0 && a.As4()[0] < 224 && a.As4()[0] != 127
}

// TestRealKernelDecidesAsPolicy sends first packets of random flows through the kernel and reads the verdicts back from its
// connection table and from the copies that it logs.
func TestRealKernelDecidesAsPolicy(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		b := newBench(t)
		round := 0
		rapid.Check(t, func(rt *rapid.T) {
			w := drawWorld(rt, 8, 25)
			in := w.input()
			in.LAN[0].Nets[0] = netip.MustParsePrefix("10.77.0.0/16")
			s, err := Compile(in)
			if err != nil {
				rt.Fatalf("%v", err)
			}
			ctx := context.Background()
			if err := b.install(ctx, s); err != nil {
				rt.Fatalf("%v", err)
			}
			round++
			if err := b.machine.FlushConnections(ctx, flow.JudgedBit, flow.JudgedBit); err != nil {
				rt.Fatalf("%v", err)
			}
			flows := map[netip.Addr]first{}
			want := map[netip.Addr]outcome{}
			taken := map[string]bool{}
			for n, x := range w.targets {
				if !routable(x.Addr) {
					continue
				}
				device := rapid.IntRange(0, len(in.Devices)).Draw(rt, "device")
				mark, mac, subject := flow.Mark(0), flow.MAC{2, 0, 0, 0, 9, 9}, policy.Subject{}
				if device < len(in.Devices) {
					d := in.Devices[device]
					mark, mac, subject = d.Number.Mark(), d.MACs[0], w.policy.Subject(d.ID)
				}
				// The kernel knows one name for an address and a device; and behind one address of ours it cannot tell apart two
				// flows of a protocol without ports to the same far end.
				label, tunnel := fmt.Sprint(mark, x.Addr), fmt.Sprint(x.Proto, x.Addr)
				if taken[label] || !x.Proto.HasPorts() && taken[tunnel] {
					continue
				}
				taken[label], taken[tunnel] = true, true
				src := netip.AddrFrom4([4]byte{10, 77, byte(round%250 + 1), byte(n + 1)})
				set := MapNames4
				if x.Addr.Is6() {
					src = netip.MustParseAddr(fmt.Sprintf("fd00:77::%x:%x", round, n+1))
					set = MapNames6
				}
				e := hal.Element{Key: hal.ElementKey(uint32(mark), x.Addr), Value: uint32(flow.MakeLabel(w.classes[n], 5)), Timeout: time.Hour}
				if w.classes[n] == 0 {
					err = b.machine.DeleteElements(ctx, set, []hal.Element{e})
				} else {
					err = b.machine.SetElements(ctx, set, []hal.Element{e})
				}
				if err != nil {
					rt.Fatalf("%v", err)
				}
				flows[src] = first{mac: mac, src: src, to: x}
				want[src] = w.decided(subject, x)
			}
			for _, p := range flows {
				if err := b.send(p); err != nil {
					rt.Fatalf("sending: %v", err)
				}
			}
			b.compare(rt, s, flows, want)
		})
	})
}

// compare waits until the kernel has said what it does with every flow.
func (b *bench) compare(t *rapid.T, s State, flows map[netip.Addr]first, want map[netip.Addr]outcome) {
	for src, w := range want {
		for _, c := range s.Choices {
			resolved := c.V4
			if src.Is6() {
				resolved = c.V6
			}
			if steer.Key(c.Steer) == w.Steer && resolved.Refuse {
				// Nothing is logged, and the connection never stands: there is nothing to read back.
				delete(want, src)
			}
		}
	}
	deadline := time.Now().Add(time.Minute)
	again := time.Now().Add(time.Second)
	for {
		got := map[netip.Addr]outcome{}
		b.mu.Lock()
		for src := range want {
			switch b.copies[src] {
			case "refuse":
				got[src] = outcome{Blocked: true}
			case "drop":
				got[src] = outcome{Blocked: true, Silent: true}
			}
		}
		logged := map[netip.Addr]bool{}
		for src, prefix := range b.copies {
			logged[src] = prefix == "log"
		}
		b.mu.Unlock()
		var wrong error
		err := b.machine.Connections(context.Background(), 0, 0, func(c hal.Connection) {
			src := c.Orig.Src.Addr()
			if _, ok := want[src]; !ok {
				return
			}
			choice := s.Choices[c.Mark.Choice()]
			o := outcome{Log: logged[src], Class: c.Mark.App(), Steer: steer.Key(choice.Steer)}
			if _, twice := got[src]; twice {
				wrong = fmt.Errorf("flow %v is blocked and stands", flows[src])
			}
			got[src] = o
			if err := rightLink(choice, flows[src], c.Mark); err != nil {
				wrong = err
			}
		})
		if err != nil {
			t.Fatalf("%v", err)
		}
		diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }))
		if diff == "" && wrong == nil {
			return
		}
		if time.Now().After(deadline) {
			for src, w := range want {
				if got[src] != w {
					t.Logf("%+v", flows[src])
				}
			}
			t.Fatalf("policy.Decide (-), the kernel (+): %v\n%s", wrong, diff)
		}
		if time.Now().After(again) {
			// The kernel drops what comes in faster than it gets to it, before any chain has seen it; who hears nothing sends again.
			again = time.Now().Add(time.Second)
			for src := range want {
				if _, judged := got[src]; judged {
					continue
				}
				if err := b.send(flows[src]); err != nil {
					t.Fatalf("sending again: %v", err)
				}
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// rightLink checks the link bits of a judged flow against what the choice comes to.
func rightLink(c Choice, p first, m flow.Mark) error {
	resolved := c.V4
	if p.src.Is6() {
		resolved = c.V6
	}
	if resolved.Sticky == policy.StickyHost && len(resolved.Buckets) > 1 {
		if r, _ := resolved.At(resolved.Slot(steer.HostKey(p.mac))); r.Link != m.Link() || r.Lent != m.Lent() {
			return fmt.Errorf("flow %+v of %q took link %d, want %d", p, steer.Key(c.Steer), m.Link(), r.Link)
		}
		return nil
	}
	if !slices.ContainsFunc(resolved.Buckets, func(b steer.Bucket) bool { return b.Link == m.Link() && b.Lent == m.Lent() }) {
		return fmt.Errorf("flow %+v of %q took link %d (lent %v), none of %v", p, steer.Key(c.Steer), m.Link(), m.Lent(), resolved.Buckets)
	}
	return nil
}

// TestUpdateEqualsReplace: from any plan to any other, the update and the replacement lead to the same table, and an
// update to the same plan is empty.
func TestUpdateEqualsReplace(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		m, err := linux.New(linux.Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{machine: m}
		ctx := context.Background()
		print := func(rt *rapid.T) string {
			p, err := m.Fingerprint(ctx)
			if err != nil || p == "" {
				rt.Fatalf("fingerprint %q: %v", p, err)
			}
			return p
		}
		rapid.Check(t, func(rt *rapid.T) {
			from, to := drawRuleset(rt), drawRuleset(rt)
			if err := b.replace(ctx, to); err != nil {
				rt.Fatalf("%v", err)
			}
			want := print(rt)
			if err := b.replace(ctx, from); err != nil {
				rt.Fatalf("%v", err)
			}
			known := hal.Element{Key: hal.ElementKey(uint32(16), netip.MustParseAddr("192.0.2.1")), Value: 7, Timeout: time.Hour, Comment: "a.example"}
			if err := m.SetElements(ctx, MapNames4, []hal.Element{known}); err != nil {
				rt.Fatalf("%v", err)
			}
			update := to.Update(from)
			if err := m.Load(ctx, update); err != nil {
				rt.Fatalf("%v\n%s", err, update)
			}
			if got := print(rt); got != want {
				rt.Fatalf("the update leads elsewhere:\n%s", update)
			}
			if again := to.Update(to); again != "" {
				rt.Fatalf("nothing to do, and it says:\n%s", again)
			}
			kept, err := m.Elements(ctx, MapNames4)
			if err != nil || len(kept) != 1 || kept[0].Comment != "a.example" {
				rt.Fatalf("learned names after the update: %+v, %v", kept, err)
			}
		})
	})
}

func drawRuleset(t *rapid.T) Ruleset {
	in := drawWorld(t, 5, 10).input()
	in.Devices = in.Devices[:rapid.IntRange(0, len(policytest.Devices())).Draw(t, "devices")]
	if rapid.Bool().Draw(t, "fewer links") {
		in.Links = in.Links[:2]
	}
	in.Links[0].Usable = rapid.Bool().Draw(t, "usable")
	in.DNS = DNS{Redirect: rapid.Bool().Draw(t, "redirect"), Port: 53}
	if rapid.Bool().Draw(t, "forward") {
		in.Forwards = homeInputForwards()
	}
	if rapid.Bool().Draw(t, "prefixes") {
		in.Prefixes = []PrefixClass{{netip.MustParsePrefix("192.0.2.0/24"), 1}, {netip.MustParsePrefix("192.0.2.64/26"), 2}, {netip.MustParsePrefix("2001:db8::/48"), 2}}
	}
	s, err := Compile(in)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s.Ruleset
}

func homeInputForwards() []Forward {
	return []Forward{
		{Name: "camera", Proto: flow.ProtoTCP, Port: 8443, To: netip.MustParseAddrPort("10.77.0.20:443")},
		{Name: "game", Proto: flow.ProtoUDP, Port: 3074, To: netip.MustParseAddrPort("[fd00:77::20]:3074")},
	}
}

// TestLargePlans: the kernel takes every shape of large policy; the log says how long the way from policy to kernel was, the
// second time for a swap.
func TestLargePlans(t *testing.T) {
	for name, input := range bigRules() {
		t.Run(name, func(t *testing.T) {
			haltest.InNamespace(t, func(t *testing.T) {
				m, err := linux.New(linux.Options{})
				if err != nil {
					t.Fatal(err)
				}
				b := &bench{machine: m}
				in := input()
				for range 2 {
					started := time.Now()
					s, err := Compile(in)
					if err != nil {
						t.Fatal(err)
					}
					compiled := time.Since(started)
					if err := b.replace(t.Context(), s.Ruleset); err != nil {
						t.Fatal(err)
					}
					t.Logf("%s: compiled in %v, in the kernel after %v", name, compiled, time.Since(started))
				}
			})
		})
	}
}
