package resolver

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Times of a question to the upstreams.
const (
	queryTime   = 5 * time.Second        // for all attempts together
	attemptTime = 2 * time.Second        // for one
	hedgeAfter  = 150 * time.Millisecond // no answer: ask the next one too; doubled each time
	minAttempts = 3
	maxAttempts = 6
)

// ednsSize is the largest datagram asked for: it passes every link unfragmented (RFC 9715).
const ednsSize = 1232

var errForeign = errors.New("the answer is to another question")

var errNoUpstream = errors.New("no upstream: no living link has a DNS server")

var errBusy = errors.New("too many questions wait for the upstreams already")

// health remembers how upstreams answer.
type health struct {
	mu    sync.Mutex
	known map[Upstream]*record
	ports map[string]int // local addresses of our own sockets, to recognise our own queries
}

// record is one upstream's past.
type record struct {
	rtt    time.Duration // smoothed; 0: unknown
	fails  int           // in a row
	until  time.Time     // not to be preferred before
	plain  bool          // does not keep the name's case
	noEDNS bool          // refuses queries with EDNS
}

// maxKnown bounds the upstreams remembered: links come and go.
const maxKnown = 64

func newHealth() *health {
	return &health{known: map[Upstream]*record{}, ports: map[string]int{}}
}

func (h *health) of(u Upstream) *record {
	r := h.known[u]
	if r == nil {
		if len(h.known) >= maxKnown {
			clear(h.known)
		}
		r = &record{}
		h.known[u] = r
	}
	return r
}

// rank orders upstreams: those that work before those that failed of late, quick before slow in steps of 50 ms, and
// else in the order given.
func (h *health) rank(ups []Upstream, now time.Time) []Upstream {
	h.mu.Lock()
	defer h.mu.Unlock()
	weight := make(map[Upstream]time.Duration, len(ups))
	for _, u := range ups {
		r := h.of(u)
		weight[u] = r.rtt.Truncate(50 * time.Millisecond)
		if now.Before(r.until) {
			weight[u] += time.Hour
		}
	}
	ranked := slices.Clone(ups)
	slices.SortStableFunc(ranked, func(a, b Upstream) int { return cmp.Compare(weight[a], weight[b]) })
	return ranked
}

// answered and failed note how an attempt went; a slow one that another overtook counts with the time it had.
func (h *health) answered(u Upstream, took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.of(u)
	if r.fails, r.until = 0, (time.Time{}); r.rtt == 0 {
		r.rtt = took
	}
	r.rtt += (took - r.rtt) / 4
}

func (h *health) overtaken(u Upstream, took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.of(u); took > r.rtt {
		r.rtt += (took - r.rtt) / 2
	}
}

func (h *health) failed(u Upstream, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.of(u)
	r.fails = min(r.fails+1, 5)
	r.until = now.Add(time.Second << r.fails)
}

func (h *health) habits(u Upstream) (plain, noEDNS bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.of(u)
	return r.plain, r.noEDNS
}

func (h *health) learn(u Upstream, f func(*record)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h.of(u))
}

// asking registers a socket of ours; the function it returns ends that.
func (h *health) asking(local string) func() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ports[local]++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.ports[local]--; h.ports[local] <= 0 {
			delete(h.ports, local)
		}
	}
}

// ours tells whether a query came from a socket with which we are asking an upstream: it was led back to us.
func (h *health) ours(client string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ports[client] > 0
}

type outcome struct {
	msg  *dns.Msg
	err  error
	from int // index of the attempt
}

// exchange asks the upstreams: the best one first, the next whenever one fails or is slow, and takes the first real answer. When
// all fail, the error says how each did.
//
// An attempt costs a socket, and most of them hang together when their upstream does: no more than AtOnce are under way, and second ones are
// not made beside slow first ones while many are (see busy).
func (r *Resolver) exchange(ctx context.Context, q question) (*dns.Msg, error) {
	ups := r.health.rank(r.cfg.Upstreams(), r.now())
	if len(ups) == 0 {
		return nil, errNoUpstream
	}
	if !r.enter() {
		return nil, errBusy
	}
	attempts := min(max(2*len(ups), minAttempts), maxAttempts)
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	results := make(chan outcome, attempts)
	started := make([]time.Time, 0, attempts)
	running := 0
	launch := func() { // after enter
		i := len(started)
		started = append(started, r.now())
		running++
		r.stats.forwarded.Add(1)
		go func() {
			msg, err := r.ask(ctx, ups[i%len(ups)], q)
			r.asking.Add(-1)
			results <- outcome{msg, err, i}
		}()
	}
	launch()
	delay := hedgeAfter
	hedge := time.NewTimer(delay)
	defer hedge.Stop()
	var errs []error
	waiting := map[int]bool{0: true}
	next := func() {
		if len(started) < attempts && ctx.Err() == nil && r.enter() {
			waiting[len(started)] = true
			launch()
		}
	}
	for running > 0 {
		select {
		case <-hedge.C:
			if len(started) < attempts && !r.busy() {
				r.stats.hedged.Add(1)
				next()
			}
			delay *= 2
			hedge.Reset(delay)
		case o := <-results:
			running--
			delete(waiting, o.from)
			u := ups[o.from%len(ups)]
			if o.err == nil {
				r.health.answered(u, r.now().Sub(started[o.from]))
				for i := range waiting {
					if other := ups[i%len(ups)]; other != u {
						r.health.overtaken(other, r.now().Sub(started[i]))
					}
				}
				return o.msg, nil
			}
			r.health.failed(u, r.now())
			r.warnFalse(u, o.err)
			errs = append(errs, fmt.Errorf("%s over %s: %w", u.Server, u.Link, o.err))
			next()
		}
	}
	return nil, errors.Join(errs...)
}

// enter takes the place of one attempt at an upstream, of which there are AtOnce.
func (r *Resolver) enter() bool {
	for {
		n := r.asking.Load()
		if n >= int64(r.cfg.AtOnce) {
			return false
		}
		if r.asking.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// busy tells whether so many questions wait for upstreams that only those go out for which a client waits, each once at a time.
func (r *Resolver) busy() bool { return r.asking.Load() >= int64(max(r.cfg.AtOnce/4, 1)) }

// warnFalse logs that an upstream is not who it should be: other upstreams answer, so nobody else would tell.
func (r *Resolver) warnFalse(u Upstream, err error) {
	var refused *tls.CertificateVerificationError
	if errors.As(err, &refused) && r.saidFalse.now(r.now()) {
		r.cfg.Log.Warn("an encrypted DNS upstream could not prove who it is; it is not asked", "server", u.Server, "link", u.Link, "error", err)
	}
}

// errLame is an upstream's refusal to answer.
type errLame struct{ rcode int }

func (e errLame) Error() string { return "answered " + dns.RcodeToString[e.rcode] }

// errCut is an answer that says it is not whole where there is room for all.
var errCut = errors.New("the answer is cut short though nothing limits it")

// ask makes one attempt at one upstream.
func (r *Resolver) ask(ctx context.Context, u Upstream, q question) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	plain, noEDNS := r.health.habits(u)
	var resp *dns.Msg
	var err error
	if u.Server.Encrypted() {
		resp, err = r.askSecure(ctx, u, newQuery(q, true, noEDNS))
	} else {
		resp, err = r.askPlain(ctx, u, newQuery(q, plain, noEDNS))
	}
	switch {
	case err != nil:
		return nil, err
	case resp.Truncated:
		return nil, errCut
	case resp.Rcode == dns.RcodeSuccess || resp.Rcode == dns.RcodeNameError:
		// That an answer was validated is worth as much as the way it came (RFC 4035 §4.9.3).
		resp.AuthenticatedData = resp.AuthenticatedData && u.Server.Encrypted()
		return resp, nil
	case (resp.Rcode == dns.RcodeFormatError || resp.Rcode == dns.RcodeNotImplemented) && !noEDNS:
		r.health.learn(u, func(rec *record) { rec.noEDNS = true })
		return r.ask(ctx, u, q)
	}
	return nil, errLame{resp.Rcode}
}

// askPlain asks over UDP, and over TCP when the answer does not fit or looks forged.
func (r *Resolver) askPlain(ctx context.Context, u Upstream, query *dns.Msg) (*dns.Msg, error) {
	resp, how, err := r.roundTrip(ctx, u, "udp", query)
	if err != nil || how != otherCase && !resp.Truncated {
		return resp, err
	}
	r.stats.overlarge.Add(1)
	resp, how, err = r.roundTrip(ctx, u, "tcp", query)
	if how == otherCase { // over TCP nobody can guess: this server just writes names its own way
		r.health.learn(u, func(rec *record) { rec.plain = true })
	}
	return resp, err
}

// askSecure asks under TLS, where nobody on the way can forge: the spelling of the name does not matter.
func (r *Resolver) askSecure(ctx context.Context, u Upstream, query *dns.Msg) (*dns.Msg, error) {
	resp, err := r.secure.Exchange(ctx, u.Server, u.Via, query)
	if err != nil {
		return nil, timeoutOr(ctx, err)
	}
	if match(query, resp) == foreign {
		r.stats.strange.Add(1)
		return nil, errForeign
	}
	return resp, nil
}

// newQuery writes a question of our own: fresh id, random case (which a forger off the path must guess too), nothing of the client's
// but what the question is.
func newQuery(q question, plain, noEDNS bool) *dns.Msg {
	m := new(dns.Msg)
	m.Id, m.RecursionDesired, m.CheckingDisabled = dns.Id(), true, q.cd
	m.AuthenticatedData = true // wants to know whether the answer was validated (RFC 6840 §5.7)
	name := q.name
	if !plain {
		name = mixCase(name)
	}
	m.Question = []dns.Question{{Name: name, Qtype: q.qtype, Qclass: dns.ClassINET}}
	if !noEDNS {
		m.SetEdns0(ednsSize, q.do)
	}
	return m
}

func mixCase(name string) string {
	if strings.IndexByte(name, '\\') >= 0 { // escapes of the text form: rare, and their letters must stay
		return name
	}
	b := []byte(name)
	bits := make([]byte, (len(b)+7)/8)
	rand.Read(bits) // never fails
	for i, c := range b {
		if c >= 'a' && c <= 'z' && bits[i/8]>>(i%8)&1 == 1 {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// roundTrip sends the query on a socket of its own, with a port of the kernel's choosing, and waits for the
// message that fits; others are passed over.
func (r *Resolver) roundTrip(ctx context.Context, u Upstream, network string, query *dns.Msg) (*dns.Msg, fit, error) {
	conn, err := r.cfg.Sockets.Dial(ctx, u.Via, network, u.Server.Addr)
	if err != nil {
		return nil, foreign, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if local := addrPortOf(conn.LocalAddr()); local.IsValid() {
		defer r.health.asking(network + local.String())()
	}
	packed, err := query.Pack()
	if err != nil {
		return nil, foreign, fmt.Errorf("pack the question: %w", err)
	}
	if err := send(conn, network, packed); err != nil {
		return nil, foreign, timeoutOr(ctx, err)
	}
	for {
		raw, err := receive(conn, network)
		if err != nil {
			return nil, foreign, timeoutOr(ctx, err)
		}
		resp := new(dns.Msg)
		if err := resp.Unpack(raw); err != nil && !truncatedHeaderOnly(raw, resp) {
			r.stats.strange.Add(1)
			if network == "udp" {
				continue
			}
			return nil, foreign, fmt.Errorf("malformed answer: %w", err)
		}
		if how := match(query, resp); how != foreign {
			return resp, how, nil
		}
		r.stats.strange.Add(1)
		if network == "tcp" {
			return nil, foreign, errForeign
		}
	}
}

// truncatedHeaderOnly accepts a message that was cut in the middle of a record, if it says so and its question is whole.
func truncatedHeaderOnly(raw []byte, m *dns.Msg) bool {
	return len(raw) > 2 && raw[2]&2 != 0 && m.Truncated && len(m.Question) == 1
}

// send writes a message: over TCP with its length before it (RFC 1035 §4.2.2).
func send(conn net.Conn, network string, packed []byte) error {
	if network == "tcp" {
		packed = append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(packed)), uint16(len(packed))), packed...)
	}
	_, err := conn.Write(packed)
	return err
}

// maxDatagram is the largest answer read over UDP: some servers send more than they were asked to.
const maxDatagram = 4096

func receive(conn net.Conn, network string) ([]byte, error) {
	if network != "tcp" {
		b := make([]byte, maxDatagram)
		n, err := conn.Read(b)
		return b[:n], err
	}
	var head [2]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(head[:]))
	_, err := io.ReadFull(conn, b)
	return b, err
}

func timeoutOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("no answer in time")
	}
	return err
}
