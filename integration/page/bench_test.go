package page

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/home"
	"github.com/trenza-router/trenza/integration/netlab/traffic"
)

// bench is the lab's side of the browser's steps, as a small web service for them alone.
type bench struct {
	t   *testing.T
	h   *home.House
	ctx context.Context
	end context.CancelFunc
	all sync.WaitGroup

	mu   sync.Mutex
	seen netip.Addr // where the server sees the running flow come from
	got  uint64     // how many of its datagrams were answered
}

func newBench(ctx context.Context, t *testing.T, h *home.House) *bench {
	b := &bench{t: t, h: h}
	b.ctx, b.end = context.WithCancel(ctx)
	return b
}

// stop ends the flows.
func (b *bench) stop() {
	b.end()
	b.all.Wait()
}

func (b *bench) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /flow", b.start)
	mux.HandleFunc("GET /flow", b.where)
	mux.HandleFunc("GET /policy", b.policy)
	mux.HandleFunc("GET /trial", b.trial)
	mux.HandleFunc("POST /forbidden", b.forbidden)
	mux.HandleFunc("POST /watch", b.watch)
	mux.HandleFunc("POST /visitor", b.visitor)
	mux.HandleFunc("POST /traffic", b.traffic)
	return mux
}

// start begins a stream from the laptop to a video service that lasts until the test ends.
func (b *bench) start(w http.ResponseWriter, _ *http.Request) {
	b.all.Go(func() {
		job := client.Ticks{Target: client.Target{Host: "www.youtube.com", Port: 3478, Family: client.V4}, Rate: 20, Duration: time.Hour, Tag: "page"}
		_, err := b.h.Agent("laptop").Ticks(b.ctx, job, func(r client.Ticked) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.got = r.Received
			if n := len(r.Sources); n > 0 {
				b.seen = r.Sources[n-1].Seen.Addr().Unmap()
			}
		})
		if err != nil && b.ctx.Err() == nil {
			b.t.Errorf("the laptop's stream ended: %v", err)
		}
	})
	w.WriteHeader(http.StatusNoContent)
}

// where tells the link that the stream's server sees it come from.
func (b *bench) where(w http.ResponseWriter, _ *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := struct {
		Link     string `json:"link"`
		Answered uint64 `json:"answered"`
	}{Answered: b.got}
	for _, l := range b.h.Lab.Links() {
		if s, ok := b.h.Lab.SeenAs(l.Name); ok && b.seen.IsValid() && s.V4.Contains(b.seen) {
			out.Link = l.Name
		}
	}
	b.answer(w, out)
}

// policy tells which rules are stored, asked of the daemon by its own socket and not by the page's session.
func (b *bench) policy(w http.ResponseWriter, r *http.Request) {
	c, err := b.h.API()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	p, err := c.GetPolicyWithResponse(r.Context())
	if err != nil || p.JSON200 == nil {
		http.Error(w, "the router does not tell its rules", http.StatusBadGateway)
		return
	}
	b.answer(w, p.JSON200)
}

// forbidden lets the TV call a betting site, and tells whether it was refused.
func (b *bench) forbidden(w http.ResponseWriter, r *http.Request) {
	_, err := b.h.Agent("tv").HTTP(r.Context(), client.HTTP{Target: client.Target{Host: "www.bet365.com", Port: 443, Family: client.V4}, Timeout: 5 * time.Second}, nil)
	b.answer(w, map[string]bool{"refused": err != nil})
}

// watch lets the TV call a video service, and tells whether it was refused.
func (b *bench) watch(w http.ResponseWriter, r *http.Request) {
	_, err := b.h.Agent("tv").HTTP(r.Context(), client.HTTP{Target: client.Target{Host: "www.youtube.com", Port: 443, Family: client.V4}, Timeout: 5 * time.Second}, nil)
	b.answer(w, map[string]bool{"refused": err != nil})
}

// visitor brings a device that the house has never seen into its network: an interface with an Ethernet address of its own, which asks for an address as any phone does.
func (b *bench) visitor(w http.ResponseWriter, r *http.Request) {
	host := b.h.Lab.Host("tv")
	fail := func(err error) { http.Error(w, err.Error(), http.StatusInternalServerError) }
	for _, line := range []string{"link add visitor0 link eth0 address 5e:10:ca:00:77:77 type macvlan mode bridge", "link set visitor0 up"} {
		if out, err := host.Command(r.Context(), "ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			fail(fmt.Errorf("ip %s: %w: %s", line, err, out))
			return
		}
	}
	if _, err := host.RequestLease(r.Context(), "visitor0", "visitor", netip.Addr{}); err != nil {
		fail(err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// trial tells of the trial that runs, asked in the same way.
func (b *bench) trial(w http.ResponseWriter, r *http.Request) {
	c, err := b.h.API()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	p, err := c.GetTrialWithResponse(r.Context())
	if err != nil || p.JSON200 == nil {
		http.Error(w, "the router does not tell of trials", http.StatusBadGateway)
		return
	}
	b.answer(w, p.JSON200)
}

// traffic lets the family live until the test ends.
func (b *bench) traffic(w http.ResponseWriter, _ *http.Request) {
	b.all.Go(func() {
		if err := traffic.Run(b.ctx, traffic.Config{Seed: 1, Hosts: b.h.Hosts()}); err != nil && b.ctx.Err() == nil {
			b.t.Errorf("the household's traffic ended: %v", err)
		}
	})
	w.WriteHeader(http.StatusNoContent)
}

func (b *bench) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		b.t.Errorf("answering the browser's steps: %v", err)
	}
}
