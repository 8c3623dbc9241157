package internet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// The HTTP API on the recorder's socket; Observer is its client.
//
//	GET    /ready                    204
//	GET    /records?proto=&name=&tag=&tag_prefix=&remote=&after=&limit=&wait=&timeout=   Page; with wait=n it answers as
//	       soon as n records are chosen, or after timeout (Go duration, default 10s) with status 408 and what there is
//	GET    /sources?(the same filter)   {"address": count}
//	DELETE /records                  204, forgets all
//	POST   /iperf3?listen=ADDR:PORT  204 when `iperf3 -s` listens; 501 without the binary
type controlAPI struct {
	rec   *Recorder
	iperf *iperf
}

func (c controlAPI) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /records", c.records)
	mux.HandleFunc("GET /sources", c.sources)
	mux.HandleFunc("DELETE /records", func(w http.ResponseWriter, _ *http.Request) {
		c.rec.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /iperf3", c.startIperf)
	return mux
}

func (c controlAPI) records(w http.ResponseWriter, r *http.Request) {
	f, err := filterOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	wait, err := strconv.Atoi(orDefault(r.URL.Query().Get("wait"), "0"))
	if err != nil || wait < 0 {
		http.Error(w, "wait: want a number of records", http.StatusBadRequest)
		return
	}
	timeout, err := time.ParseDuration(orDefault(r.URL.Query().Get("timeout"), "10s"))
	if err != nil {
		http.Error(w, "timeout: "+err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	page, err := c.rec.Wait(ctx, f, wait)
	status := http.StatusOK
	if err != nil {
		status = http.StatusRequestTimeout
	}
	reply(w, status, page)
}

func (c controlAPI) sources(w http.ResponseWriter, r *http.Request) {
	f, err := filterOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	reply(w, http.StatusOK, c.rec.Sources(f))
}

func (c controlAPI) startIperf(w http.ResponseWriter, r *http.Request) {
	at, err := netip.ParseAddrPort(r.URL.Query().Get("listen"))
	if err != nil {
		http.Error(w, "listen: "+err.Error(), http.StatusBadRequest)
		return
	}
	switch err := c.iperf.start(r.Context(), at); {
	case errors.Is(err, exec.ErrNotFound):
		http.Error(w, err.Error()+": install the package iperf3", http.StatusNotImplemented)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func filterOf(r *http.Request) (Filter, error) {
	q := r.URL.Query()
	f := Filter{Proto: q.Get("proto"), Name: q.Get("name"), Tag: q.Get("tag"), TagPrefix: q.Get("tag_prefix")}
	var err [3]error
	if v := q.Get("remote"); v != "" {
		f.Remote, err[0] = netip.ParseAddr(v)
	}
	if v := q.Get("after"); v != "" {
		f.After, err[1] = strconv.ParseUint(v, 10, 64)
	}
	if v := q.Get("limit"); v != "" {
		f.Limit, err[2] = strconv.Atoi(v)
	}
	return f, errors.Join(err[0], err[1], err[2])
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// listenSocket opens the unix socket, over the file that a killed run left behind.
func listenSocket(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("recorder socket %s: another file is in its place; remove it or choose another path", path)
		}
		if conn, err := net.Dial("unix", path); err == nil {
			conn.Close()
			return nil, fmt.Errorf("recorder socket %s: another process listens on it; stop it or choose another path", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("recorder socket: remove the old %s: %w", path, err)
		}
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("recorder socket: %w", err)
	}
	return ln, nil
}

// iperf starts iperf3 servers, one for each address:port, which end with the context of Run.
type iperf struct {
	ctx    context.Context
	binary string

	mu      sync.Mutex
	running map[netip.AddrPort]bool
	wg      sync.WaitGroup
}

// start returns when the server listens. Asking again for a running one is fine.
func (i *iperf) start(ctx context.Context, at netip.AddrPort) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running[at] {
		return nil
	}
	binary, err := exec.LookPath(i.binary)
	if err != nil {
		return fmt.Errorf("start iperf3: %w", err)
	}
	cmd := exec.CommandContext(i.ctx, binary, "-s", "-B", at.Addr().String(), "-p", strconv.Itoa(int(at.Port())))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start iperf3: %w", err)
	}
	ended := make(chan error, 1)
	i.running[at] = true
	i.wg.Go(func() {
		ended <- cmd.Wait()
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.running, at)
	})
	for {
		// A connection that says nothing would occupy the server: look for the listening socket by its port instead.
		if taken(at) {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("iperf3 on %s ended at once (%v): is the port taken?", at, err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// taken tells whether someone listens on a TCP address.
func taken(at netip.AddrPort) bool {
	ln, err := net.Listen("tcp"+family(at.Addr()), at.String())
	if err == nil {
		ln.Close()
		return false
	}
	return errors.Is(err, syscall.EADDRINUSE)
}
