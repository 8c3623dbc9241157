package bench

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/trenza-router/trenza/hal/haltest"
)

// machine is a network namespace that ends with the benchmark.
type machine struct {
	*haltest.Neighbour
	b *testing.B
}

func newMachine(b *testing.B) *machine {
	b.Helper()
	return &machine{haltest.NewNeighbour(b), b}
}

// cable joins two machines: device here, peer there, both up.
func (m *machine) cable(device string, to *machine, peer string) {
	m.b.Helper()
	m.Run(fmt.Sprintf("ip link add %s type veth peer name %s netns %d", device, peer, to.PID))
	m.Run("ip link set " + device + " up")
	to.Run("ip link set " + peer + " up")
}

// nft loads a ruleset.
func (m *machine) nft(text string) {
	m.b.Helper()
	c := m.Command("nft", "-f", "-")
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		m.b.Fatalf("nft: %v: %s", err, out)
	}
}

// sysctl sets a key below /proc/sys/net.
func (m *machine) sysctl(key, value string) {
	m.b.Helper()
	m.Do(func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0) })
}

// received counts the packets that arrived on a machine's devices.
func (m *machine) received(devices ...string) uint64 {
	m.b.Helper()
	var sum uint64
	m.Do(func() error {
		for _, d := range devices {
			l, err := netlink.LinkByName(d)
			if err != nil {
				return fmt.Errorf("reading the counters of %s: %w", d, err)
			}
			sum += l.Attrs().Statistics.RxPackets
		}
		return nil
	})
	return sum
}
