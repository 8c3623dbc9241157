package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/trenza-router/trenza/router/bond/carrier"
	"github.com/trenza-router/trenza/router/bond/https"
	"github.com/trenza-router/trenza/router/bond/seal"
	"github.com/trenza-router/trenza/router/bond/tunnel"
)

const (
	// mostVisitors bounds the connections to the web site, routers' among them.
	mostVisitors = 2048
	headTime     = 10 * time.Second // for the head of a request
	visitTime    = time.Minute      // for an answer, and between two requests
	// proofTime is how long somebody who came in by the web site may take to prove that he is a router, and quietTime how long a router's
	// stream may say nothing: one that pays for each byte speaks every 20 seconds.
	proofTime = 15 * time.Second
	quietTime = 2 * time.Minute
	// lookEvery is how often the files of a certificate are looked at.
	lookEvery = time.Minute

	webFile = "https.pem" // the certificate that a relay made itself, in its state
)

// page is what a relay without a site of its own shows.
const page = "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Welcome</title></head>\n<body><h1>Welcome</h1><p>There is nothing here yet.</p></body>\n</html>\n"

// web is the relay's web site.
type web struct {
	server    *http.Server
	listeners []net.Listener
}

// site is what visitors see.
func (w *Web) site() http.Handler {
	if w.Site != "" {
		return http.FileServerFS(os.DirFS(w.Site))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(page)) // who asked has gone
	})
	return mux
}

// openWeb opens the site. enter is given the streams of routers.
func openWeb(c *Config, relay seal.Key, log *slog.Logger, enter func(*https.Stream)) (w *web, err error) {
	chain, err := c.Web.certificates(c.State)
	if err != nil {
		return nil, err
	}
	w = &web{server: &http.Server{
		Handler:   &https.Door{Relay: relay, Site: c.Web.site(), Enter: enter},
		TLSConfig: &tls.Config{GetCertificate: chain.get}, ReadHeaderTimeout: headTime, WriteTimeout: visitTime, IdleTimeout: visitTime,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what scanners try fills no log
	}}
	for _, l := range c.Web.Listen {
		a, err := listenAddr(l)
		if err != nil {
			w.close()
			return nil, err
		}
		listener, err := carrier.TCPListener().Listen(context.Background(), "tcp", a.String())
		if err != nil {
			w.close()
			return nil, fmt.Errorf("opening the relay's web site: %w; if another web server has the port, give this one another address or port by \"https: {listen: [...]}\"", err)
		}
		w.listeners = append(w.listeners, netutil.LimitListener(listener, mostVisitors))
	}
	return w, nil
}

// serve answers until close.
func (w *web) serve(log *slog.Logger) {
	for _, l := range w.listeners {
		go func() {
			if err := w.server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
				log.Error("the relay's web site has ended: routers come in over UDP alone", "address", l.Addr(), "error", err)
			}
		}()
	}
}

func (w *web) close() {
	_ = w.server.Close()
	for _, l := range w.listeners {
		_ = l.Close() // of those that were never served
	}
}

// certificates is the site's certificate, as it is on disk.
type certificates struct {
	cert, key string // files
	mu        sync.Mutex
	loaded    *tls.Certificate
	changed   time.Time // of the file, when it was loaded
	looked    time.Time
}

// certificates reads the certificate, or makes one.
func (w *Web) certificates(state string) (*certificates, error) {
	c := &certificates{cert: w.Cert, key: w.Key}
	if w.Cert == "" {
		c.cert = filepath.Join(state, webFile)
		c.key = c.cert
		if _, err := os.Stat(c.cert); errors.Is(err, fs.ErrNotExist) {
			text, err := https.NewCertificate([]string{"localhost"}, time.Now())
			if err == nil {
				err = tunnel.WriteFile(c.cert, text)
			}
			if err != nil {
				return nil, fmt.Errorf("keeping the certificate of the relay's web site: %w", err)
			}
		}
	}
	if _, err := c.get(nil); err != nil {
		return nil, err
	}
	return c, nil
}

// get implements tls.Config.GetCertificate: a renewed certificate is taken without a restart. One that cannot be read leaves the one before.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.loaded != nil && now.Sub(c.looked) < lookEvery {
		return c.loaded, nil
	}
	c.looked = now
	info, err := os.Stat(c.cert)
	if err == nil && c.loaded != nil && info.ModTime().Equal(c.changed) {
		return c.loaded, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.cert, c.key)
	}
	if err != nil {
		if c.loaded != nil {
			return c.loaded, nil
		}
		return nil, fmt.Errorf("reading the certificate of the relay's web site: %w", err)
	}
	c.loaded, c.changed = &pair, info.ModTime()
	return c.loaded, nil
}

// trust is by what routers know the site, for their codes.
func (w *Web) trust(state string) (https.Trust, error) {
	if w.Name != "" {
		return https.Trust{Name: w.Name}, nil
	}
	c, err := w.certificates(state)
	if err != nil {
		return https.Trust{}, err
	}
	leaf, err := x509.ParseCertificate(c.loaded.Certificate[0])
	if err != nil {
		return https.Trust{}, fmt.Errorf("reading the certificate of the relay's web site: %w", err)
	}
	return https.Trust{Pin: https.Pin(leaf)}, nil
}

// entry is what datagrams come in by.
type entry struct {
	carrier.Datagrams
	place  int
	stream bool // of a router, and not a socket of the relay's own
	since  time.Duration
	heard  time.Duration // of a router, last; 0: never
	ended  bool
}

// enter takes in the stream of a router that came by the web site. Any goroutine calls it.
func (r *Relay) enter(s *https.Stream) {
	err := r.loop.Do(context.Background(), func(now time.Duration) {
		r.ways = append(r.ways, &entry{Datagrams: s, place: r.poller.Watch(s.FD()), stream: true, since: now})
	})
	if err != nil {
		_ = s.Close()
	}
}

// leave forgets streams that have ended, and those that say nothing.
func (r *Relay) leave(gone func(*entry) bool) {
	kept := r.ways[:0]
	for _, e := range r.ways {
		if !e.stream || !gone(e) {
			kept = append(kept, e)
			continue
		}
		for _, m := range r.members {
			m.line.Leave(e.Datagrams)
		}
		r.poller.Unwatch(e.place)
		_ = e.Close()
	}
	clear(r.ways[len(kept):])
	r.ways = kept
}

// silent tells whether a stream says nothing of a router's.
func (e *entry) silent(now time.Duration) bool {
	if e.heard == 0 {
		return now-e.since > proofTime
	}
	return now-e.heard > quietTime
}
