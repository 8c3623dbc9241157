package auth

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/trenza-router/trenza/router/lru"
)

// Limits of wrong attempts to sign in. A peer pays for its own mistakes; what is asked of all peers together for one account only
// slows down, so that nobody can lock out another person.
const (
	peerFree, peerWait, peerLongest          = 5, 5 * time.Second, 15 * time.Minute
	accountFree, accountWait, accountLongest = 20, time.Second, 30 * time.Second
	forgetFailures                           = time.Hour
	maxPeers                                 = 4096
)

// TooManyError says how long to wait until the next attempt.
type TooManyError struct{ Wait time.Duration }

func (e TooManyError) Error() string {
	return fmt.Sprintf("too many wrong attempts: try again in %v", e.Wait.Round(time.Second))
}

// failures of one peer or account.
type failures struct {
	count int
	last  time.Time
	until time.Time // no attempt before
}

// limiter counts wrong attempts. Its methods are safe for concurrent use.
type limiter struct {
	mu       sync.Mutex
	peers    *lru.Map[netip.Addr, failures]
	accounts *lru.Map[string, failures]
}

func newLimiter() *limiter {
	return &limiter{peers: lru.New[netip.Addr, failures](maxPeers), accounts: lru.New[string, failures](maxPeers)}
}

// household is the part of an address that one machine cannot change at will: of IPv6 the /64.
func household(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// take counts an attempt as wrong before it is looked at, so that many at once are no way around. right takes it back.
func (l *limiter) take(peer netip.Addr, account string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, a := failuresOf(l.peers, household(peer), now), failuresOf(l.accounts, account, now)
	if wait := max(p.until.Sub(now), a.until.Sub(now)); wait > 0 {
		return TooManyError{wait}
	}
	p.wrong(now, peerFree, peerWait, peerLongest)
	a.wrong(now, accountFree, accountWait, accountLongest)
	return nil
}

// right takes back what take counted of an attempt that was right. A peer's earlier failures stay: who has an account of their own
// must not clear them with it between two guesses at another's.
func (l *limiter) right(peer netip.Addr, account string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.peers.Peek(household(peer)); f != nil {
		f.count, f.until = max(f.count-1, 0), time.Time{}
	}
	l.accounts.Delete(account)
}

func failuresOf[K comparable](m *lru.Map[K, failures], k K, now time.Time) *failures {
	f := m.Get(k)
	if f == nil {
		return m.Put(k, failures{})
	}
	if age := now.Sub(f.last); age > forgetFailures || age < -forgetFailures {
		*f = failures{}
	}
	return f
}

func (f *failures) wrong(now time.Time, free int, wait, longest time.Duration) {
	f.count++
	f.last = now
	if over := f.count - free; over >= 0 {
		f.until = now.Add(min(wait<<min(over, 16), longest))
	}
}
