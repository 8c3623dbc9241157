package upstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/miekg/dns"
)

// messageType is the media type of a DNS message (RFC 8484 §6).
const messageType = "application/dns-message"

// A connection on which nothing was heard for pingAfter is tried, and closed when it does not answer within pingTime.
const (
	pingAfter = 2 * time.Second
	pingTime  = 2 * time.Second
)

// httpsPeer asks a DNS-over-HTTPS server by POST over HTTP/2, whose streams let many questions be under way at a time.
type httpsPeer struct {
	transport *http.Transport
	url       string
	base      context.Context
}

func newHTTPSPeer(c *Client, w way) *httpsPeer {
	// The server's own name in the URL is what it knows itself by; the connection always goes to the stated address.
	host := w.server.verified()
	if w.server.Name == "" && w.server.Addr.Addr().Is6() {
		host = "[" + host + "]"
	}
	if p := w.server.Addr.Port(); p != httpsPort {
		host = fmt.Sprintf("%s:%d", host, p)
	}
	only := new(http.Protocols)
	only.SetHTTP2(true)
	return &httpsPeer{
		base: c.base, url: "https://" + host + w.server.Path,
		transport: &http.Transport{
			DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx, w, "h2") },
			Protocols:      only, DisableCompression: true, IdleConnTimeout: idleTime, MaxResponseHeaderBytes: 16 << 10,
			HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTime, WriteByteTimeout: writeTime},
		},
	}
}

func (p *httpsPeer) close() { p.transport.CloseIdleConnections() }

func (p *httpsPeer) exchange(ctx context.Context, question []byte) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.base, cancel)()
	binary.BigEndian.PutUint16(question, 0) // RFC 8484 §4.1
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", messageType)
	req.Header.Set("Accept", messageType)
	req.Header.Set("User-Agent", "") // none: who asks is nobody's business
	resp, err := p.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered HTTP %d; check its path", resp.StatusCode)
	}
	kind := resp.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(kind); err != nil || media != messageType {
		return nil, fmt.Errorf("the server answered with %q, not with a DNS message; check its path", kind)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, dns.MaxMsgSize+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > dns.MaxMsgSize {
		return nil, fmt.Errorf("the server's answer is longer than a DNS message can be")
	}
	return raw, nil
}
