package resolver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/router/resolver/upstream"
)

// said is a handler that gives the records whatever is asked for; those of the additional section are behind nil.
func said(t testing.TB, records ...string) func(dns.ResponseWriter, *dns.Msg) {
	t.Helper()
	var answer, extra []dns.RR
	into := &answer
	for _, s := range records {
		if s == "" {
			into = &extra
			continue
		}
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		*into = append(*into, rr)
	}
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		for _, rr := range answer {
			m.Answer = append(m.Answer, dns.Copy(rr))
		}
		for _, rr := range extra {
			m.Extra = append(m.Extra, dns.Copy(rr))
		}
		w.WriteMsg(m) // over TCP nobody may wait any more: another attempt was answered
	}
}

// Many clients ask for names that do not exist in memory while the upstream hangs: what is under way stays bounded, on top of it queries are
// refused at once and politely, and when the upstream is well again so is the resolver, with nothing left behind.
func TestFloodWhileTheUpstreamHangs(t *testing.T) {
	const atOnce, perClient = 40, 10
	var well atomic.Bool
	answer := zone(t, "a.example. 60 IN A 203.0.113.10")
	up := newUpstream(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) {
		if well.Load() {
			answer(w, q)
		}
	})
	r, at := start(t, Config{AtOnce: atOnce, PerClient: perClient}, up)
	before := runtime.NumGoroutine()
	var conns []net.Conn
	for i := range 20 {
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(127, 0, 1, byte(i+1))}}
		conn, err := d.Dial("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	most := int64(0) // questions under way
	for n := range 100 {
		for i, conn := range conns {
			q := new(dns.Msg).SetQuestion(fmt.Sprintf("n%d-%d.example.", i, n), dns.TypeA).SetEdns0(1232, false)
			b, err := q.Pack()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		most = max(most, r.asking.Load())
	}
	eventually(t, "refusals", func() bool { return r.Stats().Flooded > 0 })
	if most = max(most, r.asking.Load()); most > atOnce {
		t.Errorf("%d questions were under way, want at most %d", most, atOnce)
	}
	refusals := 0
	for _, conn := range conns {
		buf := make([]byte, dns.MaxMsgSize)
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		m := new(dns.Msg)
		if err != nil || m.Unpack(buf[:n]) != nil {
			t.Fatalf("no answer: %v", err)
		}
		if m.Rcode == dns.RcodeRefused && m.IsEdns0() != nil && len(m.IsEdns0().Option) == 1 {
			refusals++
		} else if m.Rcode != dns.RcodeServerFailure {
			t.Errorf("got %v", m)
		}
	}
	if refusals == 0 {
		t.Error("nobody was told of the flood")
	}
	well.Store(true)
	eventually(t, "an answer after the flood", func() bool {
		c := dns.Client{Timeout: time.Second} // the kernel's buffer may be full: another try may not
		m, _, err := c.Exchange(new(dns.Msg).SetQuestion("a.example.", dns.TypeA), at)
		return err == nil && len(m.Answer) == 1
	})
	eventually(t, "nothing left of the flood", func() bool {
		r.limit.mu.Lock()
		defer r.limit.mu.Unlock()
		return r.asking.Load() == 0 && len(r.limit.used) == 0 && r.limit.all == 0 && runtime.NumGoroutine() <= before+5
	})
}

// Popular names near their end are asked for again though nobody waits: not while many questions wait for the upstreams already.
func TestRenewalsWaitWhileMuchIsAsked(t *testing.T) {
	const atOnce, names = 20, 50
	up := newUpstream(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		h := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1000}
		m.Answer = []dns.RR{&dns.A{Hdr: h, A: net.IPv4(203, 0, 113, 1)}}
		w.WriteMsg(m)
	})
	r := prepare(t, Config{AtOnce: atOnce}, up)
	defer r.stop()
	begin := time.Now()
	var shift atomic.Int64
	r.now = func() time.Time { return begin.Add(time.Duration(shift.Load())) }
	ask := func(i int) {
		t.Helper()
		q := new(dns.Msg).SetQuestion(fmt.Sprintf("n%d.example.", i), dns.TypeA)
		if m := r.Answer(t.Context(), netip.MustParseAddrPort("10.77.0.1:1"), q); len(m.Answer) != 1 {
			t.Fatalf("got %v", m)
		}
	}
	for i := range names {
		for range popular {
			ask(i)
		}
	}
	eventually(t, "no question is under way", func() bool { return r.asking.Load() == 0 })
	shift.Store(int64(950 * time.Second))
	r.asking.Add(atOnce / 4) // these hang
	for i := range names {
		ask(i)
	}
	if n := r.Stats().Renewed; n != 0 {
		t.Errorf("%d names were renewed beside questions that hang", n)
	}
	r.asking.Add(-atOnce / 4)
	ask(0)
	if n := r.Stats().Renewed; n != 1 {
		t.Errorf("%d names were renewed afterwards, want 1", n)
	}
	eventually(t, "the renewal is done", func() bool { return r.asking.Load() == 0 })
}

// No more attempts than AtOnce are under way, and one that has no room is told to be so at once.
func TestAttemptsHaveRoom(t *testing.T) {
	up := newUpstream(t, "fiber", zone(t, "a.example. 60 IN A 203.0.113.10"))
	r := prepare(t, Config{AtOnce: 2}, up)
	defer r.stop()
	for i, want := range []bool{true, true, false} {
		if got := r.enter(); got != want {
			t.Errorf("attempt %d has room: %v, want %v", i+1, got, want)
		}
	}
	q := question{name: "a.example.", qtype: dns.TypeA}
	if _, err := r.exchange(t.Context(), q); !errors.Is(err, errBusy) {
		t.Errorf("got %v, want %v", err, errBusy)
	}
	r.asking.Add(-1)
	if m, err := r.exchange(t.Context(), q); err != nil || len(m.Answer) != 1 {
		t.Errorf("got %v, %v", m, err)
	}
}

// Aliases that lead in a circle, and chains longer than any honest one, end; a chain of usual length is followed to its address.
func TestAliases(t *testing.T) {
	chain := func(n int) []string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("c%d.example. 60 IN CNAME c%d.example.", i, i+1))
		}
		return append(list, fmt.Sprintf("c%d.example. 60 IN A 203.0.113.10", n))
	}
	reversed := chain(maxChain - 1)
	slices.Reverse(reversed)
	for name, tt := range map[string]struct {
		records []string
		told    string // addresses that the Observer is told of
	}{
		"to itself":      {[]string{"c0.example. 60 IN CNAME c0.example."}, ""},
		"circle of two":  {[]string{"c0.example. 60 IN CNAME c1.example.", "c1.example. 60 IN CNAME c0.example."}, ""},
		"circle, beside": {[]string{"c0.example. 60 IN CNAME c1.example.", "c1.example. 60 IN CNAME c0.example.", "c9.example. 60 IN A 203.0.113.66"}, ""},
		"usual":          {chain(4), "203.0.113.10 "},
		"longest":        {chain(maxChain - 1), "203.0.113.10 "},
		"any order":      {reversed, "203.0.113.10 "},
		"endless":        {chain(200), ""},
	} {
		t.Run(name, func(t *testing.T) {
			up := newUpstream(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) {
				if w.RemoteAddr().Network() == "udp" {
					m := new(dns.Msg).SetReply(q)
					m.Truncated = true
					w.WriteMsg(m)
					return
				}
				said(t, tt.records...)(w, q)
			})
			rec := &recorder{}
			r, at := start(t, Config{Observer: rec.observe, Hold: time.Minute}, up)
			m := query(t, "tcp", at, "c0.example.", dns.TypeA)
			told := ""
			for _, o := range rec.all() {
				told += o.addrs
			}
			if told != tt.told || m.Rcode != dns.RcodeSuccess || len(m.Answer) > maxChain+1 {
				t.Errorf("told of %q, want %q; got %v", told, tt.told, m)
			}
			if n := r.cache.entries.Len(); (n == 1) != (tt.told != "") {
				t.Errorf("%d answers are kept", n)
			}
		})
	}
}

// An upstream says more than it was asked: nothing of it reaches the client, the Observer or the memory for another name.
func TestPoisonBesideTheAnswer(t *testing.T) {
	up := newUpstream(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) {
		name := dns.CanonicalName(q.Question[0].Name)
		if name == "www.bank.example." {
			said(t, "www.bank.example. 60 IN A 203.0.113.10")(w, q)
			return
		}
		said(t, q.Question[0].Name+" 60 IN A 203.0.113.66", "www.bank.example. 60 IN A 203.0.113.66", "example. 60 IN NS ns.evil.example.",
			"www.bank.example. 60 IN CNAME evil.example.", "", "www.bank.example. 60 IN A 203.0.113.66", "ns.evil.example. 60 IN A 203.0.113.66")(w, q)
	})
	rec := &recorder{}
	_, at := start(t, Config{Observer: rec.observe, Hold: time.Minute}, up)
	m := query(t, "udp", at, "evil.example.", dns.TypeA)
	if diff := cmp.Diff([]string{"evil.example.\t0\tIN\tA\t203.0.113.66"}, texts(m)); diff != "" || len(m.Ns)+len(m.Extra) != 0 {
		t.Errorf("%s%v", diff, m)
	}
	m = query(t, "udp", at, "www.bank.example.", dns.TypeA)
	if diff := cmp.Diff([]string{"www.bank.example.\t0\tIN\tA\t203.0.113.10"}, texts(m)); diff != "" {
		t.Error(diff)
	}
	for _, o := range rec.all() {
		if o.host == "www.bank.example" && o.addrs != "203.0.113.10 " {
			t.Errorf("told of %v", o)
		}
	}
}

// Answers that fit in everything but where they come from, another port and another address of the upstream's machine, are not taken.
func TestAnswersFromElsewhereAreNotTaken(t *testing.T) {
	var strangers []net.PacketConn
	for _, at := range []string{"127.0.0.1:0", "127.0.0.2:0"} {
		pc, err := net.ListenPacket("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		strangers = append(strangers, pc)
	}
	forged := make([]atomic.Int32, len(strangers))
	real := zone(t, "www.bank.example. 60 IN A 203.0.113.10")
	up := newUpstream(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		rr, _ := dns.NewRR(q.Question[0].Name + " 60 IN A 203.0.113.66")
		m.Answer = []dns.RR{rr}
		b, err := m.Pack()
		if err != nil {
			t.Error(err)
		}
		for i, pc := range strangers {
			if _, err := pc.WriteTo(b, w.RemoteAddr()); err == nil { // a second attempt may come when the test has ended
				forged[i].Add(1)
			}
		}
		real(w, q)
	})
	_, at := start(t, Config{}, up)
	if diff := cmp.Diff([]string{"www.bank.example.\t0\tIN\tA\t203.0.113.10"}, texts(query(t, "udp", at, "www.bank.example.", dns.TypeA))); diff != "" {
		t.Error(diff)
	}
	for i := range forged {
		if forged[i].Load() == 0 {
			t.Errorf("nothing came from %v", strangers[i].LocalAddr())
		}
	}
}

// An upstream is ill in one way or another, over UDP, over TCP or in both; the next one answers, and the client is told nothing else.
func TestNextUpstreamAnswersForTheIll(t *testing.T) {
	truncated := func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Truncated = true
		w.WriteMsg(m)
	}
	other := said(t, "other.example. 60 IN A 203.0.113.66")
	overTCP := func(w dns.ResponseWriter) bool { return w.RemoteAddr().Network() == "tcp" }
	for name, ill := range map[string]func(dns.ResponseWriter, *dns.Msg){
		"another question": func(w dns.ResponseWriter, q *dns.Msg) {
			q.Question[0].Name = "other.example."
			other(w, q)
		},
		"another question over TCP": func(w dns.ResponseWriter, q *dns.Msg) {
			if !overTCP(w) {
				truncated(w, q)
				return
			}
			q.Question[0].Name = "other.example."
			other(w, q)
		},
		"two questions": func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			m.Question = append(m.Question, m.Question[0])
			w.WriteMsg(m)
		},
		"hangs over TCP": func(w dns.ResponseWriter, q *dns.Msg) {
			if !overTCP(w) {
				truncated(w, q)
			}
		},
		"cut over TCP, too": truncated,
		"closes TCP": func(w dns.ResponseWriter, q *dns.Msg) {
			if overTCP(w) {
				w.Close()
				return
			}
			truncated(w, q)
		},
		"three bytes over TCP": func(w dns.ResponseWriter, q *dns.Msg) {
			if overTCP(w) {
				w.Write([]byte{0, 1, 2})
				w.Close()
				return
			}
			truncated(w, q)
		},
		"noise": func(w dns.ResponseWriter, _ *dns.Msg) { w.Write([]byte(strings.Repeat("\xc0\x0c", 30))) },
	} {
		t.Run(name, func(t *testing.T) {
			bad := newUpstream(t, "fiber", ill)
			good := newUpstream(t, "lte", zone(t, "a.example. 60 IN A 203.0.113.10"))
			r, at := start(t, Config{}, bad, good)
			if diff := cmp.Diff([]string{"a.example.\t0\tIN\tA\t203.0.113.10"}, texts(query(t, "udp", at, "a.example.", dns.TypeA))); diff != "" {
				t.Error(diff)
			}
			if r.Stats().Failed != 0 {
				t.Errorf("%+v", r.Stats())
			}
			eventually(t, "the ill one was asked", func() bool { return len(bad.questions()) > 0 })
		})
	}
}

// Compression pointers that lead to themselves, forwards or in a circle are no names, whoever sends them.
func TestPointersInCircles(t *testing.T) {
	up := newUpstream(t, "fiber", func(w dns.ResponseWriter, q *dns.Msg) {
		if w.RemoteAddr().Network() == "udp" {
			b := binary.BigEndian.AppendUint16(nil, q.Id)
			b = append(b, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0)
			w.Write(append(b, 0xc0, 12, 0, 1, 0, 1, 0xc0, 20, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 18))
		}
		zone(t, "a.example. 60 IN A 203.0.113.10")(w, q)
	})
	r, at := start(t, Config{}, up)
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	good, err := new(dns.Msg).SetQuestion("a.example.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1}, good} {
		if err := send(conn, "tcp", b); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for answered := false; !answered; {
		b, err := receive(conn, "tcp")
		if err != nil {
			t.Fatalf("after a client's circle its next query is not answered: %v", err)
		}
		m := new(dns.Msg)
		if err := m.Unpack(b); err != nil {
			t.Fatal(err)
		}
		if answered = len(m.Answer) == 1; !answered && m.Rcode != dns.RcodeFormatError {
			t.Fatalf("a client's circle is answered with %v", m)
		}
	}
	if m := query(t, "udp", at, "a.example.", dns.TypeA); len(m.Answer) != 1 || r.Stats().Strange == 0 {
		t.Errorf("got %v, %+v", m, r.Stats())
	}
}

// newStream is an upstream whose datagrams are cut short and that gives the record over TCP, as the pieces of its message's frame.
func newStream(t *testing.T, record string, pieces func(frame []byte) [][]byte) *nameServer {
	t.Helper()
	rr, err := dns.NewRR(record)
	if err != nil {
		t.Fatal(err)
	}
	pc, l := listenBoth(t)
	u := &nameServer{Upstream: Upstream{Server: upstream.Server{Addr: addrPortOf(pc.LocalAddr())}, Link: "fiber"}}
	datagrams := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Truncated = true
		w.WriteMsg(m)
	})}
	serve := func(conn net.Conn) {
		defer conn.Close()
		q := new(dns.Msg)
		if b, err := receive(conn, "tcp"); err != nil || q.Unpack(b) != nil {
			return
		}
		u.mu.Lock()
		u.asked = append(u.asked, "tcp")
		u.mu.Unlock()
		m := new(dns.Msg).SetReply(q)
		m.Answer = []dns.RR{rr}
		b, err := m.Pack()
		if err != nil {
			t.Error(err)
			return
		}
		for _, piece := range pieces(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)) {
			conn.Write(piece) // nobody may wait any more: another attempt was answered
		}
	}
	started := make(chan struct{})
	datagrams.NotifyStartedFunc = func() { close(started) }
	var all sync.WaitGroup
	all.Go(func() { datagrams.ActivateAndServe() })
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(conn) })
		}
	})
	<-started
	t.Cleanup(func() { l.Close(); datagrams.Shutdown(); all.Wait() })
	return u
}

// A stream comes in pieces of any size: one that ends within a message is no answer
// and the next upstream gives it, one that dribbles is.
func TestPiecesOfAStream(t *testing.T) {
	for name, tt := range map[string]struct {
		pieces func(frame []byte) [][]byte
		want   string // the address that the client gets
	}{
		"end in the length":  {func(f []byte) [][]byte { return [][]byte{f[:1]} }, "203.0.113.20"},
		"end in the message": {func(f []byte) [][]byte { return [][]byte{f[:2], f[2 : len(f)-1]} }, "203.0.113.20"},
		"length of nothing":  {func([]byte) [][]byte { return [][]byte{{0, 0}} }, "203.0.113.20"},
		"too long a length":  {func(f []byte) [][]byte { return [][]byte{{0xff, 0xff}, f[2:]} }, "203.0.113.20"},
		"too short a length": {func(f []byte) [][]byte { return [][]byte{{0, 20}, f[2:]} }, "203.0.113.20"},
		"byte by byte": {func(f []byte) [][]byte {
			var list [][]byte
			for i := range f {
				list = append(list, f[i:i+1])
			}
			return list
		}, "203.0.113.10"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := newStream(t, "a.example. 60 IN A 203.0.113.10", tt.pieces)
			ups := []*nameServer{bad}
			if tt.want == "203.0.113.20" { // else nobody may be quicker
				ups = append(ups, newUpstream(t, "lte", zone(t, "a.example. 60 IN A 203.0.113.20")))
			}
			_, at := start(t, Config{}, ups...)
			if diff := cmp.Diff([]string{"a.example.\t0\tIN\tA\t" + tt.want}, texts(query(t, "udp", at, "a.example.", dns.TypeA))); diff != "" {
				t.Error(diff)
			}
			eventually(t, "the ill one was asked", func() bool { return len(bad.questions()) > 0 })
		})
	}
}
