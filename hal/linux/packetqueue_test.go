package linux

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/flow"
)

// afterQueue judges what the queue let pass: the mark that came with the verdict ends a flow.
const afterQueue = `table inet test {
	chain before {
		type filter hook output priority -10
		udp dport 7777 ct mark set ct mark & 0x80000000 | 0x40002001
		udp dport 7777 meta mark set ct mark
	}
	chain after {
		type filter hook output priority 10
		meta mark & 0x80000000 != 0 ct mark set meta mark
		ct mark & 0x80000000 != 0 accept
	}
}`

// holdPackets makes the kernel hold what goes to port 7777. A kernel without nft's statement may have the older target.
func holdPackets(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader("table inet hold {\n\tchain output {\n\t\ttype filter hook output priority 0\n\t\tudp dport 7777 queue flags bypass to 79\n\t}\n}\n")
	if nftSays, err := cmd.CombinedOutput(); err != nil {
		for _, program := range []string{"iptables", "ip6tables"} {
			out, err := exec.CommandContext(t.Context(), program, "-A", "OUTPUT", "-p", "udp", "--dport", "7777", "-j", "NFQUEUE", "--queue-num", "79", "--queue-bypass").CombinedOutput()
			if err != nil {
				t.Fatalf("this kernel holds no packets, by nft (%s) nor by %s: %v: %s", nftSays, program, err, out)
			}
		}
	}
}

// Packets wait for their verdict: they pass, are dropped, or pass with a mark that the chains behind see; and without a judge all pass.
func TestJudgePackets(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		nft(t, afterQueue)
		holdPackets(t)
		m := newMachine(t)
		for family, to := range map[hal.Family]string{hal.IPv4: "127.0.0.1:7777", hal.IPv6: "[::1]:7777"} {
			server, err := net.ListenPacket("udp", to)
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			arrives := func(c net.Conn, text string) bool {
				t.Helper()
				if _, err := c.Write([]byte(text)); err != nil && !errors.Is(err, unix.EPERM) {
					t.Fatal(err)
				}
				if err := server.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 100)
				n, _, err := server.ReadFrom(b)
				return err == nil && string(b[:n]) == text
			}
			ctx, stop := context.WithCancel(t.Context())
			over := make(chan error)
			var mu sync.Mutex
			var marks []flow.Mark
			go func() {
				over <- m.JudgePackets(ctx, 79, func(p hal.PacketCopy) hal.PacketVerdict {
					mu.Lock()
					marks = append(marks, p.Mark)
					mu.Unlock()
					switch {
					case strings.HasSuffix(string(p.Packet), "drop"):
						return hal.PacketVerdict{Drop: true}
					case strings.HasSuffix(string(p.Packet), "end"):
						return hal.PacketVerdict{Mark: flow.BlockedBit | p.Mark}
					}
					return hal.PacketVerdict{}
				})
			}()
			dial := func() net.Conn {
				c, err := net.Dial("udp", to)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				return c
			}
			c := dial()
			eventually(t, "a packet that is judged", func() bool {
				passed := arrives(c, "pass")
				mu.Lock()
				defer mu.Unlock()
				return passed && len(marks) > 0
			})
			if arrives(c, "drop") {
				t.Errorf("%v: a dropped packet arrives", family)
			}
			if !arrives(c, "pass") {
				t.Errorf("%v: a packet after a dropped one does not arrive", family)
			}
			ended := dial()
			if !arrives(ended, "end") { // the packet goes on to the chains behind, and the connection needs it to be known
				t.Errorf("%v: a packet that is marked does not go on", family)
			}
			if !arrives(c, "pass") {
				t.Errorf("%v: another flow does not go on", family)
			}
			found := 0
			if err := m.Connections(t.Context(), flow.BlockedBit, flow.BlockedBit, func(e hal.Connection) {
				if e.Orig.Src.String() == ended.LocalAddr().String() {
					found++
					if e.Mark != flow.BlockedBit|0x40002001 {
						t.Errorf("%v: the mark is %v", family, e.Mark)
					}
				}
			}); err != nil || found != 1 {
				t.Errorf("%v: %d connections are marked: %v", family, found, err)
			}
			if err := m.JudgePackets(t.Context(), 79, func(hal.PacketCopy) hal.PacketVerdict { return hal.PacketVerdict{} }); !errors.Is(err, hal.ErrExists) {
				t.Errorf("a second judge: %v, want hal.ErrExists", err)
			}
			stop()
			if err := <-over; !errors.Is(err, context.Canceled) {
				t.Errorf("JudgePackets returned %v", err)
			}
			if mu.Lock(); marks[0] != 0x40002001 {
				t.Errorf("%v: the packet's mark is %v", family, marks[0])
			}
			mu.Unlock()
			eventually(t, "a packet that nobody judges", func() bool { return arrives(dial(), "drop") })
		}
	})
}

func FuzzDecodeQueuedPacket(f *testing.F) {
	packet := make([]byte, 28)
	packet[0] = 0x45
	b := appendAttribute(netfilterRequest(2, 0, 79), nfqaPacketHeader, []byte{0, 0, 0, 7, 8, 0, 2})
	b = appendNet32(b, nfqaMark, 0x2000)
	whole := appendAttribute(b, nfqaPayload, packet)
	f.Add(whole)
	f.Add(appendAttribute(b, nfqaPayload, packet[:5]))
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, ok := decodeQueuedPacket(b); ok && !isIP(q.Packet) {
			t.Errorf("%d bytes of a packet", len(q.Packet))
		}
	})
	q, ok := decodeQueuedPacket(whole)
	if !ok || !q.numbered || q.id != 7 || q.Mark != 0x2000 || len(q.Packet) != 28 {
		f.Errorf("%+v %v", q, ok)
	}
}
