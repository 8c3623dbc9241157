package internet

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// web is the site behind every name: the same over HTTP/1.1, HTTP/2 and HTTP/3.
//
//	GET  any path            a wire.Answer in JSON
//	POST any path            the body is read to its end first (at most MaxStreamBytes)
//	GET  /stream?bytes=&duration=&rate=   a stream of package wire; duration as Go writes it, rate in bit/s
//	POST /stream             the body is a stream; the answer has its outcome
//	GET  /generate_204, /hotspot-detect.html, /connecttest.txt   the connectivity checks of Android, Apple, Windows
type web struct{ rec *Recorder }

func (s web) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.page)
	mux.HandleFunc("GET /stream", s.download)
	mux.HandleFunc("POST /stream", s.upload)
	mux.HandleFunc("GET /generate_204", func(w http.ResponseWriter, r *http.Request) {
		s.see(w, r)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /hotspot-detect.html", s.text("text/html",
		"<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>"))
	mux.HandleFunc("GET /connecttest.txt", s.text("text/plain", "Microsoft Connect Test"))
	return mux
}

// see records a request and states the seen source in the answer's header.
func (s web) see(w http.ResponseWriter, r *http.Request) wire.Seen {
	remote, _ := netip.ParseAddrPort(r.RemoteAddr) // both HTTP stacks of ours write it so
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	seen := wire.Seen{
		Proto: wire.ProtoHTTP1, Name: strings.ToLower(name), Local: addrPort(local), Remote: remote,
		Tag: r.Header.Get(wire.TagHeader), Detail: r.Method + " " + r.URL.Path,
	}
	if seen.Tag == "" {
		seen.Tag = r.URL.Query().Get("tag")
	}
	switch r.ProtoMajor {
	case 2:
		seen.Proto = wire.ProtoHTTP2
	case 3:
		seen.Proto = wire.ProtoHTTP3
	}
	if r.TLS != nil {
		seen.SNI, seen.ALPN, seen.TLS = r.TLS.ServerName, r.TLS.NegotiatedProtocol, tls.VersionName(r.TLS.Version)
	}
	seen = s.rec.Add(seen)
	w.Header().Set(wire.SourceHeader, seen.Remote.String())
	w.Header().Set("Cache-Control", "no-store")
	if r.TLS != nil && r.ProtoMajor < 3 {
		w.Header().Set("Alt-Svc", fmt.Sprintf(`h3=":%d"; ma=86400`, seen.Local.Port()))
	}
	return seen
}

func (s web) page(w http.ResponseWriter, r *http.Request) {
	seen := s.see(w, r)
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, wire.MaxStreamBytes)); err != nil {
		return
	}
	reply(w, http.StatusOK, wire.Answer{Seen: seen})
}

func (s web) text(kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.see(w, r)
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, body)
	}
}

func (s web) download(w http.ResponseWriter, r *http.Request) {
	seen := s.see(w, r)
	order, err := orderOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	line, err := json.Marshal(seen)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set(wire.SeenHeader, string(line))
	w.Header().Set("Content-Type", "application/octet-stream")
	out := flusher{w, http.NewResponseController(w)}
	if _, err := wire.Send(r.Context(), out, order, nil); err != nil {
		panic(http.ErrAbortHandler) // cut the answer short visibly; the client must not take it for whole
	}
}

func orderOf(r *http.Request) (wire.Order, error) {
	o := wire.Order{Direction: wire.Down}
	q := r.URL.Query()
	var err [3]error
	if v := q.Get("bytes"); v != "" {
		o.Bytes, err[0] = strconv.ParseInt(v, 10, 64)
	}
	if v := q.Get("duration"); v != "" {
		o.Duration, err[1] = time.ParseDuration(v)
	}
	if v := q.Get("rate"); v != "" {
		o.Rate, err[2] = strconv.ParseInt(v, 10, 64)
	}
	return o, errors.Join(err[0], err[1], err[2], o.Check())
}

func (s web) upload(w http.ResponseWriter, r *http.Request) {
	seen := s.see(w, r)
	out, err := wire.Receive(r.Body, nil)
	status := http.StatusOK
	if err != nil {
		status = http.StatusBadRequest
	}
	reply(w, status, wire.Answer{Seen: seen, Outcome: &out})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = wire.WriteLine(w, v) // the client is gone: nobody to tell
}

// flusher sends each chunk at once, so that a paced stream is paced on the wire.
type flusher struct {
	io.Writer
	rc *http.ResponseController
}

func (f flusher) Write(b []byte) (int, error) {
	n, err := f.Writer.Write(b)
	if err == nil {
		err = f.rc.Flush()
	}
	return n, err
}

// serveHTTP runs the site on a listener until ctx ends; with a TLS config, HTTP/1.1 and HTTP/2 over TLS.
func serveHTTP(ctx context.Context, ln net.Listener, h http.Handler, secure *tls.Config) error {
	secure = secure.Clone() // the server adds to it; nil stays nil
	srv := &http.Server{
		Handler: h, TLSConfig: secure, ReadHeaderTimeout: time.Minute, IdleTimeout: idle,
		BaseContext: func(net.Listener) context.Context { return ctx },
		// Clients that break off or refuse the certificate are the business of tests, not of a log.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	defer context.AfterFunc(ctx, func() { srv.Close() })()
	var err error
	if secure != nil {
		err = srv.ServeTLS(ln, "", "")
	} else {
		err = srv.Serve(ln)
	}
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve HTTP on %s: %w", ln.Addr(), err)
}

// serveHTTP3 runs the site over QUIC on a UDP socket until ctx ends.
func serveHTTP3(ctx context.Context, conn *net.UDPConn, h http.Handler, secure *tls.Config) error {
	defer conn.Close()
	tr := &quic.Transport{Conn: conn}
	defer tr.Close()
	ln, err := tr.ListenEarly(http3.ConfigureTLSConfig(secure), &quic.Config{Allow0RTT: true, MaxIdleTimeout: time.Minute})
	if err != nil {
		return fmt.Errorf("serve HTTP/3 on %s: %w", conn.LocalAddr(), err)
	}
	defer ln.Close()
	srv := &http3.Server{Handler: h}
	defer context.AfterFunc(ctx, func() { srv.Close(); ln.Close() })()
	if err := srv.ServeListener(ln); ctx.Err() == nil {
		return fmt.Errorf("serve HTTP/3 on %s: %w", conn.LocalAddr(), err)
	}
	return nil
}

// quicConfig makes the TLS side of HTTP/3; its requests are recorded, not its handshakes.
func quicConfig(ca *authority) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: ca.certificate}
}

// tlsConfig makes the TLS side of the site: TLS 1.3 alone, a certificate per name, each handshake recorded.
func tlsConfig(ca *authority, rec *Recorder) *tls.Config {
	base := &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: ca.certificate, NextProtos: []string{"h2", "http/1.1"}}
	outer := base.Clone()
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		seen := wire.Seen{Proto: wire.ProtoTLS, Name: hello.ServerName, SNI: hello.ServerName,
			Local: addrPort(hello.Conn.LocalAddr()), Remote: addrPort(hello.Conn.RemoteAddr())}
		c := base.Clone()
		c.VerifyConnection = func(state tls.ConnectionState) error {
			seen.ALPN, seen.TLS = state.NegotiatedProtocol, tls.VersionName(state.Version)
			rec.Add(seen)
			return nil
		}
		return c, nil
	}
	return outer
}
