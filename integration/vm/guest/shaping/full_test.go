//go:build vm

package shaping

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/integration/netlab"
	"github.com/trenza-router/trenza/integration/vm/fixture"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/qos"
)

const (
	slow       = 8_000_000 // bit/s that the modem sends
	echoPort   = 7
	sinkPort   = 9
	firstPhone = flow.DeviceID(2)
	laptop     = flow.DeviceID(1)
)

// TestFullLink: a modem with a megabyte of dumb buffer delays everything by all of it. Before it stands the class tree with real queues: the device that goes
// first feels next to nothing then, though others send as much as before.
func TestFullLink(t *testing.T) {
	fixture.Modules(t, "sch_htb", "sch_cake", "sch_netem")
	lan, modem, server := fixture.Namespace(t, "lan"), fixture.Namespace(t, "modem"), fixture.Namespace(t, "server")
	for _, c := range []struct {
		near, far string
		a, b      *netlab.Namespace
	}{{"lan0", "eth0", nil, lan}, {"wan0", "in0", nil, modem}, {"out0", "eth0", modem, server}} {
		fixture.IP(t, c.a, fmt.Sprintf("link add %s type veth peer name %s netns %s", c.near, c.far, c.b.Name()))
		if c.a == nil {
			t.Cleanup(func() { _ = exec.Command("ip", "link", "delete", c.near).Run() }) // it may have gone with its other end
		}
	}
	for _, a := range []struct {
		n          *netlab.Namespace
		device, to string
		more       string
	}{
		{nil, "lan0", "10.30.0.1/24", ""}, {lan, "eth0", "10.30.0.2/24", "route add default via 10.30.0.1"},
		{nil, "wan0", "10.70.0.2/24", "route add 10.80.0.0/24 via 10.70.0.1"}, {modem, "in0", "10.70.0.1/24", "route add 10.30.0.0/24 via 10.70.0.2"},
		{modem, "out0", "10.80.0.1/24", ""}, {server, "eth0", "10.80.0.2/24", "route add default via 10.80.0.1"},
	} {
		fixture.IP(t, a.n, "address add "+a.to+" dev "+a.device)
		fixture.IP(t, a.n, "link set "+a.device+" up")
		if a.more != "" {
			fixture.IP(t, a.n, a.more)
		}
	}
	for _, n := range []*netlab.Namespace{fixture.Here(t), modem} {
		fixture.Run(t, n.Command(t.Context(), "sysctl", "-qw", "net.ipv4.ip_forward=1"))
	}
	fixture.Run(t, modem.Command(t.Context(), "tc", "qdisc", "add", "dev", "out0", "root", "netem", "rate", fmt.Sprint(slow), "delay", "5ms", "limit", "700"))
	serve(t, server)
	bulk(t, lan)

	const patience = 3 * time.Minute
	plain := time.Duration(0)
	fixture.Eventually(t, patience, "a full buffer in the modem", func() bool {
		plain = echo(t, lan)
		return plain > 200*time.Millisecond
	})

	m, err := linux.New(linux.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tree := shape(t, m)
	// The modem's buffer drains at what the tree leaves free.
	fixture.Eventually(t, patience, "the buffer to drain", func() bool { return echo(t, lan) < plain/4 })
	before := count(t, m)
	var delays []time.Duration
	for range 40 {
		delays = append(delays, echo(t, lan))
	}
	slices.Sort(delays)
	shaped := delays[len(delays)/2]
	sent := uint64(0)
	for id, c := range count(t, m) {
		if flow.Mark(id).Device() == laptop {
			sent += c.Bytes - before[id].Bytes
		}
	}
	kinds := fixture.Run(t, exec.Command("tc", "qdisc", "show", "dev", "wan0"))
	t.Logf("a full link delays the first device by %v unshaped and %v shaped (%v at the 9th tenth), while others sent %d bytes\n%s", plain, shaped, delays[len(delays)*9/10], sent, kinds)
	if shaped > plain/3 {
		t.Errorf("the first device waits %v behind the tree and %v without it: want at most a third", shaped, plain)
	}
	if sent == 0 {
		t.Error("the others sent nothing meanwhile: the test measures nothing")
	}
	// A code point is no reason to go first: that is for rules to say.
	for _, want := range []string{"qdisc htb", "qdisc cake", "qdisc fq_codel", "besteffort"} {
		if !strings.Contains(kinds, want) {
			t.Errorf("no %q stands on the link, of %d classes", want, len(tree.Classes))
		}
	}
}

// shape puts the link's class tree in place and leads the phone's datagrams to its class, all else to the laptop's.
func shape(t *testing.T, m *linux.Machine) hal.Shaping {
	t.Helper()
	phone, bulk := qos.Class{Link: 1, Device: firstPhone, App: 1}, qos.Class{Link: 1, Device: laptop, App: 5}
	first := uint8(0)
	plan, err := qos.Build(qos.Input{
		Links:   []qos.Link{{ID: 1, Name: "line", Device: "wan0", Capacity: qos.Rates{Up: slow * 9 / 10, Down: slow}, Header: 14}},
		Devices: []flow.DeviceID{laptop, firstPhone},
		Terms:   []qos.Term{{Rule: "phone", Devices: []flow.DeviceID{firstPhone}, Priority: &first, Guarantee: qos.Rates{Up: slow / 8}}},
		Demands: []qos.Demand{{Class: bulk, Rates: qos.Rates{Up: slow}}, {Class: phone, Rates: qos.Rates{Up: slow / 100}}},
		Queues:  qos.Queues{Cake: true, FQCoDel: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	tree := plan.Up[0].Shaping("wan0", 14)
	if err := m.SetShaping(t.Context(), tree); err != nil {
		t.Fatal(err)
	}
	nft := exec.CommandContext(t.Context(), "nft", "-f", "-")
	nft.Stdin = strings.NewReader(fmt.Sprintf(`table ip shaping {
	chain classes {
		type filter hook postrouting priority mangle; policy accept;
		oifname "wan0" meta priority set %x:%x
		oifname "wan0" ip protocol udp meta priority set %x:%x
	}
}
`, hal.ShapingMajor, bulk.ID(), hal.ShapingMajor, phone.ID()))
	fixture.Run(t, nft)
	t.Cleanup(func() { _ = exec.Command("nft", "delete", "table", "ip", "shaping").Run() }) // the guest ends with its package
	return tree
}

func count(t *testing.T, m *linux.Machine) map[uint16]hal.ClassCounter {
	t.Helper()
	c, err := m.ClassCounters(t.Context(), "wan0")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve answers datagrams with themselves, and swallows streams.
func serve(t *testing.T, n *netlab.Namespace) {
	t.Helper()
	var datagrams net.PacketConn
	if err := n.Do(func() (err error) {
		datagrams, err = net.ListenPacket("udp4", fmt.Sprintf("10.80.0.2:%d", echoPort))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { datagrams.Close() })
	go func() {
		buf := make([]byte, 64)
		for {
			k, from, err := datagrams.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = datagrams.WriteTo(buf[:k], from) // one that is lost is sent again
		}
	}()
	streams, err := n.Listen(t.Context(), "tcp4", fmt.Sprintf("10.80.0.2:%d", sinkPort))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { streams.Close() })
	go func() {
		for {
			c, err := streams.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, c) }()
		}
	}()
}

// bulk lets the laptop send as much as it can over four connections, until the test ends.
func bulk(t *testing.T, n *netlab.Namespace) {
	t.Helper()
	for range 4 {
		c, err := n.Dial(t.Context(), "tcp4", fmt.Sprintf("10.80.0.2:%d", sinkPort))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			block := make([]byte, 64<<10)
			for {
				if _, err := c.Write(block); err != nil {
					return
				}
			}
		}()
	}
}

// echo is how long a datagram of the phone takes there and back. One that is lost is sent again by another socket.
func echo(t *testing.T, n *netlab.Namespace) time.Duration {
	t.Helper()
	for range 10 {
		if rtt, ok := echoOnce(t, n); ok {
			return rtt
		}
	}
	t.Fatal("no datagram comes back")
	return 0
}

func echoOnce(t *testing.T, n *netlab.Namespace) (time.Duration, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := n.Dial(ctx, "udp4", fmt.Sprintf("10.80.0.2:%d", echoPort))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	if err := c.SetDeadline(began.Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("echo")); err != nil {
		return 0, false
	}
	_, err = c.Read(make([]byte, 64))
	return time.Since(began), err == nil
}
