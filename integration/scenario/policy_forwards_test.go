package scenario

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab"
	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/emulator"
	"github.com/trenza-router/trenza/integration/netlab/home"
)

// The camera's addresses: the reserved one, and the one made of its Ethernet address (RFC 4291, appendix A).
const (
	cameraAddr4 = "10.77.0.20"
	cameraAddr6 = "fd00:77::4619:b6ff:fe00:7705"
)

// answerSize is how much the camera sends, in bytes: much more than all else that a link carries meanwhile.
const answerSize = 400_000

// TestPolicyForwards: a forwarded port works on every link and in both families. The device sees who calls, and its answers leave
// over the link that the call came in by, whatever the rules say about the device's own flows.
func TestPolicyForwards(t *testing.T) {
	h := newHouse(t, people+`
house:
  - {id: shut, force: must, who: {devices: [camera]}, filter: {mode: deny-all}}
  - {id: elsewhere, force: must, who: {devices: [camera]}, steer: {mode: fixed, use: [wifi]}}
  - {id: usual, force: default, steer: {mode: fixed, use: [fiber]}}
`, lossless, func(o *home.Options) {
		o.Config = fmt.Sprintf(`forwards:
  - {name: camera, proto: tcp, port: 8443, to: "%s:443"}
  - {name: camera6, proto: tcp, port: 8443, to: "[%s]:443"}
  - {name: camera-udp, proto: udp, port: 9999, to: "%s:9998"}
`, cameraAddr4, cameraAddr6, cameraAddr4)
	})
	camera := h.Lab.Host("camera")
	bigAnswers(t, camera.Namespace, ":443")
	echoUDP(t, camera.Namespace, cameraAddr4+":9998")
	h.goes(t, "camera", "www.ing.de", nil, "by itself")

	status := h.status()
	for _, l := range h.Lab.Links() {
		for _, s := range status.Links {
			if s.Name != l.Name {
				continue
			}
			for _, own := range []*string{s.Address4, s.Address6} {
				if own == nil {
					t.Errorf("link %s has not both addresses: %+v", l.Name, s)
					continue
				}
				t.Run(l.Name+" "+*own, func(t *testing.T) {
					p, err := netip.ParsePrefix(*own)
					if err != nil {
						t.Fatal(err)
					}
					from := h.Lab.Internet()
					if l.NAT4.IsValid() && p.Addr().Is4() {
						from = h.Lab.Provider(l.Name) // behind carrier NAT only the provider can call
					}
					h.calls(t, l.Name, from, netip.AddrPortFrom(p.Addr(), 8443))
					if p.Addr().Is4() {
						h.asks(t, from, netip.AddrPortFrom(p.Addr(), 9999))
					}
					// From inside, by the house's public address, too.
					got, err := h.Agent("laptop").Connect(t.Context(), client.Connect{Target: client.Target{Host: p.Addr().String(), Port: 8443}, Wait: paced(20 * time.Second)})
					if err != nil || !strings.HasPrefix(got.Received, "hello ") {
						t.Errorf("the laptop by the public address: %.60q, %v", got.Received, err)
					}
					// What is not forwarded is not reachable.
					if c, err := dialShortly(from, netip.AddrPortFrom(p.Addr(), 443)); err == nil {
						c.Close()
						t.Error("port 443, which is not forwarded, answers")
					}
				})
			}
		}
	}
}

// calls connects to a forwarded port and reads the camera's answer, all of which must go over the link.
func (h *house) calls(t *testing.T, link string, from *netlab.Namespace, to netip.AddrPort) {
	t.Helper()
	before := h.sentUp()
	c, err := from.Dial(t.Context(), "tcp", to.String())
	if err != nil {
		t.Errorf("calling %v: %v", to, err)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Errorf("calling %v: %v", to, err)
		return
	}
	own := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr()
	if got, err := readAddr(strings.TrimPrefix(line, "hello ")); err != nil || got != own {
		t.Errorf("the camera was called by %v and saw %q (%v)", own, line, err)
	}
	if n, err := io.Copy(io.Discard, r); err != nil || n != answerSize {
		t.Errorf("the camera's answer broke off after %d of %d bytes: %v", n, answerSize, err)
	}
	after := h.sentUp()
	for name := range after {
		sent := after[name] - before[name]
		if name == link && sent < answerSize || name != link && sent > answerSize/4 {
			t.Errorf("the answer to a call over %s sent %d bytes over %s", link, sent, name)
		}
	}
}

// sentUp counts the bytes that each link has carried out of the house.
func (h *house) sentUp() map[string]uint64 {
	out := map[string]uint64{}
	for _, l := range h.Lab.Links() {
		out[l.Name] = h.Lab.Link(l.Name).Counters(emulator.Up).SentBytes
	}
	return out
}

// asks sends datagrams to a forwarded port until one is answered.
func (h *house) asks(t *testing.T, from *netlab.Namespace, to netip.AddrPort) {
	t.Helper()
	c, err := from.Dial(t.Context(), "udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 64)
	for range 20 {
		_, _ = c.Write([]byte("anybody there?"))
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := c.Read(buf); err == nil {
			if string(buf[:n]) != "anybody there?" {
				t.Errorf("datagram to %v: answer %q", to, buf[:n])
			}
			return
		}
	}
	t.Errorf("no datagram to %v was answered", to)
}

// dialShortly tries a connection that is not expected.
func dialShortly(from *netlab.Namespace, to netip.AddrPort) (c net.Conn, err error) {
	err = from.Do(func() (err error) {
		c, err = net.DialTimeout("tcp", to.String(), paced(500*time.Millisecond))
		return err
	})
	return c, err
}

// bigAnswers greets each caller with the caller's address and much more, in a namespace of the lab.
func bigAnswers(t *testing.T, n *netlab.Namespace, at string) {
	t.Helper()
	serve(t, n, at, func(c net.Conn, seen netip.Addr) {
		_, _ = fmt.Fprintf(c, "hello %v\n%s", seen, strings.Repeat("x", answerSize))
	})
}

// echoUDP returns each datagram to its sender.
func echoUDP(t *testing.T, n *netlab.Namespace, at string) {
	t.Helper()
	var pc net.PacketConn
	err := n.Do(func() (err error) {
		pc, err = net.ListenPacket("udp", at)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(buf[:n], from)
		}
	}()
}
