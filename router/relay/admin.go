package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/trenza-router/trenza/router/bond/tunnel"
)

// Socket is where the running relay takes its owner's orders: HTTP and JSON over a local socket in its state directory, which only the
// owner may enter.
func Socket(c *Config) string { return filepath.Join(c.State, "relay.sock") }

// InviteRequest asks for an invite.
type InviteRequest struct {
	Name      string           `json:"name"`
	Addresses []netip.AddrPort `json:"addresses,omitempty"` // default: the configuration's
	Life      time.Duration    `json:"life"`                // in nanoseconds
	Limit     Limit            `json:"limit"`
}

// InviteAnswer is an invite. The code is a secret until it is used.
type InviteAnswer struct {
	Name    string    `json:"name"`
	Code    string    `json:"code"`
	Expires time.Time `json:"expires"`
}

// Status is the relay as its owner asks for it.
type Status struct {
	Key     string         `json:"key"`
	Routers []RouterStatus `json:"routers"`
	Invites []InviteStatus `json:"invites"`
	Strange counts         `json:"datagrams"`
}

// RouterStatus is one router.
type RouterStatus struct {
	Name    string        `json:"name"`
	Since   time.Time     `json:"joined_at"`
	Begun   time.Time     `json:"begun_at,omitzero"` // the bond's present life
	Traffic traffic       `json:"traffic"`
	Bond    tunnel.Status `json:"bond"`
}

// InviteStatus is an invite that nobody has used.
type InviteStatus struct {
	Name    string    `json:"name"`
	Expires time.Time `json:"expires"`
}

// Serve answers at the local socket until ctx is done.
func (r *Relay) Serve(ctx context.Context) error {
	name := Socket(&r.c)
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the last run's socket: %w", err)
	}
	l, err := net.Listen("unix", name)
	if err != nil {
		return fmt.Errorf("opening the relay's socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", r.serveStatus)
	mux.HandleFunc("POST /invite", r.serveInvite)
	mux.HandleFunc("POST /revoke", r.serveRevoke)
	servers := []*http.Server{{Handler: mux, ReadHeaderTimeout: 5 * time.Second}}
	listeners := []net.Listener{l}
	if r.c.Metrics != "" {
		m, err := net.Listen("tcp", r.c.Metrics)
		if err != nil {
			l.Close()
			return fmt.Errorf("serving metrics: %w", err)
		}
		public := http.NewServeMux()
		public.HandleFunc("GET /metrics", r.serveMetrics)
		servers = append(servers, &http.Server{Handler: public, ReadHeaderTimeout: 5 * time.Second})
		listeners = append(listeners, m)
	}
	defer context.AfterFunc(ctx, func() {
		for _, s := range servers {
			_ = s.Close()
		}
	})()
	failed := make(chan error, len(servers))
	for i, s := range servers {
		go func() { failed <- s.Serve(listeners[i]) }()
	}
	for range servers {
		if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
	}
	return nil
}

func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusConflict)
		v = map[string]string{"error": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(v) // who asked has gone
}

func (r *Relay) serveStatus(w http.ResponseWriter, q *http.Request) {
	s, err := r.Status(q.Context())
	answer(w, s, err)
}

// Status asks the running loop.
func (r *Relay) Status(ctx context.Context) (s Status, err error) {
	err = r.loop.Do(ctx, func(now time.Duration) {
		s = Status{Key: r.self.String(), Strange: r.counts, Routers: []RouterStatus{}, Invites: []InviteStatus{}}
		for _, m := range r.members {
			if m.joined {
				b := tunnel.Report(m.line, now)
				b.IPv4, b.IPv6 = m.record.IPv4, m.record.IPv6
				s.Routers = append(s.Routers, RouterStatus{Name: m.record.Name, Since: m.record.Since, Begun: m.since, Traffic: m.counts, Bond: b})
			}
		}
		slices.SortFunc(s.Routers, func(a, b RouterStatus) int { return strings.Compare(a.Name, b.Name) })
		for _, i := range r.o.State.Invites() {
			s.Invites = append(s.Invites, InviteStatus{i.Name, i.Expires})
		}
	})
	return s, err
}

func (r *Relay) serveInvite(w http.ResponseWriter, q *http.Request) {
	var ask InviteRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, q.Body, 1<<16)).Decode(&ask); err != nil {
		answer(w, nil, fmt.Errorf("reading the request: %w", err))
		return
	}
	var a InviteAnswer
	var failed error
	err := r.loop.Do(q.Context(), func(time.Duration) { a, failed = MakeInvite(&r.c, r.o.State, ask, r.o.Wall()) })
	answer(w, a, errors.Join(err, failed))
}

// MakeInvite makes an invite as asked.
func MakeInvite(c *Config, s *State, ask InviteRequest, now time.Time) (InviteAnswer, error) {
	if len(ask.Addresses) == 0 {
		ask.Addresses = c.addresses()
	}
	var site tunnel.Web
	if c.Web != nil {
		trust, err := c.Web.trust(c.State)
		if err != nil {
			return InviteAnswer{}, err
		}
		site = tunnel.Web{Port: c.Web.port(), Trust: trust}
	}
	i, err := s.Invite(ask.Name, ask.Addresses, ask.Life, ask.Limit, now)
	if err != nil {
		return InviteAnswer{}, err
	}
	i.Web = site
	return InviteAnswer{Name: ask.Name, Code: i.Code(), Expires: now.Add(ask.Life)}, nil
}

func (r *Relay) serveRevoke(w http.ResponseWriter, q *http.Request) {
	var ask InviteRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, q.Body, 1<<16)).Decode(&ask); err != nil {
		answer(w, nil, fmt.Errorf("reading the request: %w", err))
		return
	}
	var failed error
	ctx := context.WithoutCancel(q.Context()) // what has begun is ended, also when nobody waits for it
	err := r.loop.Do(q.Context(), func(time.Duration) {
		k, err := r.o.State.Revoke(ask.Name)
		if err == nil {
			r.dismiss(k)
			err = r.load(ctx)
		}
		failed = err
	})
	answer(w, map[string]string{"revoked": ask.Name}, errors.Join(err, failed))
}

// Ask sends an order to the running relay of a configuration; in may be nil. ErrStopped: none runs.
func Ask(ctx context.Context, c *Config, path string, in, out any) error {
	h := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", Socket(c))
	}}}
	method, body := http.MethodGet, ""
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("writing the order: %w", err)
		}
		method, body = http.MethodPost, string(text)
	}
	q, err := http.NewRequestWithContext(ctx, method, "http://relay"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	res, err := h.Do(q)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStopped, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		var e struct{ Error string }
		if err := json.NewDecoder(res.Body).Decode(&e); err != nil || e.Error == "" {
			return fmt.Errorf("the relay answered %s", res.Status)
		}
		return errors.New(e.Error)
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("reading the relay's answer: %w", err)
	}
	return nil
}

// ErrStopped is a relay that does not run.
var ErrStopped = errors.New("the relay is not running")
