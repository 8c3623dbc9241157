package steer

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/flow"
)

func TestScale(t *testing.T) {
	for _, tt := range []struct{ h, mod, want uint32 }{
		{0, 100, 0}, {1 << 31, 100, 50}, {1<<32 - 1, 100, 99}, {1<<32 - 1, 1, 0}, {12345, 0, 0},
	} {
		if got := Scale(tt.h, tt.mod); got != tt.want {
			t.Errorf("Scale(%#x, %d) = %d, want %d", tt.h, tt.mod, got, tt.want)
		}
	}
}

// frame is an Ethernet frame from mac to dst, good enough for the prerouting hook of the far end of a veth pair.
func frame(mac flow.MAC, dst netip.Addr) []byte {
	b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac[:]...)
	if dst.Is6() {
		b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 64)
		b = append(b, netip.MustParseAddr("2001:db8::1").AsSlice()...)
		b = append(b, dst.AsSlice()...)
		return append(b, 0x30, 0x39, 0, 9, 0, 8, 0xbe, 0xef)
	}
	b = append(b, 0x08, 0x00)
	ip := []byte{0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2}
	ip = append(ip, dst.AsSlice()...)
	sum := uint32(0)
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	b = append(b, ip...)
	return append(b, 0x30, 0x39, 0, 9, 0, 8, 0, 0)
}

// The kernel itself says what it computes: a veth pair, frames sent raw into one end, and at the other end rules that put the hash of
// each kind of key into a set together with the device and the destination that it came from.
func TestKernelAgrees(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		run := func(stdin string, args ...string) string {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
			cmd.Stdin = strings.NewReader(stdin)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s\n%s", strings.Join(args, " "), err, out, stdin)
			}
			return string(out)
		}
		run("", "ip", "link", "add", "lan0", "type", "veth", "peer", "name", "host0")
		run("", "ip", "link", "set", "lan0", "up", "promisc", "on")
		run("", "ip", "link", "set", "host0", "up")

		rng := rand.New(rand.NewPCG(1, 2))
		type packet struct {
			mac   flow.MAC
			label flow.Label
			dst   netip.Addr
		}
		var packets []packet
		var labels strings.Builder
		for i := range 64 {
			p := packet{label: flow.MakeLabel(flow.NameClass(rng.Uint32()), rng.Uint32())}
			for j := range p.mac {
				p.mac[j] = byte(rng.Uint32())
			}
			p.mac[0] = p.mac[0]&^1 | 2
			p.dst = netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})
			if i%2 == 1 {
				b := netip.MustParseAddr("2001:db8:9::").As16()
				binary.BigEndian.PutUint64(b[8:], rng.Uint64())
				p.dst = netip.AddrFrom16(b)
			}
			packets = append(packets, p)
			fmt.Fprintf(&labels, "%s : %#x,\n", p.mac, uint32(p.label))
		}
		ruleset := `table inet t {
	map label { type ether_addr : mark; elements = { ` + strings.TrimSuffix(labels.String(), ",\n") + ` }
	}
	set host { type ether_addr . mark; size 1024; flags dynamic; }
	set site { type ether_addr . mark; size 1024; flags dynamic; }
	set addr { type ether_addr . mark; size 1024; flags dynamic; }
	chain c {
		type filter hook prerouting priority mangle;
		iifname != "lan0" return
		meta mark set jhash ether saddr mod SPACE seed SEED
		update @host { ether saddr . meta mark }
		meta mark set ether saddr map @label
		meta mark set meta mark & SITE
		meta mark set jhash ether saddr . meta mark mod SPACE seed SEED
		update @site { ether saddr . meta mark }
		meta nfproto ipv4 meta mark set jhash ether saddr . ip daddr mod SPACE seed SEED
		meta nfproto ipv6 meta mark set jhash ether saddr . ip6 daddr mod SPACE seed SEED
		update @addr { ether saddr . meta mark }
		drop
	}
}
`
		ruleset = strings.NewReplacer("SPACE", strconv.Itoa(Space), "SEED", fmt.Sprintf("%#x", HashSeed), "SITE", fmt.Sprintf("%#x", SiteMark)).Replace(ruleset)
		run(ruleset, "nft", "-f", "-")

		host, err := net.InterfaceByName("host0")
		if err != nil {
			t.Fatal(err)
		}
		fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		for _, p := range packets {
			if err := syscall.Sendto(fd, frame(p.mac, p.dst), 0, &syscall.SockaddrLinklayer{Ifindex: host.Index}); err != nil {
				t.Fatalf("send a frame: %v", err)
			}
		}

		got := map[string]string{}
		for _, set := range []string{"host", "site", "addr"} {
			for _, e := range strings.FieldsFunc(run("", "nft", "list", "set", "inet", "t", set), func(r rune) bool { return strings.ContainsRune("{},=\n", r) }) {
				if mac, mark, ok := strings.Cut(strings.TrimSpace(e), " . "); ok && len(mac) == 17 {
					got[set+" "+mac] = mark
				}
			}
		}
		c := Choice{Buckets: []Bucket{{1, Space / 2, false}, {2, Space / 2, false}}, Sticky: 1}
		for _, p := range packets {
			for set, key := range map[string][]byte{"host": HostKey(p.mac), "site": SiteKey(p.mac, p.label), "addr": AddrKey(p.mac, p.dst)} {
				want := fmt.Sprintf("0x%08x", c.Slot(key))
				if have := got[set+" "+p.mac.String()]; have != want {
					t.Errorf("%s of %+v: kernel %s, ours %s", set, p, have, want)
				}
			}
		}
	})
}
