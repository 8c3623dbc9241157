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

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
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
