package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

const maxBody = 64 << 10

// HTTP makes a request, and again as often as the job says until one is answered. An answer of any status is no error.
// A stream that was begun is not tried again: its outcome says how far it came.
func (c *Client) HTTP(ctx context.Context, job HTTP, progress func(Moved)) (HTTPAnswer, error) {
	job.Port = orDefault(job.Port, map[bool]uint16{false: 443, true: 80}[job.Plain])
	job.SNI = orDefault(job.SNI, job.Host)
	job.Path = orDefault(job.Path, "/")
	job.Method = orDefault(job.Method, http.MethodGet)
	job.Timeout = orDefault(job.Timeout, 10*time.Second)
	job.RetryDelay = orDefault(job.RetryDelay, 250*time.Millisecond)
	if err := job.check(); err != nil {
		return HTTPAnswer{}, err
	}
	begin := time.Now()
	var failed []Attempt
	for try := 0; ; try++ {
		start := time.Now()
		answer, err := c.attempt(ctx, job, progress)
		answer.Total = time.Since(begin)
		if err != nil {
			failed = append(failed, Attempt{At: start, Took: time.Since(start), Addr: answer.Addr, Error: err.Error(), Cause: CauseOf(err)})
		}
		answer.Failed = failed
		if err == nil || answer.Outcome != nil || try >= job.Retries || ctx.Err() != nil {
			return answer, err
		}
		if err := wire.Sleep(ctx, job.RetryDelay); err != nil {
			return answer, err
		}
	}
}

func (j HTTP) check() error {
	switch {
	case j.Proto != AnyHTTP && j.Proto != HTTP1 && j.Proto != HTTP2 && j.Proto != HTTP3:
		return badJob("HTTP version %q: want %q, %q, %q or nothing", j.Proto, HTTP1, HTTP2, HTTP3)
	case j.Plain && j.Proto != AnyHTTP && j.Proto != HTTP1:
		return badJob("plain HTTP is HTTP/1.1, not %s", j.Proto)
	case j.Stream != nil && j.Stream.Check() != nil:
		return badJob("stream: %v", j.Stream.Check())
	}
	return nil
}

// roundTripper is a connection that can carry one request, with what is known of it.
type roundTripper struct {
	http.RoundTripper
	remote, local netip.AddrPort
	dial, tls     time.Duration
	close         func()
}

// attempt makes one request on a new connection. It returns what it got to, also with an error.
func (c *Client) attempt(ctx context.Context, job HTTP, progress func(Moved)) (answer HTTPAnswer, err error) {
	// The timeout restarts with every byte of a stream.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(job.Timeout, func() { cancel(context.DeadlineExceeded) })
	defer silence.Stop()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			err = fmt.Errorf("nothing for %v: %w: %w", job.Timeout, context.DeadlineExceeded, err)
		}
	}()

	start := time.Now()
	addrs, err := c.addresses(ctx, job.Target)
	answer.ResolveTime = time.Since(start)
	if err != nil {
		return answer, err
	}
	rt, err := c.connect(ctx, job, addrs)
	answer.Addr, answer.Local, answer.DialTime, answer.TLSTime = rt.remote, rt.local, rt.dial, rt.tls
	if err != nil {
		return answer, err
	}
	defer rt.close()

	req, err := job.request(ctx)
	if err != nil {
		return answer, err
	}
	watched := meter(progress, func() { silence.Reset(job.Timeout) })
	if job.Stream != nil && job.Stream.Direction == wire.Up {
		r, w := io.Pipe()
		req.Body, req.ContentLength = r, -1
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, err := wire.Send(ctx, w, *job.Stream, watched)
			w.CloseWithError(err)
		}()
		defer func() { r.Close(); <-sent }() // no progress after the end
	}
	start = time.Now()
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return answer, fmt.Errorf("%s %s: %w", job.Method, req.URL, err)
	}
	defer resp.Body.Close()
	silence.Reset(job.Timeout)
	answer.AnswerTime = time.Since(start)
	answer.Status, answer.Proto = resp.StatusCode, map[int]string{1: HTTP1, 2: HTTP2, 3: HTTP3}[resp.ProtoMajor]
	answer.Head = make(map[string]string, len(resp.Header))
	for k := range resp.Header {
		answer.Head[k] = resp.Header.Get(k)
	}
	if job.Stream != nil && job.Stream.Direction == wire.Down && resp.StatusCode == http.StatusOK {
		_ = json.Unmarshal([]byte(resp.Header.Get(wire.SeenHeader)), &answer.Seen)
		out, err := wire.Receive(resp.Body, watched)
		answer.Outcome = &out
		return answer, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	answer.Body = string(body)
	if err != nil {
		return answer, fmt.Errorf("read the answer of %s: %w", req.URL, err)
	}
	var page wire.Answer
	if json.Unmarshal(body, &page) == nil {
		answer.Seen, answer.Outcome = page.Seen, page.Outcome
	} else if ap, err := netip.ParseAddrPort(resp.Header.Get(wire.SourceHeader)); err == nil {
		answer.Seen.Remote = ap
	}
	return answer, nil
}

func (j HTTP) request(ctx context.Context) (*http.Request, error) {
	u := url.URL{Scheme: "https", Host: orDefault(j.Host, j.SNI)}
	if u.Host == "" {
		u.Host = j.Addr.String()
	}
	if a, err := netip.ParseAddr(u.Host); err == nil && a.Is6() {
		u.Host = "[" + u.Host + "]"
	}
	standard := uint16(443)
	if j.Plain {
		u.Scheme, standard = "http", 80
	}
	if j.Port != standard {
		u.Host += ":" + strconv.Itoa(int(j.Port))
	}
	path, err := url.Parse(j.Path)
	if err != nil {
		return nil, badJob("path %q: %v", j.Path, err)
	}
	u.Path, u.RawQuery = path.Path, path.RawQuery
	method := j.Method
	if o := j.Stream; o != nil {
		u.Path, method = "/stream", http.MethodPost
		if o.Direction == wire.Down {
			method = http.MethodGet
			q := url.Values{}
			q.Set("bytes", strconv.FormatInt(o.Bytes, 10))
			q.Set("duration", o.Duration.String())
			q.Set("rate", strconv.FormatInt(o.Rate, 10))
			u.RawQuery = q.Encode()
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, badJob("request: %v", err)
	}
	tag := j.Tag
	if tag == "" && j.Stream != nil {
		tag = j.Stream.Tag
	}
	if tag != "" {
		req.Header.Set(wire.TagHeader, tag)
	}
	req.Header.Set("User-Agent", "trenza-lab/1")
	return req, nil
}

// connect opens the connection that the job asks for.
func (c *Client) connect(ctx context.Context, job HTTP, addrs []netip.Addr) (roundTripper, error) {
	if job.Proto == HTTP3 {
		return c.connectQUIC(ctx, job, addrs)
	}
	var conf *tls.Config
	if !job.Plain {
		var err error
		if conf, err = c.tlsConfig(job); err != nil {
			return roundTripper{}, err
		}
	}
	start := time.Now()
	conn, err := dialTCP(ctx, job.Target, addrs)
	rt := roundTripper{dial: time.Since(start)}
	if err != nil {
		rt.remote = netip.AddrPortFrom(addrs[0], job.Port)
		return rt, err
	}
	rt.remote, rt.local = addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr())
	tr := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	rt.close = func() { tr.CloseIdleConnections(); conn.Close() }
	rt.RoundTripper = tr
	if job.Plain {
		tr.Protocols.SetHTTP1(true)
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
		return rt, nil
	}
	conf.NextProtos = []string{HTTP2, HTTP1}
	if job.Proto != AnyHTTP {
		conf.NextProtos = []string{job.Proto}
	}
	secure := tls.Client(conn, conf)
	start = time.Now()
	err = secure.HandshakeContext(ctx)
	rt.tls = time.Since(start)
	if err != nil {
		conn.Close()
		return rt, fmt.Errorf("TLS handshake with %s for %s: %w", rt.remote, conf.ServerName, err)
	}
	if secure.ConnectionState().NegotiatedProtocol == HTTP2 {
		tr.Protocols.SetHTTP2(true)
	} else {
		tr.Protocols.SetHTTP1(true)
	}
	tr.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return secure, nil }
	return rt, nil
}

func (c *Client) connectQUIC(ctx context.Context, job HTTP, addrs []netip.Addr) (roundTripper, error) {
	conf, err := c.tlsConfig(job)
	if err != nil {
		return roundTripper{}, err
	}
	conf = http3.ConfigureTLSConfig(conf)
	type link struct {
		conn  *quic.Conn
		close func()
	}
	start := time.Now()
	l, err := race(ctx, addrs, func(ctx context.Context, a netip.Addr) (link, error) {
		udp, err := listenUDP(ctx, job.Target, a)
		if err != nil {
			return link{}, err
		}
		tr := &quic.Transport{Conn: udp}
		shut := func() { tr.Close(); udp.Close() }
		to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, job.Port))
		conn, err := tr.Dial(ctx, to, conf, &quic.Config{MaxIdleTimeout: job.Timeout, HandshakeIdleTimeout: job.Timeout})
		if err != nil {
			shut()
			return link{}, fmt.Errorf("QUIC handshake with %s for %s: %w", to, conf.ServerName, err)
		}
		return link{conn, func() { conn.CloseWithError(0, ""); shut() }}, nil
	}, func(l link) { l.close() })
	rt := roundTripper{dial: time.Since(start)}
	if err != nil {
		rt.remote = netip.AddrPortFrom(addrs[0], job.Port)
		return rt, err
	}
	rt.remote, rt.local = addrPort(l.conn.RemoteAddr()), addrPort(l.conn.LocalAddr())
	tr := &http3.Transport{DisableCompression: true}
	rt.RoundTripper = tr.NewClientConn(l.conn)
	rt.close = func() { tr.Close(); l.close() }
	return rt, nil
}

func (c *Client) tlsConfig(job HTTP) (*tls.Config, error) {
	ca, err := os.ReadFile(c.env.CA)
	if err != nil {
		return nil, fmt.Errorf("read the lab CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("read the lab CA: no certificate in %s", c.env.CA)
	}
	name := job.SNI
	if name == "" {
		name = job.Addr.String()
	}
	return &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12}, nil
}

// meter calls alive for each step of a stream and reports progress about every 250 ms.
func meter(progress func(Moved), alive func()) func(total int64) {
	start := time.Now()
	last := start
	return func(total int64) {
		alive()
		if now := time.Now(); progress != nil && now.Sub(last) >= 250*time.Millisecond {
			last = now
			progress(Moved{Bytes: total, Elapsed: now.Sub(start)})
		}
	}
}
