//go:build vm

package hardware

import (
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/integration/vm/fixture/modem"
	"github.com/trenza-router/trenza/integration/vm/fixture/modem/at"
	"github.com/trenza-router/trenza/integration/vm/fixture/pppoe"
	"github.com/trenza-router/trenza/integration/vm/fixture/provider"
	"github.com/trenza-router/trenza/integration/vm/fixture/services"
	"github.com/trenza-router/trenza/webui/api"
)

// TestPPPoE: a session that the router dials carries TCP with full segments, which are as long as the session takes.
func TestPPPoE(t *testing.T) {
	services.Bus(t)
	services.Udev(t)
	services.NetworkManager(t)
	line := pppoe.New(t, pppoe.Options{Name: "dsl", Device: "dsl0", User: "house", Password: "secret", Gateway: addr("10.73.0.1"), First: addr("10.73.0.100")})
	h := newHouse(t, "house:\n  - {id: all, force: must, steer: {use: [dsl]}}\n", "name: dsl, hardware: {kind: ppp, parent: dsl0, user: house, password: secret}")
	t.Logf("the session is up after %s", h.await("dsl", usable))
	h.serves("dsl")

	// Segments of both directions, as the laptop's and the server's kernel agree on them in their SYNs.
	const most = pppoe.MTU - 20 - 20 // RFC 9293, 3.7.1
	listener, err := line.Provider().Namespace().Listen(t.Context(), "tcp", provider.Internet+":5001")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	sizes := make(chan int, 1)
	got := make(chan int64, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return // the test has ended
		}
		defer c.Close()
		sizes <- segment(t, c)
		n, _ := io.Copy(io.Discard, c) // how much came is what counts
		got <- n
	}()
	c, err := h.laptop.Dial(t.Context(), "tcp", provider.Internet+":5001")
	if err != nil {
		t.Fatal(err)
	}
	const size = 1 << 20
	if _, err := c.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if laptop := segment(t, c); laptop > most || laptop < most-20 {
		t.Errorf("the laptop's segments are of %d bytes, want %d at most", laptop, most)
	}
	c.Close()
	if server := <-sizes; server > most || server < most-20 {
		t.Errorf("the server's segments are of %d bytes, want %d at most", server, most)
	}
	if n := <-got; n != size {
		t.Errorf("%d bytes of %d came", n, size)
	}

	line.Stop()
	t.Logf("without its concentrator the link is out of use after %s", h.await("dsl", func(l api.Link) bool { return !l.Usable }))
	line.Start()
	t.Logf("back after %s", h.await("dsl", usable))
	h.serves("dsl")
}

// segment is the longest segment that a connection sends (tcp(7), TCP_MAXSEG).
func segment(t *testing.T, c net.Conn) (size int) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err == nil {
		var inner error
		err = raw.Control(func(fd uintptr) { size, inner = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG) })
		if err == nil {
			err = inner
		}
	}
	if err != nil {
		t.Errorf("asking for the segments' size: %v", err)
	}
	return size
}

// TestModem: a wrong PIN of the configuration is tried once; with the right one, given by hand, the modem carries what its rule says;
// pulled out and plugged in again it asks for the PIN anew.
func TestModem(t *testing.T) {
	services.Bus(t)
	services.Udev(t)
	services.ModemManager(t)
	m := modem.New(t, modem.Options{Name: "lte", Flavour: at.Huawei, PIN: "1234", Network: prefix("10.76.0.1/30")})
	h := newHouse(t, "house:\n  - {id: all, force: must, what: {services: [tcp/80]}, steer: {use: [lte, wire], mode: failover}}\n",
		`name: lte, role: backup, hardware: {kind: modem, apn: internet, pin: "0000"}`)
	m.Plug()
	t.Logf("the wrong PIN is told after %s", h.await("lte", func(l api.Link) bool { return strings.Contains(l.Reason, "2 attempts left") }))
	h.serves("wire")
	if n := m.AT().Tries(); n != 2 {
		t.Errorf("the card has %d tries left, want 2", n)
	}
	if out, err := h.ask("1234\n", "modem", "unlock", "lte"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("unlocked: in use after %s", h.await("lte", usable))
	h.serves("lte")

	m.Unplug()
	t.Logf("unplugged: no link after %s", h.await("lte", func(l api.Link) bool { return l.Device == "" && !l.Usable }))
	h.serves("wire")
}
