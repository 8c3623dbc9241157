package scenario

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/trenza-router/trenza/webui/api"
)

// Services of which nobody asks a name server: only their flows' hellos say what they are.
const (
	strictServer = "203.0.113.77:18443"
	looseServer  = "203.0.113.78:18443"
)

// call is what a server sees of one flow: the link at once, and later how it ended.
type call struct {
	link  string
	ended <-chan error
}

// answerCalls are servers that speak all the time to whoever calls them, until the flow ends. They tell of each flow as it begins.
func (h *house) answerCalls(t *testing.T, at ...string) (calls <-chan call) {
	t.Helper()
	out := make(chan call, 16)
	for _, at := range at {
		serve(t, h.Lab.Internet(), at, func(c net.Conn, seen netip.Addr) {
			ended := make(chan error, 1)
			out <- call{h.linkOf(seen), ended}
			ended <- speak(c)
		})
	}
	return out
}

// speak sends and takes words until the flow ends, and says how it did.
func speak(c net.Conn) error {
	buf := make([]byte, 64<<10)
	for {
		if _, err := c.Write([]byte("go on\n")); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			return err
		}
		if _, err := c.Read(buf); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// TestStrict: a flow of which only its own hello shows that a strict rule wants it elsewhere is reset at both ends, and its next try takes the rule's link
// from its first packet; a rule that is not strict lets it run where it is.
func TestStrict(t *testing.T) {
	h := newHouse(t, people+`
house:
  - {id: usual, force: default, steer: {use: [fiber]}}
  - {id: bank, force: must, what: {domains: [bank.example]}, steer: {use: [wifi], strict: true}}
  - {id: shop, force: must, what: {domains: [shop.example]}, steer: {use: [wifi]}}
`, lossless)
	calls := h.answerCalls(t, strictServer, looseServer)
	open := func(host, to, name string) net.Conn {
		t.Helper()
		var c net.Conn
		err := h.Lab.Host(host).Do(func() (err error) {
			c, err = net.DialTimeout("tcp", to, paced(10*time.Second))
			return err
		})
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Write(clientHello(name)(t)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	next := func() call {
		t.Helper()
		select {
		case got := <-calls:
			return got
		case <-time.After(paced(time.Minute)):
			t.Fatal("no flow comes to the server")
			return call{}
		}
	}
	isReset := func(err error) bool { return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) }
	end := func(c call) error {
		t.Helper()
		select {
		case err := <-c.ended:
			return err
		case <-time.After(paced(time.Minute)):
			t.Fatal("the flow does not end at the server")
			return nil
		}
	}

	first, seen := open("laptop", strictServer, "www.bank.example"), next()
	if err := speak(first); !isReset(err) {
		t.Errorf("the client's end: %v, want a reset", err)
	}
	if err := end(seen); seen.link != "fiber" || !isReset(err) {
		t.Errorf("the server's end: link %q, %v; want fiber and a reset", seen.link, err)
	}
	second, seen := open("laptop", strictServer, "www.bank.example"), next()
	if seen.link != "wifi" {
		t.Errorf("the next try runs over %q", seen.link)
	}
	if err := second.(*net.TCPConn).CloseWrite(); err != nil { // what is unread would make a reset of a whole close
		t.Fatal(err)
	}
	if err := end(seen); isReset(err) {
		t.Errorf("it was reset, too: %v", err)
	}
	loose, seen := open("phone", looseServer, "www.shop.example"), next()
	h.eventually("the name of the flow of a rule that is not strict", func() bool {
		r, err := h.api.ListFlowsWithResponse(t.Context(), &api.ListFlowsParams{})
		return err == nil && r.JSON200 != nil && slices.ContainsFunc(*r.JSON200, func(f api.Flow) bool { return f.Host == "www.shop.example" && f.Link == "fiber" })
	})
	if err := loose.(*net.TCPConn).CloseWrite(); err != nil { // what is unread would make a reset of a whole close
		t.Fatal(err)
	}
	if err := end(seen); seen.link != "fiber" || isReset(err) {
		t.Errorf("the flow of a rule that is not strict: link %q, %v", seen.link, err)
	}
}
