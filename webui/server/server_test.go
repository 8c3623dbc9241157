package server_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/backup"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/webui/api"
	"github.com/trenza-router/trenza/webui/app"
	"github.com/trenza-router/trenza/webui/auth"
	"github.com/trenza-router/trenza/webui/server"
)

// running is a server with its page on a loopback port.
type running struct {
	address, socket string
	auth            *auth.Service
	log             *lockedBuffer
	stop            context.CancelFunc
	done            chan error
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// launch runs a server and does not wait for it. listen may be "".
func launch(t *testing.T, h *enginetest.House, listen, socket string, grace ...time.Duration) *running {
	t.Helper()
	r := &running{address: listen, socket: socket, log: &lockedBuffer{}, done: make(chan error, 1)}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	var err error
	if r.auth, err = auth.New(t.Context(), auth.Options{Store: h.Store, Log: log}); err != nil {
		t.Fatal(err)
	}
	backups := backup.New(backup.Options{Store: h.Store, State: t.TempDir(), Version: "test", Log: log, Now: time.Now, Restart: h.Reconfigure})
	o := server.Options{Engine: h.Engine, Store: h.Store, Auth: r.auth, Backups: backups, Metrics: h.Metrics, Log: log, Listen: listen, Socket: socket}
	if len(grace) > 0 {
		o.Grace = grace[0]
	}
	s, err := server.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(t.Context())
	go func() { r.done <- s.Run(ctx) }()
	t.Cleanup(r.stop)
	return r
}

// start runs a house and a server that answers on both listeners.
func start(t *testing.T) (*enginetest.House, *running) {
	t.Helper()
	h := enginetest.Start(t, enginetest.Policy, nil)
	r := launch(t, h, "127.0.0.1:0", filepath.Join(t.TempDir(), "trenza.sock"))
	enginetest.Eventually(t, "the page and the socket", func() bool {
		_, rest, told := strings.Cut(r.log.String(), "address=http://")
		if told {
			r.address = strings.Fields(rest)[0]
		}
		return told && r.onSocket(t, "/api/v1/status") == nil
	})
	return h, r
}

// signIn makes an admin, if there is none yet, and returns headers that let them in.
func (r *running) signIn(t *testing.T) map[string]string {
	t.Helper()
	if !r.auth.HasUsers() {
		if _, err := r.auth.Setup(t.Context(), "boss", "seven wet donkeys hum"); err != nil {
			t.Fatal(err)
		}
	}
	token, _, err := r.auth.Begin(t.Context(), r.auth.Users()[0].ID, auth.Visit{})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"Cookie": auth.Cookie(auth.Visit{}, token).String()}
}

// onSocket asks over the control socket.
func (r *running) onSocket(t *testing.T, path string) error {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", r.socket)
	}}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return nil
}

// ask sends a request to the page with changed headers; "Host" is the host.
func (r *running) ask(t *testing.T, method, path, body string, headers map[string]string) (*http.Response, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range headers {
		q.Header.Set(k, v)
	}
	if host := headers["Host"]; host != "" {
		q.Host = host
	}
	resp, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, string(data)
}

func TestPageAndItsHeaders(t *testing.T) {
	_, r := start(t)
	csp := "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
	var files []string
	err := fs.WalkDir(app.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, name)
		}
		return err
	})
	if err != nil || len(files) < 3 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, "index.html") // which is served as its directory
		resp, body := r.ask(t, "GET", "/"+name, "", nil)
		want, err := fs.ReadFile(app.Files(), file)
		if err != nil {
			t.Fatal(err)
		}
		h := resp.Header
		if resp.StatusCode != http.StatusOK || body != string(want) {
			t.Errorf("/%s: %s, %d bytes, want %d", name, resp.Status, len(body), len(want))
		}
		if h.Get("Content-Security-Policy") != csp || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" ||
			h.Get("Cross-Origin-Resource-Policy") != "same-origin" || h.Get("Cache-Control") != "no-cache" || h.Get("ETag") == "" || h.Get("Content-Type") == "" {
			t.Errorf("/%s: headers %v", name, h)
		}
		if resp, body := r.ask(t, "GET", "/"+name, "", map[string]string{"If-None-Match": h.Get("ETag")}); resp.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("/%s again: %s, want 304", name, resp.Status)
		}
		if resp, _ := r.ask(t, "HEAD", "/"+name, "", nil); resp.StatusCode != http.StatusOK {
			t.Errorf("HEAD /%s: %s", name, resp.Status)
		}
	}
	for _, path := range []string{"/nothing.js", "/../server.go", "/%2e%2e/doc.go", "/api/v1/nothing", "/api", "/doc.go"} {
		resp, body := r.ask(t, "GET", path, "", nil)
		if resp.StatusCode != http.StatusNotFound || !strings.Contains(body, `"message":"there is no /`) || resp.Header.Get("Content-Security-Policy") != csp {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
	if resp, body := r.ask(t, "GET", "/metrics", "", nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("/metrics of a new router: %s %.300s", resp.Status, body)
	}
	me := r.signIn(t)
	if resp, body := r.ask(t, "GET", "/metrics", "", nil); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("/metrics of a stranger: %s %.300s", resp.Status, body)
	}
	resp, body := r.ask(t, "GET", "/metrics", "", me)
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, "# TYPE trenza_") || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("/metrics: %s %.300s", resp.Status, body)
	}
	if resp, _ = r.ask(t, "GET", "/api/v1/status", "", me); resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("/api/v1/status may be cached: %v", resp.Header)
	}
	// The socket has the interface alone.
	if err := r.onSocket(t, "/metrics"); err == nil {
		t.Error("the socket serves metrics")
	}
}

// TestForeignNames: a name that someone else made point here is refused, whatever is asked.
func TestForeignNames(t *testing.T) {
	_, r := start(t)
	_, port, _ := net.SplitHostPort(r.address)
	me := r.signIn(t)
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "10.77.0.1": 200, "[fd00:77::1]": 200, "[fd00:77::1]:8080": 200, "localhost": 200, "LOCALHOST:80": 200,
		"router": 200, "router.lan": 200, "router.home.arpa.": 200,
		"evil.example": 421, "evil.example:" + port: 421, "router.lan.evil.example": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421,
		"xrouter": 421, "10.77.0.1.": 200,
	} {
		for _, path := range []string{"/", "/api/v1/status", "/metrics", "/nothing"} {
			resp, body := r.ask(t, "GET", path, "", map[string]string{"Host": host, "Cookie": me["Cookie"]})
			got := resp.StatusCode
			if path == "/nothing" && got == http.StatusNotFound {
				got = http.StatusOK
			}
			if got != want || want == 421 && !strings.Contains(body, "is not a name of this router") {
				t.Errorf("%s at %s: %s %.100s, want %d", path, host, resp.Status, body, want)
			}
		}
	}
}

// TestForeignPages: no other page changes anything, and none may read.
func TestForeignPages(t *testing.T) {
	h, r := start(t)
	me := r.signIn(t)
	for name, headers := range map[string]map[string]string{
		"another site":         {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
		"a neighbouring site":  {"Sec-Fetch-Site": "same-site", "Origin": "http://camera.lan"},
		"an old browser":       {"Origin": "https://evil.example"},
		"a page without name":  {"Origin": "null"},
		"another port of ours": {"Origin": "http://127.0.0.1:1"},
	} {
		maps.Copy(headers, me) // an old browser sends it along
		for _, c := range [][2]string{{"PUT", "/api/v1/policy?by=evil"}, {"POST", "/api/v1/policy/check"}} {
			resp, body := r.ask(t, c[0], c[1], enginetest.Policy, headers)
			if resp.StatusCode != http.StatusForbidden || !strings.Contains(body, `"message":"another page asks`) {
				t.Errorf("%s from %s: %s %s", c[1], name, resp.Status, body)
			}
		}
		if resp, _ := r.ask(t, "GET", "/api/v1/status", "", headers); resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s may read", name)
		}
		if resp, _ := r.ask(t, "OPTIONS", "/api/v1/policy", "", headers); resp.Header.Get("Access-Control-Allow-Methods") != "" {
			t.Errorf("%s may write, says the preflight", name)
		}
	}
	if v := h.Policy(); v.Version != 1 {
		t.Fatalf("version %d by %s", v.Version, v.By)
	}
	for name, headers := range map[string]map[string]string{
		"our page":       {"Sec-Fetch-Site": "same-origin", "Origin": "http://" + r.address},
		"an old browser": {"Origin": "http://" + r.address},
		"no browser":     {},
	} {
		maps.Copy(headers, me)
		if resp, body := r.ask(t, "PUT", "/api/v1/policy?by=ana", enginetest.Policy, headers); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", name, resp.Status, body)
		}
	}
	// Whatever a client says of itself, it is not let in by it.
	spoofed := map[string]string{"Host": "evil.example", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost", "X-Real-Ip": "127.0.0.1", "Forwarded": "host=localhost"}
	if resp, _ := r.ask(t, "GET", "/api/v1/status", "", spoofed); resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("X-Forwarded headers: %s", resp.Status)
	}
}

// TestRefusalsHaveAShape: what echo refuses by itself is schema Error, too, over both listeners.
func TestRefusalsHaveAShape(t *testing.T) {
	_, r := start(t)
	me := r.signIn(t)
	for path, code := range map[string]int{"/api/v1/flows?limit=x": 400, "/api/v1/why": 400, "/api/v1/nothing": 404} {
		resp, body := r.ask(t, "GET", path, "", me)
		if resp.StatusCode != code || !strings.Contains(body, `"message":"`) || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
	if resp, body := r.ask(t, "DELETE", "/api/v1/policy", "", nil); resp.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(body, "DELETE") || resp.Header.Get("Allow") == "" {
		t.Errorf("DELETE: %s %s %v", resp.Status, body, resp.Header)
	}
}

func TestSocketIsPrivateAndRemoved(t *testing.T) {
	_, r := start(t)
	info, err := os.Lstat(r.socket)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("%v %v, want a socket of mode 0600", info.Mode(), err)
	}
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("stopping: %v", err)
	}
	if _, err := os.Lstat(r.socket); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestSocketOfOthers(t *testing.T) {
	h, r := start(t)
	// A living router's is refused, and goes on answering.
	second := launch(t, h, "", r.socket)
	if err := <-second.done; err == nil || !strings.Contains(err.Error(), "another router answers at "+r.socket) {
		t.Errorf("a second router: %v", err)
	}
	if err := r.onSocket(t, "/api/v1/status"); err != nil {
		t.Errorf("the first router after the second: %v", err)
	}
	// A killed one's is replaced: its file is there and nobody listens.
	stale := filepath.Join(t.TempDir(), "trenza.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	third := launch(t, h, "", stale)
	enginetest.Eventually(t, "the stale socket to be replaced", func() bool { return third.onSocket(t, "/api/v1/status") == nil })
	// What is no socket is not ours.
	file := filepath.Join(t.TempDir(), "trenza.sock")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	fourth := launch(t, h, "", file)
	if err := <-fourth.done; err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("a file in the socket's place: %v", err)
	}
	if data, err := os.ReadFile(file); string(data) != "precious" {
		t.Errorf("the file is gone: %q %v", data, err)
	}
	fifth := launch(t, h, "", filepath.Join(t.TempDir(), "missing", "trenza.sock"))
	if err := <-fifth.done; err == nil || !strings.Contains(err.Error(), "control socket") {
		t.Errorf("no directory: %v", err)
	}
}

// TestPortInUse: the page waits for its address, says so once, and the command line works meanwhile.
func TestPortInUse(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := launch(t, h, other.Addr().String(), filepath.Join(t.TempDir(), "trenza.sock"))
	enginetest.Eventually(t, "the complaint", func() bool {
		return strings.Contains(r.log.String(), "the page cannot be served yet") && r.onSocket(t, "/api/v1/status") == nil
	})
	if log := r.log.String(); !strings.Contains(log, "web.listen") || !strings.Contains(log, other.Addr().String()) || !strings.Contains(log, "in use") {
		t.Errorf("the log does not help: %s", log)
	}
	other.Close()
	enginetest.Eventually(t, "the page", func() bool {
		c, err := net.Dial("tcp", r.address)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	if resp, _ := r.ask(t, "GET", "/", "", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("the page: %s", resp.Status)
	}
	if n := strings.Count(r.log.String(), "cannot be served yet"); n != 1 {
		t.Errorf("told %d times:\n%s", n, r.log)
	}
}

// TestStop: open streams, a client that sleeps and one in the middle of a request do not hold the router up.
func TestStop(t *testing.T) {
	_, r := start(t)
	me := r.signIn(t)
	open := func(network, address string) *bufio.Reader {
		c, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nCookie: %s\r\n\r\n", me["Cookie"])
		b := bufio.NewReader(c)
		for {
			line, err := b.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, "event: live") {
				return b
			}
		}
	}
	streams := []*bufio.Reader{open("tcp", r.address), open("tcp", r.address), open("unix", r.socket)}
	half, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	fmt.Fprintf(half, "PUT /api/v1/policy HTTP/1.1\r\nHost: localhost\r\nCookie: %s\r\nContent-Length: 1000\r\n\r\nhouse:", me["Cookie"])
	begun := time.Now()
	r.stop()
	select {
	case err := <-r.done:
		if err != nil {
			t.Errorf("stopping: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the server does not stop")
	}
	// A second for the half request, and the machine's slowness.
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("stopping took %v", took)
	}
	for i, s := range streams {
		// The end is in order: the last chunk, then the end of the connection.
		rest, err := io.ReadAll(s)
		if err != nil || !strings.HasSuffix(string(rest), "0\r\n\r\n") {
			t.Errorf("stream %d ended with %v, %.100q", i, err, rest[max(0, len(rest)-50):])
		}
	}
}

// TestStopLetsRequestsEnd: a change of the rules that is under way when the router stops is answered.
func TestStopLetsRequestsEnd(t *testing.T) {
	h := enginetest.Start(t, enginetest.Policy, nil)
	r := launch(t, h, "", filepath.Join(t.TempDir(), "trenza.sock"), time.Minute)
	enginetest.Eventually(t, "the socket", func() bool { return r.onSocket(t, "/api/v1/status") == nil })
	text := strings.Replace(enginetest.Policy, "My bank over WiFi", "My bank", 1)
	c, err := net.Dial("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "PUT /api/v1/policy?by=ana HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(text))
	b := bufio.NewReader(c)
	if line, err := b.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q %v", line, err) // the handler runs now
	}
	if _, err := b.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	r.stop()
	enginetest.Eventually(t, "the socket to close", func() bool { _, err := os.Lstat(r.socket); return err != nil })
	select {
	case err := <-r.done:
		t.Fatalf("the server ended in the middle of a request: %v", err)
	case <-time.After(50 * time.Millisecond): // it may end wrongly a little later, and is then missed
	}
	fmt.Fprint(c, text)
	resp, err := http.ReadResponse(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if data, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Errorf("%s %s", resp.Status, data)
	}
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	if v := h.Policy(); v.Version != 2 || v.By != "ana" {
		t.Errorf("version %d by %s", v.Version, v.By)
	}
}

func TestNewWantsItsParts(t *testing.T) {
	if _, err := server.New(server.Options{Socket: "x"}); err == nil {
		t.Error("a server without an engine was made")
	}
}

// The path that the command line asks under is the one that is served.
func TestBase(t *testing.T) {
	_, r := start(t)
	if err := r.onSocket(t, api.Base+"/status"); err != nil {
		t.Error(err)
	}
}
