package resolver

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/router/resolver/upstream"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("not within a minute: %s", what)
}

func TestAnswersAndTellsTheObserverFirst(t *testing.T) {
	up := newUpstream(t, "fiber", zone(t,
		"www.video.example. 300 IN CNAME edge.cdn.example.", "edge.cdn.example. 60 IN A 203.0.113.10", "edge.cdn.example. 60 IN A 203.0.113.11",
		"edge.cdn.example. 60 IN AAAA 2001:db8::10", "h.example. 120 IN HTTPS 1 . alpn=h3 ipv4hint=203.0.113.20 ipv6hint=2001:db8::20",
		"text.example. 60 IN TXT \"x\""))
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			rec := &recorder{}
			r, at := start(t, Config{Observer: rec.observe}, up)
			for _, tt := range []struct {
				name  string
				qtype uint16
				want  []string
				told  observed
			}{
				{"wWw.Video.example.", dns.TypeA, []string{"wWw.Video.example.\t0\tIN\tCNAME\tedge.cdn.example.", "edge.cdn.example.\t0\tIN\tA\t203.0.113.10", "edge.cdn.example.\t0\tIN\tA\t203.0.113.11"},
					observed{loopback, "www.video.example", "203.0.113.10 203.0.113.11 ", time.Minute}},
				{"edge.cdn.example.", dns.TypeAAAA, []string{"edge.cdn.example.\t0\tIN\tAAAA\t2001:db8::10"}, observed{loopback, "edge.cdn.example", "2001:db8::10 ", time.Minute}},
				{"h.example.", dns.TypeHTTPS, []string{"h.example.\t0\tIN\tHTTPS\t1 . alpn=\"h3\" ipv4hint=\"203.0.113.20\" ipv6hint=\"2001:db8::20\""}, observed{loopback, "h.example", "203.0.113.20 2001:db8::20 ", 2 * time.Minute}},
				{"text.example.", dns.TypeTXT, []string{"text.example.\t0\tIN\tTXT\t\"x\""}, observed{}},
			} {
				before := len(rec.all())
				resp := query(t, network, at, tt.name, tt.qtype)
				if diff := cmp.Diff(tt.want, texts(resp)); diff != "" || resp.Rcode != dns.RcodeSuccess || !resp.RecursionAvailable {
					t.Errorf("%s: %v %s", tt.name, resp.MsgHdr, diff)
				}
				told := rec.all()[before:]
				if tt.told == (observed{}) {
					if len(told) != 0 {
						t.Errorf("%s: told %v", tt.name, told)
					}
				} else if diff := cmp.Diff([]observed{tt.told}, told, cmp.AllowUnexported(observed{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
					t.Errorf("%s: told %s", tt.name, diff)
				}
			}
			if s := r.Stats(); s.Queries != 4 || s.Misses != 4 || s.Failed != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestCacheServesEachClientAndEnds(t *testing.T) {
	up := newUpstream(t, "fiber", zone(t, "a.example. 60 IN A 203.0.113.10"))
	rec := &recorder{}
	r := prepare(t, Config{Observer: rec.observe}, up)
	now := time.Now()
	r.now = func() time.Time { return now }
	ask := func(client, name string) *dns.Msg {
		return r.Answer(t.Context(), netip.MustParseAddrPort(client), new(dns.Msg).SetQuestion(name, dns.TypeA))
	}
	ask("10.77.0.1:1000", "a.example.")
	now = now.Add(20 * time.Second)
	if m := ask("10.77.0.2:1000", "A.example."); m.Answer[0].Header().Ttl != 40 || m.Answer[0].Header().Name != "A.example." {
		t.Errorf("cached answer %v", m.Answer)
	}
	if told := rec.all(); len(told) != 2 || told[1].client != netip.MustParseAddr("10.77.0.2") || told[1].ttl != 40*time.Second {
		t.Errorf("told %v", told)
	}
	ask("10.77.0.1:1000", "missing.example.")
	if m := ask("10.77.0.1:1000", "missing.example."); m.Rcode != dns.RcodeNameError || len(m.Ns) != 1 {
		t.Errorf("negative answer %v", m)
	}
	if n := len(up.questions()); n != 2 {
		t.Errorf("%d questions went out, want 2: %v", n, up.questions())
	}
	now = now.Add(41 * time.Second)
	ask("10.77.0.1:1000", "a.example.")
	ask("10.77.0.1:1000", "missing.example.") // its SOA gives it 60 s
	now = now.Add(20 * time.Second)
	ask("10.77.0.1:1000", "missing.example.")
	if n := len(up.questions()); n != 4 {
		t.Errorf("%d questions went out, want 4: %v", n, up.questions())
	}
	r.FlushCache()
	ask("10.77.0.1:1000", "a.example.")
	if n := len(up.questions()); n != 5 || r.cache.entries.Len() != 1 {
		t.Errorf("after a flush: %d questions, %d entries", n, r.cache.entries.Len())
	}
}

// A name that many ask for is asked for again before its answer ends, once, and one that few ask for is not.
func TestPopularAnswersAreRenewed(t *testing.T) {
	up := newUpstream(t, "fiber", zone(t, "a.example. 100 IN A 203.0.113.10", "rare.example. 100 IN A 203.0.113.11"))
	r := prepare(t, Config{}, up)
	start := time.Now()
	var shift atomic.Int64
	r.now = func() time.Time { return start.Add(time.Duration(shift.Load())) }
	ask := func(name string) *dns.Msg {
		return r.Answer(t.Context(), netip.MustParseAddrPort("10.77.0.1:1"), new(dns.Msg).SetQuestion(name, dns.TypeA))
	}
	ask("rare.example.")
	for range popular {
		ask("a.example.")
	}
	shift.Store(int64(89 * time.Second))
	ask("a.example.")
	if s := r.Stats(); s.Renewed != 0 || s.Misses != 2 {
		t.Errorf("too early: %+v", s)
	}
	shift.Store(int64(91 * time.Second))
	ask("rare.example.")
	if m := ask("a.example."); len(m.Answer) != 1 || m.Answer[0].Header().Ttl != 9 {
		t.Errorf("got %v", m)
	}
	eventually(t, "the answer is renewed", func() bool {
		s, ok := r.cache.get(question{name: "a.example.", qtype: dns.TypeA}, r.now())
		return ok && s.at.Equal(r.now())
	})
	if m := ask("a.example."); m.Answer[0].Header().Ttl != 100 {
		t.Errorf("got %v", m)
	}
	if s := r.Stats(); s.Renewed != 1 || s.Misses != 2 {
		t.Errorf("stats %+v", s)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(100, 20_000, time.Hour)
	now := time.Now()
	for i := range 1000 {
		c.put(question{name: fmt.Sprint(i)}, make([]byte, i%1000), time.Minute, now)
		if c.entries.Len() > 100 || c.bytes > 20_000 {
			t.Fatalf("%d entries, %d bytes", c.entries.Len(), c.bytes)
		}
	}
	c.put(question{name: "huge"}, make([]byte, 30_000), time.Minute, now)
	if _, ok := c.get(question{name: "huge"}, now); ok {
		t.Error("an answer larger than the cache was kept")
	}
	c.clear()
	if c.bytes != 0 || c.entries.Len() != 0 {
		t.Errorf("after clear: %d bytes, %d entries", c.bytes, c.entries.Len())
	}
}

func TestHangingAndRefusingUpstreamsDoNotStall(t *testing.T) {
	good := newUpstream(t, "lte", zone(t, "a.example. 60 IN A 203.0.113.10", "b.example. 60 IN A 203.0.113.11"))
	for name, f := range map[string]func(dns.ResponseWriter, *dns.Msg){
		"hanging":  hang,
		"servfail": func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)) },
		"refused":  func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeRefused)) },
	} {
		t.Run(name, func(t *testing.T) {
			bad := newUpstream(t, "fiber", f)
			r, at := start(t, Config{}, bad, good)
			if m := query(t, "udp", at, "a.example.", dns.TypeA); len(m.Answer) != 1 {
				t.Fatalf("got %v", m)
			}
			before := len(bad.questions())
			if m := query(t, "udp", at, "b.example.", dns.TypeA); len(m.Answer) != 1 {
				t.Fatalf("got %v", m)
			}
			if n := len(bad.questions()); n != before {
				t.Errorf("the bad upstream is still asked first: %v", bad.questions())
			}
			if s := r.Stats(); s.Failed != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestClosedPortIsPassedOverAtOnce(t *testing.T) {
	good := newUpstream(t, "lte", zone(t, "a.example. 60 IN A 203.0.113.10"))
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := &nameServer{Upstream: Upstream{Server: upstream.Server{Addr: addrPortOf(pc.LocalAddr())}, Link: "wifi"}}
	pc.Close()
	_, at := start(t, Config{}, closed, good)
	if m := query(t, "udp", at, "a.example.", dns.TypeA); len(m.Answer) != 1 {
		t.Fatalf("got %v", m)
	}
}

func TestAllUpstreamsDead(t *testing.T) {
	var dead atomic.Bool
	answer := zone(t, "a.example. 60 IN A 203.0.113.10")
	up := newUpstream(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) {
		if !dead.Load() {
			answer(w, q)
		}
	})
	r := prepare(t, Config{}, up)
	var shift atomic.Int64
	r.now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	ask := func(name string) *dns.Msg {
		return r.Answer(t.Context(), netip.MustParseAddrPort("10.77.0.1:1"), new(dns.Msg).SetQuestion(name, dns.TypeA))
	}
	ask("a.example.")
	dead.Store(true)
	shift.Store(int64(time.Hour))
	if m := ask("a.example."); len(m.Answer) != 1 || m.Answer[0].Header().Ttl != staleTTL {
		t.Errorf("stale answer %v", m)
	}
	if m := ask("b.example."); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("without memory: %v", m)
	}
	if s := r.Stats(); s.Stale != 1 || s.Failed != 1 {
		t.Errorf("stats %+v", s)
	}
	shift.Store(int64(26 * time.Hour))
	if _, ok := r.cache.get(question{name: "a.example.", qtype: dns.TypeA}, r.now()); ok {
		t.Error("stale answers are kept for ever")
	}
	none := prepare(t, Config{Upstreams: func() []Upstream { return nil }})
	if m := none.Answer(t.Context(), netip.AddrPort{}, new(dns.Msg).SetQuestion("a.example.", dns.TypeA)); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("without upstreams: %v", m)
	}
}

func size(m *dns.Msg) int {
	m.Compress = true
	return m.Len()
}

func TestTruncation(t *testing.T) {
	var records []string
	for i := range 200 {
		records = append(records, fmt.Sprintf("big.example. 60 IN A 203.0.113.%d", i+1))
	}
	full := zone(t, records...)
	up := newUpstream(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) {
		if w.RemoteAddr().Network() == "udp" {
			m := new(dns.Msg).SetReply(q)
			m.Truncated = true
			w.WriteMsg(m)
			return
		}
		full(w, q)
	})
	rec := &recorder{}
	_, at := start(t, Config{Observer: rec.observe}, up)
	if m := query(t, "udp", at, "big.example.", dns.TypeA); !m.Truncated || size(m) > dns.MinMsgSize {
		t.Errorf("a client without EDNS got %d bytes, truncated %v", size(m), m.Truncated)
	}
	if m := query(t, "tcp", at, "big.example.", dns.TypeA); m.Truncated || len(m.Answer) != 200 {
		t.Errorf("over TCP %d records, truncated %v", len(m.Answer), m.Truncated)
	}
	m := new(dns.Msg).SetQuestion("big.example.", dns.TypeA).SetEdns0(60000, false)
	if m := exchangeWith(t, "udp", at, m); !m.Truncated || size(m) > ednsSize || m.IsEdns0() == nil {
		t.Errorf("a client with EDNS got %d bytes, truncated %v", size(m), m.Truncated)
	}
	if told := rec.all(); len(strings.Fields(told[0].addrs)) != maxAddrs {
		t.Errorf("told of %d addresses", len(strings.Fields(told[0].addrs)))
	}
}

// A forger on the way answers first: wrong id, wrong name, wrong case, garbage. None is taken.
func TestForgedAnswersAreNotTaken(t *testing.T) {
	real := zone(t, "www.bank.example. 60 IN A 203.0.113.10")
	up := newUpstream(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) {
		forge := func(change func(*dns.Msg)) {
			m := new(dns.Msg).SetReply(q)
			rr, _ := dns.NewRR("www.bank.example. 60 IN A 203.0.113.66")
			m.Answer = []dns.RR{rr}
			change(m)
			w.WriteMsg(m)
		}
		if w.RemoteAddr().Network() == "udp" {
			w.Write([]byte("x"))
			w.Write([]byte(strings.Repeat("\xff", 40)))
			forge(func(m *dns.Msg) { m.Id++ })
			forge(func(m *dns.Msg) { m.Question[0].Name = "other.example." })
			forge(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA })
			forge(func(m *dns.Msg) { m.Question = nil })
			forge(func(m *dns.Msg) { m.Response = false })
			forge(func(m *dns.Msg) { m.Question[0].Name = "WWW.BANK.EXAMPLE." })
		}
		real(w, q)
	})
	r, at := start(t, Config{}, up)
	m := query(t, "udp", at, "www.bank.example.", dns.TypeA)
	if diff := cmp.Diff([]string{"www.bank.example.\t0\tIN\tA\t203.0.113.10"}, texts(m)); diff != "" {
		t.Error(diff)
	}
	if s := r.Stats(); s.Strange < 7 {
		t.Errorf("stats %+v", s)
	}
}

func TestUpstreamHabits(t *testing.T) {
	// Each letter of a question is a capital or not by chance: of a short name all are small ones once in a while, and nothing is learned from that.
	const long = "a-name-of-so-many-letters-that-some-are-capitals.and-then-some-more-of-them.example."
	answer := zone(t, "a.example. 60 IN A 203.0.113.10", "b.example. 60 IN A 203.0.113.11", long+" 60 IN A 203.0.113.12")
	t.Run("lower case", func(t *testing.T) {
		up := newUpstream(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) {
			q.Question[0].Name = strings.ToLower(q.Question[0].Name)
			answer(w, q)
		})
		_, at := start(t, Config{}, up)
		query(t, "udp", at, long, dns.TypeA)
		if m := query(t, "udp", at, "b.example.", dns.TypeA); len(m.Answer) != 1 {
			t.Errorf("got %v", m)
		}
		last := up.questions()
		if got := last[len(last)-1]; got != "udp A b.example." {
			t.Errorf("the habit was not learned: %v", last)
		}
	})
	t.Run("no EDNS", func(t *testing.T) {
		up := newUpstream(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) {
			if q.IsEdns0() != nil {
				w.WriteMsg(new(dns.Msg).SetRcodeFormatError(q))
				return
			}
			answer(w, q)
		})
		_, at := start(t, Config{}, up)
		query(t, "udp", at, "a.example.", dns.TypeA)
		if m := query(t, "udp", at, "b.example.", dns.TypeA); len(m.Answer) != 1 || len(up.questions()) < 3 {
			t.Errorf("got %v, asked %v", m, up.questions())
		}
	})
}

func TestOneFlightForAllWhoAsk(t *testing.T) {
	release := make(chan struct{})
	answer := zone(t, "a.example. 60 IN A 203.0.113.10")
	up := newUpstream(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) { <-release; answer(w, q) })
	r := prepare(t, Config{}, up)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(i)}), 1)
			if m := r.Answer(t.Context(), client, new(dns.Msg).SetQuestion("a.example.", dns.TypeA)); len(m.Answer) != 1 {
				t.Errorf("got %v", m)
			}
		})
	}
	eventually(t, "50 waiting", func() bool { return r.Stats().Misses == 50 && len(up.questions()) > 0 })
	close(release)
	wg.Wait()
	if n := len(up.questions()); n > 2 { // the second is the retry when the first takes long
		t.Errorf("%d questions went out for 50 clients", n)
	}
}

func TestFloodOfOneClientIsBounded(t *testing.T) {
	up := newUpstream(t, "fiber", hang)
	r, at := start(t, Config{PerClient: 5}, up)
	conn, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 40 {
		b, _ := new(dns.Msg).SetQuestion(fmt.Sprintf("n%d.example.", i), dns.TypeA).Pack()
		conn.Write(b)
	}
	eventually(t, "35 dropped", func() bool { return r.Stats().Flooded >= 35 })
	if s := r.Stats(); s.Queries > 5 {
		t.Errorf("stats %+v", s)
	}
}

func TestQueryThatComesBackIsDropped(t *testing.T) {
	var at atomic.Pointer[netip.AddrPort]
	r, addr := start(t, Config{Upstreams: func() []Upstream { return []Upstream{{Server: upstream.Server{Addr: *at.Load()}, Link: "loop"}} }})
	self := netip.MustParseAddrPort(addr)
	at.Store(&self)
	if m := query(t, "udp", addr, "a.example.", dns.TypeA); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %v", m)
	}
	if s := r.Stats(); s.Loops == 0 || s.Queries != 1 || s.Forwarded > maxAttempts {
		t.Errorf("stats %+v", s)
	}
}

func TestSlowObserverDoesNotHoldTheAnswer(t *testing.T) {
	up := newUpstream(t, "fiber", zone(t, "a.example. 60 IN A 203.0.113.10"))
	release := make(chan struct{})
	observer := func(context.Context, netip.AddrPort, string, []netip.Addr, time.Duration) { <-release }
	r, at := start(t, Config{Observer: observer}, up)
	t.Cleanup(func() { close(release) })
	if m := query(t, "udp", at, "a.example.", dns.TypeA); len(m.Answer) != 1 {
		t.Errorf("got %v", m)
	}
	if s := r.Stats(); s.Late != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestPortInUseSaysWhatToDo(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		var at string
		var err error
		for range 50 { // else a connection has the port over TCP that was free for UDP
			pc, l := listenBoth(t)
			defer pc.Close()
			defer l.Close()
			if at = pc.LocalAddr().String(); network == "udp" {
				l.Close()
			} else {
				pc.Close()
			}
			err = prepare(t, Config{Listen: []string{"127.0.0.1:0", at}}).Run(t.Context())
			if err != nil && strings.Contains(err.Error(), network+" "+at) {
				break
			}
		}
		if err == nil || !strings.Contains(err.Error(), "systemd-resolved") || !strings.Contains(err.Error(), network+" "+at) {
			t.Errorf("%s: %v", network, err)
		}
	}
	err := prepare(t, Config{Listen: []string{"192.0.2.77:0"}}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no interface has this address") {
		t.Errorf("foreign address: %v", err)
	}
	if _, err := New(Config{Sockets: plainSockets{}, Log: prepare(t, Config{}).cfg.Log, Upstreams: func() []Upstream { return nil }, Listen: []string{"53"}}); err == nil {
		t.Error("a listen address without a port separator was accepted")
	}
}
