package internet_test

import (
	"bufio"
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
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go/http3"

	"github.com/trenza-router/trenza/integration/netlab/internet"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

func pool(t *testing.T, cfg internet.Config) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(cfg.CA)
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(pem) {
		t.Fatal("the CA file has no certificate")
	}
	return p
}

// TestEveryNameOverTLS asks each name at each of its addresses, over HTTP/1.1, HTTP/2 and HTTP/3 in turn.
func TestEveryNameOverTLS(t *testing.T) {
	cfg, o := start(t, nil)
	roots := pool(t, cfg)
	asked := 0
	for i, n := range internet.Names() {
		for j, addr := range append(n.V4, n.V6...) {
			asked++
			proto := []string{"http/1.1", "h2", "h3"}[(i+j)%3]
			tag := fmt.Sprintf("all-%d-%d", i, j)
			req, _ := http.NewRequestWithContext(within(t), http.MethodGet, "https://"+n.Host+"/some/path", nil)
			req.Header.Set(wire.TagHeader, tag)
			got, version := overTLS(t, roots, proto, netip.AddrPortFrom(addr, 443), req)
			if got.Proto != proto || got.Name != n.Host || got.SNI != n.Host || got.ALPN != proto || got.TLS != "TLS 1.3" ||
				got.Local != netip.AddrPortFrom(addr, 443) || got.Remote.Addr() != addr || got.Tag != tag || got.Detail != "GET /some/path" {
				t.Errorf("%s at %s over %s (%s): the server saw %+v", n.Host, addr, proto, version, got)
			}
			page, err := o.Records(within(t), internet.Filter{Tag: tag})
			if err != nil || len(page.Records) != 1 || page.Records[0].Seq != got.Seq || page.Records[0].Remote != got.Remote {
				t.Errorf("%s: recorded %+v, %v; answered %+v", tag, page.Records, err, got)
			}
		}
	}
	handshakes, err := o.Records(within(t), internet.Filter{Proto: wire.ProtoTLS})
	if err != nil || len(handshakes.Records) < asked/2 {
		t.Errorf("%d TLS handshakes recorded of %d requests, %v", len(handshakes.Records), asked, err)
	}
	for _, s := range handshakes.Records {
		if s.SNI == "" || s.ALPN == "" || s.TLS != "TLS 1.3" {
			t.Fatalf("handshake recorded as %+v", s)
		}
	}
}

func overTLS(t *testing.T, roots *x509.CertPool, proto string, to netip.AddrPort, req *http.Request) (wire.Seen, string) {
	t.Helper()
	var rt http.RoundTripper
	if proto == "h3" {
		h3 := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: req.URL.Hostname()}}
		defer h3.Close()
		host := req.URL.Host
		req.URL.Host, req.Host = to.String(), host
		rt = h3
	} else {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, NextProtos: []string{proto}}, Protocols: new(http.Protocols),
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", to.String())
			}}
		defer tr.CloseIdleConnections()
		tr.Protocols.SetHTTP1(proto == "http/1.1")
		tr.Protocols.SetHTTP2(proto == "h2")
		rt = tr
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s at %s over %s: %v", req.Host, to, proto, err)
	}
	defer resp.Body.Close()
	var answer wire.Answer
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if h := resp.Header.Get(wire.SourceHeader); h != answer.Remote.String() {
		t.Errorf("header says %q, body %s", h, answer.Remote)
	}
	return answer.Seen, resp.Proto
}

func TestTLSRefusals(t *testing.T) {
	cfg, _ := start(t, nil)
	roots := pool(t, cfg)
	try := func(c *tls.Config) error {
		conn, err := (&tls.Dialer{Config: c}).DialContext(within(t), "tcp", "198.51.100.10:443")
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := try(&tls.Config{RootCAs: roots, ServerName: "www.google.com"}); err != nil {
		t.Errorf("known name: %v", err)
	}
	if err := try(&tls.Config{RootCAs: roots, ServerName: "not.in.the.table"}); err == nil {
		t.Error("a certificate for a name that is not in the table")
	}
	if err := try(&tls.Config{RootCAs: roots, ServerName: "www.google.com", MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 accepted")
	}
	if err := try(&tls.Config{ServerName: "www.google.com"}); err == nil {
		t.Error("the machine trusts the lab CA")
	}
	if err := try(&tls.Config{RootCAs: roots, ServerName: "198.51.100.10"}); err != nil { // no SNI for an address
		t.Errorf("by address: %v", err)
	}
}

func TestPlainHTTP(t *testing.T) {
	_, o := start(t, nil)
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	for _, c := range []struct {
		path, want string
		status     int
	}{
		{"/generate_204?tag=plain", "", 204},
		{"/hotspot-detect.html?tag=plain", "Success", 200},
		{"/connecttest.txt?tag=plain", "Microsoft Connect Test", 200},
		{"/?tag=plain", `"remote":"198.51.100.11:`, 200},
		{"/stream?bytes=-1", "bytes", 400},
		{"/stream", "neither bytes nor duration", 400},
	} {
		req, _ := http.NewRequestWithContext(within(t), http.MethodGet, "http://198.51.100.11"+c.path, nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || !strings.Contains(string(body), c.want) {
			t.Errorf("%s: %d %q, want %d %q", c.path, resp.StatusCode, body, c.status, c.want)
		}
	}
	page, err := o.Records(within(t), internet.Filter{Proto: wire.ProtoHTTP1, Tag: "plain"})
	if err != nil || len(page.Records) != 4 {
		t.Errorf("recorded %+v, %v; want 4", page.Records, err)
	}
}

func TestDNSServers(t *testing.T) {
	many := internet.Name{Host: "many.example", TTL: 60}
	for i := range 40 {
		many.V6 = append(many.V6, netip.MustParseAddr(fmt.Sprintf("2001:db8:100:ffff::%x", i+1)))
	}
	_, o := start(t, func(c *internet.Config) { c.Names = append(internet.Names(), many) })
	for _, network := range []string{"udp", "tcp"} {
		for _, server := range []string{internet.Resolver4, internet.Resolver6} {
			m := new(dns.Msg).SetQuestion("YouTube.com.", dns.TypeAAAA)
			got, _, err := (&dns.Client{Net: network}).ExchangeContext(within(t), m, net.JoinHostPort(server, "53"))
			if err != nil || len(got.Answer) != 1 || got.Answer[0].Header().Name != "YouTube.com." {
				t.Fatalf("%s %s: %v, %v", network, server, got, err)
			}
			page, err := o.Wait(within(t), internet.Filter{Proto: "dns-" + network, Name: "youtube.com", Tag: "AAAA",
				Remote: netip.MustParseAddr(server)}, 1)
			if err != nil || page.Records[0].Local.Addr() != netip.MustParseAddr(server) {
				t.Errorf("%s %s: recorded %+v, %v", network, server, page.Records, err)
			}
		}
	}
	// Without EDNS an answer over UDP is cut at 512 bytes (RFC 1035, section 4.2.1), and whole over TCP.
	m := new(dns.Msg).SetQuestion("many.example.", dns.TypeAAAA)
	cut, _, err := (&dns.Client{}).ExchangeContext(within(t), m, internet.Resolver4+":53")
	if err != nil || !cut.Truncated {
		t.Errorf("over UDP: %v, %v", cut, err)
	}
	whole, _, err := (&dns.Client{Net: "tcp"}).ExchangeContext(within(t), m, internet.Resolver4+":53")
	if err != nil || whole.Truncated || len(whole.Answer) != 40 {
		t.Errorf("over TCP: truncated %v, %d records, %v", whole.Truncated, len(whole.Answer), err)
	}
}

func TestUDPEchoForStrangers(t *testing.T) {
	_, o := start(t, nil)
	for _, to := range []string{"203.0.113.14:7", "[2001:db8:100:10::14]:3478"} {
		conn, err := net.Dial("udp", to)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 200)
		n, err := conn.Read(buf) // a connected socket: the answer came from the address that was asked
		if want := fmt.Sprintf("seen %s\nhello", conn.LocalAddr()); err != nil || string(buf[:n]) != want {
			t.Errorf("%s: %q, %v; want %q", to, buf[:n], err, want)
		}
	}
	page, err := o.Records(within(t), internet.Filter{Proto: wire.ProtoUDPEcho})
	if err != nil || len(page.Records) != 2 || page.Records[0].Local.String() != "203.0.113.14:7" {
		t.Errorf("recorded %+v, %v", page.Records, err)
	}
}

func TestGreeting(t *testing.T) {
	_, o := start(t, nil)
	conn, err := net.Dial("tcp", "192.0.2.41:5222")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(conn)
	var seen wire.Seen
	if err := wire.ReadLine(r, &seen); err != nil || seen.Remote.String() != conn.LocalAddr().String() {
		t.Errorf("greeting %+v, %v; want %s", seen, err, conn.LocalAddr())
	}
	fmt.Fprint(conn, "my tag\nand more")
	echo := make([]byte, len("my tag\nand more"))
	if _, err := io.ReadFull(r, echo); err != nil || string(echo) != "my tag\nand more" {
		t.Errorf("echo %q, %v", echo, err)
	}
	if page, err := o.Wait(within(t), internet.Filter{Tag: "my tag"}, 1); err != nil || page.Records[0].Remote != seen.Remote {
		t.Errorf("recorded %+v, %v", page, err)
	}
}

func TestIperf3(t *testing.T) {
	_, o := start(t, nil)
	// An address of lo itself: iperf3's UDP does not work with an alias there.
	at := netip.MustParseAddrPort("127.0.0.1:5201")
	err := o.StartIperf3(within(t), at)
	if _, missing := exec.LookPath("iperf3"); missing != nil {
		if !errors.Is(err, internet.ErrNoIperf3) {
			t.Errorf("without the binary: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := o.StartIperf3(within(t), at); err != nil {
		t.Errorf("asked again: %v", err)
	}
	out, err := exec.CommandContext(within(t), "iperf3", "-c", "127.0.0.1", "-n", "1M", "-J").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "sum_received") {
		t.Errorf("iperf3: %v\n%s", err, out)
	}
}

func TestRunFailsCleanly(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	cfg := internet.Config{CA: dir + "/ca.pem", Socket: dir + "/s", Listen: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	if err := internet.Run(within(t), cfg); err == nil || !strings.Contains(err.Error(), "127.0.0.1:8080") {
		t.Errorf("port in use: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	for want, bad := range map[string]internet.Config{
		"CA certificate": {Socket: dir + "/s"},
		"socket path":    {CA: dir + "/ca"},
		"stands twice":   {CA: dir + "/ca", Socket: dir + "/s", Names: append(internet.Names(), internet.Names()[0])},
		"not in the table": {CA: dir + "/ca", Socket: dir + "/s",
			Names: []internet.Name{{Host: "a.example", CNAME: "b.example"}}},
	} {
		if err := internet.Run(within(t), bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
}

func TestSocketOfAKilledRun(t *testing.T) {
	start(t, func(cfg *internet.Config) {
		ln, err := net.Listen("unix", cfg.Socket)
		if err != nil {
			t.Fatal(err)
		}
		ln.(*net.UnixListener).SetUnlinkOnClose(false)
		ln.Close()
	})
}

func TestConfigGoesThroughJSON(t *testing.T) {
	dir := t.TempDir()
	want := internet.Config{CA: dir + "/a", Socket: dir + "/b", Names: internet.Names(), Ports: internet.Ports{Game: []uint16{}, DNS: []uint16{5353}}}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got internet.Config
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(got)
	if err != nil || string(again) != string(b) {
		t.Errorf("came back as %s, %v; want %s", again, err, b)
	}
	if got.Ports.Game == nil || got.Ports.HTTP != nil {
		t.Errorf("off and default ports are not told apart: %+v", got.Ports)
	}
}

// TestAddressAssignedLater listens on given addresses, one of which the machine does not have yet.
func TestAddressAssignedLater(t *testing.T) {
	later := netip.MustParseAddr("203.0.113.250")
	start(t, func(cfg *internet.Config) {
		cfg.Listen = []netip.Addr{later, netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8:100::250")}
	})
	conn, err := net.Dial("udp", "203.0.113.10:7")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "x")
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := conn.Read(make([]byte, 100)); err != nil || n == 0 {
		t.Errorf("at an address that is there: %v", err)
	}
	if conn, err := net.Dial("tcp", "203.0.113.11:80"); err == nil {
		conn.Close()
		t.Error("served at an address that was not given")
	}
}
