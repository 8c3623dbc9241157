package resolver

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/singleflight"
)

// Times of stale answers (RFC 8767 §5).
const (
	staleAfter = 1800 * time.Millisecond // a client waits no longer when there is a stale answer
	staleRetry = 10 * time.Second        // after a failure, stale answers are given at once for so long
	staleTTL   = 30                      // seconds
)

// resolve answers from the cache or from the upstreams. It always returns a message that the caller may change.
func (r *Resolver) resolve(ctx context.Context, q question) *dns.Msg {
	now := r.now()
	old, have := r.cache.get(q, now)
	if have && old.fresh(now) {
		if m, ok := revive(old, now); ok {
			r.stats.hits.Add(1)
			if old.renewable(now) && !r.busy() {
				r.stats.renewed.Add(1)
				r.fly(q) // nobody waits for it
			}
			return m
		}
	}
	if have && now.Before(old.retry) {
		return r.stale(old, now)
	}
	r.stats.misses.Add(1)
	flight := r.fly(q)
	var patience <-chan time.Time
	if have {
		timer := time.NewTimer(staleAfter)
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case <-ctx.Done():
	case <-patience:
		return r.stale(old, now)
	case result := <-flight:
		if result.Err == nil {
			if m, ok := revive(result.Val.(stored), r.now()); ok {
				return m
			}
		}
		if have {
			return r.stale(old, now)
		}
	}
	r.stats.failed.Add(1)
	return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}
}

// fly asks the upstreams. All who ask the same wait for one flight. It does not end with the client that began it. A query that is led
// back to us by a loop waits for itself here, and so ends with the flight's time instead of multiplying.
func (r *Resolver) fly(q question) <-chan singleflight.Result {
	return r.flights.DoChan(fmt.Sprintf("%s %d %v %v", q.name, q.qtype, q.do, q.cd), func() (any, error) {
		return r.forward(r.base, q)
	})
}

// forward asks the upstreams, cleans the answer and keeps it.
func (r *Resolver) forward(ctx context.Context, q question) (stored, error) {
	resp, err := r.exchange(ctx, q)
	if err != nil {
		r.cache.postpone(q, r.now().Add(staleRetry))
		r.complain(q, err)
		return stored{}, err
	}
	c, removed := r.clean(q, resp)
	r.stats.rebinding.Add(uint64(removed))
	if removed > 0 && r.saidRebind.now(r.now()) {
		r.cfg.Log.Warn("an outside name has addresses inside the house; they were removed (resolver.rebind_names lets a domain have them)", "name", q.name)
	}
	packed, err := c.msg.Pack()
	if err != nil {
		return stored{}, fmt.Errorf("pack the answer for %s: %w", q.name, err)
	}
	now := r.now()
	r.cache.put(q, packed, c.ttl, now)
	return stored{packed: packed, at: now, ttl: max(c.ttl, time.Second)}, nil
}

// complain logs that no upstream answered: once a minute for all to read, else for those who look closer.
func (r *Resolver) complain(q question, err error) {
	if r.base.Err() != nil {
		return
	}
	level := slog.LevelDebug
	if r.saidDead.now(r.now()) {
		level = slog.LevelWarn
	}
	r.cfg.Log.Log(r.base, level, "no DNS upstream answered; answers from memory are given where there are any",
		"name", q.name, "type", dns.TypeToString[q.qtype], "error", err)
}

// revive makes a message of a stored answer, with the TTLs that are left.
func revive(s stored, now time.Time) (*dns.Msg, bool) {
	m := new(dns.Msg)
	if m.Unpack(s.packed) != nil {
		return nil, false
	}
	age := uint32(max(now.Sub(s.at), 0) / time.Second)
	for _, section := range [][]dns.RR{m.Answer, m.Ns} {
		for _, rr := range section {
			h := rr.Header()
			h.Ttl -= min(age, h.Ttl)
		}
	}
	return m, true
}

// stale makes a message of an answer whose time is over.
func (r *Resolver) stale(s stored, now time.Time) *dns.Msg {
	m, ok := revive(s, now)
	if !ok {
		return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}
	}
	r.stats.stale.Add(1)
	for _, section := range [][]dns.RR{m.Answer, m.Ns} {
		for _, rr := range section {
			rr.Header().Ttl = staleTTL
		}
	}
	return m
}
