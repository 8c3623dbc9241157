//go:build images

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"
)

// patience is for a machine that is emulated beside other work: one that idles is healthy after a minute or two.
const patience = 12 * time.Minute

// A host of the household is this machine, at the other end of the emulated network.
type host struct {
	b      *board
	client *http.Client
	token  string
}

// newHost speaks to the router by name, as a browser of the household does.
func (b *board) newHost() *host {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	return &host{b: b, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true, // the machine loses its power now and then
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			port := b.http
			if strings.HasSuffix(address, ":443") {
				port = b.https
			}
			return dialer.DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
		},
	}}}
}

// do asks and returns the answer, which must have the status.
func (h *host) do(method, url, kind, body string, want int) ([]byte, error) {
	r, err := http.NewRequestWithContext(h.b.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", kind)
	if h.token != "" {
		r.Header.Set("Authorization", "Bearer "+h.token)
	}
	resp, err := h.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != want {
		return nil, fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, answer)
	}
	return answer, nil
}

const (
	plain  = "http://router.home.arpa"
	secure = "https://router.home.arpa"
)

// waitForPage waits until the router serves its page.
func (h *host) waitForPage() {
	h.b.t.Helper()
	h.b.wait(patience, "the page answers", func() error {
		page, err := h.do("GET", plain+"/", "", "", http.StatusOK)
		if err == nil && !bytes.Contains(page, []byte("<html")) {
			err = fmt.Errorf("this is not the page: %.200s", page)
		}
		return err
	})
}

// setUp makes the first admin, as the page does, and a token to work with from then on.
func (h *host) setUp() {
	h.b.t.Helper()
	must := func(answer []byte, err error) []byte {
		h.b.t.Helper()
		if err != nil {
			h.b.t.Fatal(err)
		}
		return answer
	}
	var authority struct{ Download string }
	// While the router loads its first rules, a connection may be cut.
	h.b.wait(patience, "the router tells its authority", func() error {
		answer, err := h.do("GET", plain+"/api/v1/certificate", "", "", http.StatusOK)
		if err == nil {
			err = json.Unmarshal(answer, &authority)
		}
		return err
	})
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(must(h.do("GET", plain+authority.Download, "", "", http.StatusOK))) {
		h.b.t.Fatal("the router's authority is none")
	}
	h.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
	must(h.do("GET", plain+"/api/v1/setup", "", "", http.StatusOK))
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.b.t.Fatal(err)
	}
	h.client.Jar = jar
	must(h.do("POST", plain+"/api/v1/setup/admin", "application/json", `{"name": "ana", "password": "four words of a song 42"}`, http.StatusOK))
	var fresh struct{ Secret string }
	answer := must(h.do("POST", secure+"/api/v1/tokens", "application/json", `{"name": "test", "scopes": ["read", "rules"]}`, http.StatusOK))
	if err := json.Unmarshal(answer, &fresh); err != nil || fresh.Secret == "" {
		h.b.t.Fatalf("making a token: %v", err)
	}
	h.client.Jar = nil
	h.token = fresh.Secret
}

// policy is the version in force.
func (h *host) policy() (version int64, text string, err error) {
	answer, err := h.do("GET", secure+"/api/v1/policy", "", "", http.StatusOK)
	if err != nil {
		return 0, "", err
	}
	var p struct {
		Version int64
		Text    string
	}
	err = json.Unmarshal(answer, &p)
	return p.Version, p.Text, err
}

// setPolicy replaces the policy by one that a number is recognised in.
func (h *host) setPolicy(number int) error {
	_, err := h.do("PUT", secure+"/api/v1/policy", "application/yaml", fmt.Sprintf("house:\n  - {id: rule-%d, force: must, what: {services: [tcp/%d]}, filter: {block: true}}\n", number, 10000+number), http.StatusOK)
	return err
}

func memoryInUse(t *testing.T, b *board) (mib int) {
	t.Helper()
	if _, err := fmt.Sscan(b.ask(`awk '/^MemTotal/ { t = $2 } /^MemAvailable/ { print int((t - $2) / 1024) }' /proc/meminfo`), &mib); err != nil {
		t.Fatal(err)
	}
	return mib
}
