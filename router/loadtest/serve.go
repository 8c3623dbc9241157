package loadtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Bounds of Handler: a server that gives without end is somebody's weapon.
const (
	maxServed  = 32 // transfers at a time
	serveTime  = 2 * time.Minute
	serveBytes = 16 << 30
)

// Handler is the far end of tests: GET is answered with bytes that do not compress, POST takes what comes and forgets it. Each transfer ends after two
// minutes or 16 GiB; beyond 32 at a time they are refused with status 503.
func Handler() http.Handler {
	block := make([]byte, blockSize)
	rand.Read(block)
	slots := make(chan struct{}, maxServed)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			http.Error(w, "too many transfers at a time: try again later", http.StatusServiceUnavailable)
			return
		}
		end := time.Now().Add(serveTime)
		control := http.NewResponseController(w)
		// A connection without deadlines ends with its bytes.
		_, _ = control.SetReadDeadline(end), control.SetWriteDeadline(end)
		switch r.Method {
		case http.MethodGet:
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set(acceptPost, "application/octet-stream")
			for left := int64(serveBytes); left > 0 && time.Now().Before(end); left -= blockSize {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		case http.MethodPost:
			if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, serveBytes)); err != nil {
				http.Error(w, "the upload broke off", http.StatusBadRequest)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", "GET, POST")
			http.Error(w, "GET downloads, POST uploads", http.StatusMethodNotAllowed)
		}
	})
}

// headPatience is how long a client may take to say what it wants.
const headPatience = 10 * time.Second

// Serve runs Handler on an address such as ":8088" until the context ends, which is no error.
func Serve(ctx context.Context, listen string) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listening for tests of links: %w; choose another address", err)
	}
	s := &http.Server{Handler: Handler(), ReadHeaderTimeout: headPatience, IdleTimeout: headPatience, MaxHeaderBytes: 8 << 10}
	over := make(chan error, 1)
	go func() { over <- s.Serve(l) }()
	select {
	case err := <-over:
		return fmt.Errorf("serving tests of links: %w", err)
	case <-ctx.Done():
		return s.Close() // a transfer that runs has no end worth waiting for
	}
}
