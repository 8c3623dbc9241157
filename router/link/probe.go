package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/hal"
)

// Result is what one probe found. Exactly one of OK, Captive and Err != nil holds.
type Result struct {
	Target  Target
	OK      bool
	Captive bool          // somebody answered in the server's place
	RTT     time.Duration // from the first packet to the answer; for HTTP of the whole exchange
	Err     error
}

var errCaptive = errors.New("somebody else answers")

// Prober asks targets over one link.
type Prober struct {
	Sockets hal.Sockets
	Via     hal.Via
}

// Probe asks one target and waits for the answer until the context ends.
func (p Prober) Probe(ctx context.Context, t Target) Result {
	start := time.Now()
	var err error
	rtt := time.Duration(0)
	switch t.Kind {
	case ICMP:
		rtt, err = p.Sockets.Ping(ctx, p.Via, t.Addr.Addr())
	case DNS:
		err = p.query(ctx, t)
	case TCP:
		err = p.connect(ctx, t)
	case HTTP:
		err = p.fetch(ctx, t)
	}
	if errors.Is(err, errCaptive) {
		return Result{Target: t, Captive: true, RTT: time.Since(start)}
	}
	if err != nil {
		return Result{Target: t, Err: fmt.Errorf("probe %s: %w", t, err)}
	}
	if rtt <= 0 {
		rtt = max(time.Since(start), 1)
	}
	return Result{Target: t, OK: true, RTT: rtt}
}

func network(base string, t Target) string {
	if t.v6() {
		return base + "6"
	}
	return base + "4"
}

// dial opens a connection that ends with the context.
func (p Prober) dial(ctx context.Context, base string, t Target) (net.Conn, error) {
	c, err := p.Sockets.Dial(ctx, p.Via, network(base, t), t.Addr)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

func (p Prober) connect(ctx context.Context, t Target) error {
	c, err := p.dial(ctx, "tcp", t)
	if err != nil {
		return err
	}
	return c.Close()
}

// query sends a question. Any answer to it proves the way there and back, even "no such name"; only a server that says that it
// failed itself is no proof, because a modem's own forwarder says so when the line behind it is dead.
func (p Prober) query(ctx context.Context, t Target) error {
	c, err := p.dial(ctx, "udp", t)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	q := new(dns.Msg)
	if t.Name == "" {
		q.SetQuestion(".", dns.TypeNS)
	} else {
		q.SetQuestion(dns.Fqdn(t.Name), dns.TypeA)
	}
	wire, err := q.Pack()
	if err != nil {
		return fmt.Errorf("write the query: %w", err)
	}
	if _, err := c.Write(wire); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		if ok, err := answers(buf[:n], q); ok || err != nil {
			return err
		}
	}
}

// answers tells whether a datagram is the answer to a query; anything else is somebody's noise and no reason to stop waiting.
func answers(wire []byte, q *dns.Msg) (bool, error) {
	var a dns.Msg
	if err := a.Unpack(wire); err != nil && !a.Truncated || a.Id != q.Id || !a.Response {
		return false, nil
	}
	if len(a.Question) > 0 && a.Question[0] != q.Question[0] {
		return false, nil
	}
	if a.Rcode == dns.RcodeServerFailure {
		return false, errors.New("the server says that it failed (SERVFAIL)")
	}
	return true, nil
}

const (
	maxHeader = 16 << 10 // bytes of an HTTP answer's head
	maxBody   = 4 << 10  // bytes of its content that are looked at
)

// fetch asks for a page whose answer is known. A redirect, "network authentication required" (RFC 6585 §6) or a page where another
// was due is a captive portal; an error of the server is just an error.
func (p Prober) fetch(ctx context.Context, t Target) error {
	transport := &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx, "tcp", t) },
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	defer transport.CloseIdleConnections()
	url := Target{Kind: HTTP, Addr: t.Addr, Path: t.Path}.String()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	if t.Name != "" {
		req.Host = t.Name
	}
	req.Header.Set("User-Agent", "trenza-probe")
	req.Header.Set("Cache-Control", "no-cache")
	res, err := transport.RoundTrip(req) // RoundTrip follows no redirect
	if err != nil {
		return err
	}
	defer res.Body.Close()
	want := http.StatusNoContent
	if t.Body != "" {
		want = http.StatusOK
	}
	switch s := res.StatusCode; {
	case s >= 300 && s < 400, s == http.StatusNetworkAuthenticationRequired, s < 300 && s != want:
		return errCaptive
	case s != want:
		return fmt.Errorf("the server answers %s", res.Status)
	}
	if t.Body == "" {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte(t.Body)) {
		return errCaptive
	}
	return nil
}
