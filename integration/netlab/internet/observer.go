package internet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// Observer asks the recorder of a running internet, from any network namespace. It is safe for concurrent use.
type Observer struct{ http *http.Client }

// NewObserver returns an observer of the recorder socket at path. Close gives back its connections.
func NewObserver(path string) *Observer {
	return &Observer{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}}
}

// Close gives back idle connections.
func (o *Observer) Close() { o.http.CloseIdleConnections() }

// WaitReady returns when all servers listen and the CA file is written, or with ctx's error and why it was not ready.
func (o *Observer) WaitReady(ctx context.Context) error {
	for {
		err := o.do(ctx, http.MethodGet, "/ready", nil, nil)
		if err == nil {
			return nil
		}
		if stop := wire.Sleep(ctx, 10*time.Millisecond); stop != nil {
			return fmt.Errorf("the lab's internet is not ready: %w; last: %w", stop, err)
		}
	}
}

// Records returns the observations that a filter chooses.
func (o *Observer) Records(ctx context.Context, f Filter) (Page, error) {
	var p Page
	return p, o.do(ctx, http.MethodGet, "/records", f.values(), &p)
}

// Wait returns when a filter chooses at least n observations. When ctx ends first it returns what the last look found,
// and ctx's error.
func (o *Observer) Wait(ctx context.Context, f Filter, n int) (Page, error) {
	q := f.values()
	q.Set("wait", strconv.Itoa(n))
	q.Set("timeout", "2s")
	var last Page
	for {
		var p Page
		err := o.do(ctx, http.MethodGet, "/records", q, &p)
		var status statusError
		switch {
		case err == nil:
			return p, nil
		case ctx.Err() != nil:
			return last, fmt.Errorf("wait for %d records of %+v, have %d: %w", n, f, len(last.Records), ctx.Err())
		case !errors.As(err, &status) || status.code != http.StatusRequestTimeout:
			return last, err
		}
		last = p
	}
}

// Sources counts the chosen observations by seen source address.
func (o *Observer) Sources(ctx context.Context, f Filter) (map[netip.Addr]int, error) {
	out := make(map[netip.Addr]int)
	return out, o.do(ctx, http.MethodGet, "/sources", f.values(), &out)
}

// Reset forgets all observations.
func (o *Observer) Reset(ctx context.Context) error {
	return o.do(ctx, http.MethodDelete, "/records", nil, nil)
}

// ErrNoIperf3 says that the machine has no iperf3.
var ErrNoIperf3 = errors.New("no iperf3 on this machine: install the package iperf3")

// StartIperf3 starts `iperf3 -s` on an address and port and returns when it listens; ErrNoIperf3 without the binary.
func (o *Observer) StartIperf3(ctx context.Context, at netip.AddrPort) error {
	err := o.do(ctx, http.MethodPost, "/iperf3", url.Values{"listen": {at.String()}}, nil)
	var status statusError
	if errors.As(err, &status) && status.code == http.StatusNotImplemented {
		return ErrNoIperf3
	}
	return err
}

func (f Filter) values() url.Values {
	q := make(url.Values)
	for key, value := range map[string]string{"proto": f.Proto, "name": f.Name, "tag": f.Tag, "tag_prefix": f.TagPrefix} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.Remote.IsValid() {
		q.Set("remote", f.Remote.String())
	}
	if f.After > 0 {
		q.Set("after", strconv.FormatUint(f.After, 10))
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// statusError is an answer that is not a success.
type statusError struct {
	code int
	text string
}

func (e statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.text) }

// do asks and decodes the answer into out, which a 408 fills as well.
func (o *Observer) do(ctx context.Context, method, path string, q url.Values, out any) error {
	u := url.URL{Scheme: "http", Host: "recorder", Path: path, RawQuery: q.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return fmt.Errorf("recorder %s: %w", path, err)
	}
	resp, err := o.http.Do(req)
	if err != nil {
		return fmt.Errorf("recorder %s: %w", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("recorder %s: %w", path, err)
	}
	success := resp.StatusCode/100 == 2
	if out != nil && (success || resp.StatusCode == http.StatusRequestTimeout) {
		if err := json.Unmarshal(body, out); err != nil {
			return fmt.Errorf("recorder %s: %w", path, err)
		}
	}
	if !success {
		return fmt.Errorf("recorder %s: %w", path, statusError{resp.StatusCode, string(body)})
	}
	return nil
}
