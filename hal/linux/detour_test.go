package linux

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
)

func detourFrom(devices ...string) hal.Detour {
	return hal.Detour{Device: hal.DownloadDevice, From: devices}
}

func setDetour(t *testing.T, m *Machine, d hal.Detour) {
	t.Helper()
	if err := m.SetDetour(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func wantDetour(t *testing.T, m *Machine, want hal.Detour) {
	t.Helper()
	got, err := m.Detour(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the detour that stands (-want +got):\n%s", diff)
	}
}

// downloadTree shapes the download device: a leaf of a device, and the link's default.
func downloadTree() hal.Shaping {
	s := smallTree(hal.FIFO)
	s.Device, s.Default = hal.DownloadDevice, 0
	return s
}

// forwardingHouse is a router between an internet side and a LAN, both real neighbours, that gives packets their class as the router's own rules do.
func forwardingHouse(t *testing.T) (internet, host *neighbour) {
	t.Helper()
	internet, host = newNeighbour(t, "up0", "far0"), newNeighbour(t, "lan0", "host0")
	run(t, "ip addr add 198.18.1.2/24 dev up0")
	run(t, "ip addr add 10.77.0.1/24 dev lan0")
	internet.Run("ip addr add 198.18.1.1/24 dev far0")
	internet.Run("ip route add 10.77.0.0/24 via 198.18.1.2")
	host.Run("ip addr add 10.77.0.2/24 dev host0")
	writeSysctl(t, "net/ipv4/ip_forward", "1")
	nft(t, `table inet test {
	map class {
		type mark : classid
		elements = { 0x2010 : 1:2010 }
	}
	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
		udp dport 7001 ct mark set 0x40002010
		udp dport 7002 ct mark set 0x40002020
		meta mark set ct mark
	}
	chain postrouting {
		type filter hook postrouting priority mangle; policy accept;
		meta priority set ct mark & 0xe000 map { 0x2000 : 1:2000, 0x4000 : 1:4000 }
		meta priority set ct mark & 0xffff map @class
	}
}
`)
	return internet, host
}

// send lets the internet side send packets to a port of the host, and waits until the host has them all.
func send(t *testing.T, internet, host *neighbour, port, packets int) {
	t.Helper()
	var in net.PacketConn
	var out net.Conn
	host.Do(func() (err error) {
		in, err = net.ListenPacket("udp", fmt.Sprintf("10.77.0.2:%d", port))
		return err
	})
	defer in.Close()
	internet.Do(func() (err error) {
		out, err = net.Dial("udp", fmt.Sprintf("10.77.0.2:%d", port))
		return err
	})
	defer out.Close()
	for range packets {
		if _, err := out.Write(make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for n := range packets {
		if _, _, err := in.ReadFrom(make([]byte, 1000)); err != nil {
			t.Fatalf("%d of %d packets came to port %d: %v", n, packets, port, err)
		}
	}
}

// A packet that is forwarded to a LAN host passes the class that postrouting chose, on the detour's device, and leaves with its mark by the device
// that it was meant for. One of a class that does not exist passes its link's default; one of no link is not shaped.
func TestDetourKeepsClass(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		internet, host := forwardingHouse(t)
		m := newMachine(t)
		setDetour(t, m, detourFrom("lan0"))
		setShaping(t, m, downloadTree())
		// Counts by mark what leaves at last.
		run(t, "tc qdisc add dev lan0 root handle 5: htb default 2")
		run(t, "tc class add dev lan0 parent 5: classid 5:1 htb rate 1gbit")
		run(t, "tc class add dev lan0 parent 5: classid 5:2 htb rate 1gbit")
		// By a program of the old packet filter's language, as tc-bpf(8) has it, since not every kernel has the classifier of marks: load the mark
		// (SKF_AD_OFF + SKF_AD_MARK), compare it with 0x40002010.
		program := filepath.Join(t.TempDir(), "mark.bpf")
		if err := os.WriteFile(program, []byte("4,32 0 0 4294963220,21 0 1 1073750032,6 0 0 4294967295,6 0 0 0"), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, "tc filter add dev lan0 parent 5: protocol ip bpf bytecode-file "+program+" flowid 5:1")
		counters := func() map[uint16]uint64 {
			t.Helper()
			all, err := m.ClassCounters(t.Context(), hal.DownloadDevice)
			if err != nil {
				t.Fatal(err)
			}
			return map[uint16]uint64{0x2010: all[0x2010].Packets, 0x2000: all[0x2000].Packets}
		}
		want := map[uint16]uint64{}
		for _, step := range []struct {
			port, packets int
			class         uint16
		}{{7001, 20, 0x2010}, {7002, 30, 0x2000}, {7003, 10, 0}} {
			send(t, internet, host, step.port, step.packets)
			if step.class != 0 {
				want[step.class] += uint64(step.packets)
			}
			if diff := cmp.Diff(want, counters(), cmpopts.IgnoreMapEntries(func(_ uint16, n uint64) bool { return n == 0 })); diff != "" {
				t.Errorf("after %d packets to port %d, by class (-want +got):\n%s", step.packets, step.port, diff)
			}
		}
		if marked := words(run(t, "tc -s class show dev lan0 classid 5:1")); !strings.Contains(marked, " 20 pkt ") {
			t.Errorf("packets that left with their mark, want 20:\n%s", marked)
		}
		// Without the detour packets go on, and nothing of it is left.
		setDetour(t, m, hal.Detour{})
		send(t, internet, host, 7001, 5)
		if left := run(t, "tc qdisc show dev lan0") + run(t, "ip link show"); strings.Contains(left, "clsact") || strings.Contains(left, hal.DownloadDevice) {
			t.Errorf("left over:\n%s", left)
		}
	})
}

// What another program does to the detour is seen and made right, and packets pass again.
func TestDetourHealing(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		internet, host := forwardingHouse(t)
		m := newMachine(t)
		want := detourFrom("lan0", "up0")
		for _, harm := range []struct {
			line string
			left hal.Detour
		}{
			{"ip link del " + hal.DownloadDevice, hal.Detour{From: want.From, Broken: true}},
			{"ip link set " + hal.DownloadDevice + " down", hal.Detour{Device: hal.DownloadDevice, From: want.From, Broken: true}},
			{"tc filter del dev lan0 egress pref 9000", detourFrom("up0")},
			{"tc qdisc del dev lan0 clsact", detourFrom("up0")},
			{"tc qdisc del dev up0 clsact", detourFrom("lan0")},
		} {
			setDetour(t, m, want)
			run(t, harm.line)
			wantDetour(t, m, harm.left)
			setDetour(t, m, want)
			wantDetour(t, m, want)
			send(t, internet, host, 7001, 3)
			// Removal goes through all the same.
			run(t, harm.line)
			setDetour(t, m, hal.Detour{})
			wantDetour(t, m, hal.Detour{})
			send(t, internet, host, 7001, 3)
		}
		// A device of that name which another program made anew: our filters lead to none.
		setDetour(t, m, want)
		run(t, "ip link del "+hal.DownloadDevice)
		run(t, "ip link add "+hal.DownloadDevice+" up type ifb")
		wantDetour(t, m, hal.Detour{Device: hal.DownloadDevice, From: want.From, Broken: true})
		setDetour(t, m, want)
		wantDetour(t, m, want)
		send(t, internet, host, 7001, 3)
	})
}

// Others' filters, ingress queues and devices stay as they are.
func TestDetourBesideOthers(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		makeDevices(t)
		m := newMachine(t)
		run(t, "tc qdisc add dev wan1 clsact")
		run(t, "tc filter add dev wan1 egress pref 7 protocol ip u32 match u32 0 0 flowid 1:1")
		run(t, "tc filter add dev wan1 ingress pref 9000 protocol ip u32 match u32 0 0 flowid 1:1")
		filters := func() string {
			return run(t, "tc filter show dev wan1 egress") + run(t, "tc filter show dev wan1 ingress")
		}
		before := filters()
		setDetour(t, m, detourFrom("wan1"))
		wantDetour(t, m, detourFrom("wan1"))
		setDetour(t, m, hal.Detour{})
		if diff := cmp.Diff(before, filters()); diff != "" {
			t.Errorf("another program's filters changed:\n%s", diff)
		}
		// An ingress queue stands where clsact must: refused, and what stood before stands again, the first device's part too.
		run(t, "tc qdisc add dev wan2 ingress")
		for _, standing := range []hal.Detour{{}, detourFrom("wan1")} {
			setDetour(t, m, standing)
			if err := m.SetDetour(t.Context(), detourFrom("wan1", "wan2")); !errors.Is(err, hal.ErrExists) || errors.Is(err, hal.ErrUnshaped) {
				t.Errorf("beside an ingress queue: %v, want one that is %q", err, hal.ErrExists)
			}
			wantDetour(t, m, standing)
		}
		// A broken detour that cannot be made right: packets go their direct way, and the error says so.
		run(t, "ip link del "+hal.DownloadDevice)
		if err := m.SetDetour(t.Context(), detourFrom("wan1", "wan2")); !errors.Is(err, hal.ErrExists) || !errors.Is(err, hal.ErrUnshaped) {
			t.Errorf("a broken one beside an ingress queue: %v, want one that is %q", err, hal.ErrUnshaped)
		}
		wantDetour(t, m, hal.Detour{})
		// A device of another kind with our device's name.
		run(t, "ip link add "+hal.DownloadDevice+" type veth peer name p0")
		if err := m.SetDetour(t.Context(), detourFrom("wan1")); !errors.Is(err, hal.ErrExists) {
			t.Errorf("with a veth of that name: %v, want one that is %q", err, hal.ErrExists)
		}
		setDetour(t, m, hal.Detour{})
		run(t, "ip link show "+hal.DownloadDevice)
	})
}

// The listing of `tc` shows what a hal.Detour says.
func TestTCShowsDetour(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		makeDevices(t)
		setDetour(t, newMachine(t), detourFrom("wan1"))
		filters := words(run(t, "tc filter show dev wan1 egress"))
		for _, want := range []string{"filter protocol all pref 9000 u32", "match 00000000/00000000 at 0", "mirred (Egress Redirect to device " + hal.DownloadDevice + ") stolen"} {
			if !strings.Contains(filters, want) {
				t.Errorf("tc does not show %q:\n%s", want, filters)
			}
		}
		if device := words(run(t, "ip link show "+hal.DownloadDevice)); !strings.Contains(device, ",UP") || !strings.Contains(device, "qlen 1000") {
			t.Errorf("the device is %s", device)
		}
	})
}
