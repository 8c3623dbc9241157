package loadtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// blockSize is the grain of what is sent; uploadSize what one request sends: many servers want to know before how much comes.
	blockSize  = 64 << 10
	uploadSize = 32 << 20
	// retries in a row that move nothing end a test; retryPause is between them.
	retries    = 3
	retryPause = 200 * time.Millisecond
	// dialTimeout bounds a connection's begin on a full link.
	dialTimeout = 10 * time.Second
)

// acceptPost is the header by which a server says that it takes uploads at an address (Linked Data Platform 1.0, section 7.1).
const acceptPost = "Accept-Post"

// transfers move bytes over connections that are tied to a link.
type transfers struct {
	o      Options
	http   *http.Client
	prefer netip.Addr // of the server, which has answered
	offers atomic.Bool
	block  []byte // that does not compress
}

func newTransfers(o Options) *transfers {
	t := &transfers{o: o, block: make([]byte, blockSize)}
	rand.Read(t.block)
	t.http = &http.Client{Transport: &http.Transport{
		DialContext: t.dial, DisableCompression: true, ForceAttemptHTTP2: false,
		// One connection for each stream: HTTP/2 would carry all of them in one.
		TLSNextProto:    map[string]func(string, *tls.Conn) http.RoundTripper{},
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: dialTimeout,
		MaxIdleConnsPerHost: o.Streams, IdleConnTimeout: dialTimeout,
	}}
	return t
}

func (t *transfers) close() { t.http.CloseIdleConnections() }

// port is the port of a URL.
func port(u *url.URL) uint16 {
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case err == nil:
		return uint16(n)
	case u.Scheme == "https":
		return 443
	}
	return 80
}

func (t *transfers) dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, err
	}
	addrs := []netip.Addr{t.prefer}
	if host != t.o.Server.Hostname() || !t.prefer.IsValid() {
		if addrs, err = t.o.Lookup(ctx, host); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	for _, a := range addrs {
		var c net.Conn
		if c, err = t.o.Sockets.Dial(ctx, t.o.Via, "tcp", netip.AddrPortFrom(a, uint16(number))); err == nil {
			return c, nil
		}
	}
	return nil, cmp.Or(err, ErrNoAnswer)
}

// uploadTo is where uploads go; nil: nowhere.
func (t *transfers) uploadTo() *url.URL {
	if t.o.Upload == nil && t.offers.Load() {
		return t.o.Server
	}
	return t.o.Upload
}

// again calls f until the context ends, or f fails several times in a row without having moved anything.
func again(ctx context.Context, f func() (moved int64, err error)) error {
	for failures := 0; ; {
		moved, err := f()
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the end of the phase cuts what is on its way
		case err == nil:
			failures = 0
			continue
		case moved > 0:
			failures = 0
		}
		if failures++; failures >= retries {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryPause):
		}
	}
}

// download gets the server's file again and again until the context ends.
func (t *transfers) download(ctx context.Context) error {
	return again(ctx, func() (int64, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.o.Server.String(), nil)
		if err != nil {
			return 0, err
		}
		answer, err := t.do(request)
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		if answer.Header.Get(acceptPost) != "" {
			t.offers.Store(true)
		}
		n, err := io.Copy(io.Discard, answer.Body)
		if n == 0 && err == nil {
			err = fmt.Errorf("there is nothing at this address to download")
		}
		return n, err
	})
}

// upload posts to the server again and again until the context ends.
func (t *transfers) upload(ctx context.Context) error {
	to := t.uploadTo()
	return again(ctx, func() (int64, error) {
		body := &source{block: t.block, left: uploadSize}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), body)
		if err != nil {
			return 0, err
		}
		request.ContentLength = uploadSize
		request.Header.Set("Content-Type", "application/octet-stream")
		answer, err := t.do(request)
		if err != nil {
			return uploadSize - body.left, err
		}
		defer answer.Body.Close()
		_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, blockSize))
		return uploadSize - body.left, err
	})
}

func (t *transfers) do(r *http.Request) (*http.Response, error) {
	r.Header.Set("User-Agent", "trenza")
	r.Header.Set("Cache-Control", "no-store")
	answer, err := t.http.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode/100 != 2 {
		answer.Body.Close()
		return nil, fmt.Errorf("the server answers %q", answer.Status)
	}
	return answer, nil
}

// source is a body of bytes that do not compress. One goroutine reads it at a time.
type source struct {
	block []byte
	left  int64
}

func (s *source) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, io.EOF
	}
	n, _ := bytes.NewReader(s.block).Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, nil
}
