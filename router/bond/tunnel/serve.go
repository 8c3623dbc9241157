package tunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Socket is where a running bond answers what `trenza bond status` asks: HTTP and JSON over a local socket.
func Socket(run string) string { return filepath.Join(run, "bond.sock") }

// Serve answers at the local socket until ctx is done.
func (r *Router) Serve(ctx context.Context, run string) error {
	name := Socket(run)
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the last run's socket: %w", err)
	}
	l, err := net.Listen("unix", name)
	if err != nil {
		return fmt.Errorf("opening the bond's socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, q *http.Request) {
		s, err := r.Status(q.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s) // who asked has gone
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the bond's status: %w", err)
	}
	return nil
}

// AskStatus asks the bond that runs with that directory.
func AskStatus(ctx context.Context, run string) (s Status, err error) {
	h := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", Socket(run))
	}}}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://bond/status", nil)
	if err != nil {
		return s, err
	}
	res, err := h.Do(q)
	if err != nil {
		return s, fmt.Errorf("asking the bond: %w; does it run with this configuration?", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return s, fmt.Errorf("the bond answered %s", res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("reading the bond's answer: %w", err)
	}
	return s, nil
}
