package client_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/internet"
	"github.com/trenza-router/trenza/integration/netlab/internet/nstest"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

func TestMain(m *testing.M) {
	nstest.Main(m, map[string]func() int{
		"agent": func() int {
			if err := client.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
				fmt.Fprintln(os.Stderr, "agent:", err)
				return 1
			}
			return 0
		},
		"noise": func() int { fmt.Println("this is not the protocol"); time.Sleep(time.Hour); return 0 },
		"quits": func() int { return 3 },
	})
}

// lab is an internet in the namespace of the tests and one host in a namespace of its own.
type lab struct {
	*client.Agent
	*internet.Observer
	env    client.Env
	stop   context.CancelFunc // ends the internet
	killed bool               // the test killed the agent itself
}

func (l *lab) forgive() { l.killed = true }

func newLab(t *testing.T, number int, further ...netip.Addr) *lab {
	t.Helper()
	nstest.NoLeak(t)
	dir := t.TempDir()
	l := &lab{env: client.Env{Resolv: filepath.Join(dir, "resolv.conf"), CA: filepath.Join(dir, "ca.pem")}}
	conf := "nameserver " + internet.Resolver4 + "\nnameserver " + internet.Resolver6 + "\noptions timeout:2\n"
	if err := os.WriteFile(l.env.Resolv, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	cfg := internet.Config{CA: l.env.CA, Socket: filepath.Join(dir, "rec.sock")}
	ended := make(chan error, 1)
	go func() { ended <- internet.Run(ctx, cfg) }()
	l.Observer = internet.NewObserver(cfg.Socket)
	t.Cleanup(func() {
		l.Observer.Close()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("internet: %v", err)
		}
	})
	if err := l.WaitReady(within(t)); err != nil {
		t.Fatal(err)
	}
	agent, err := client.Start(context.Background(), nstest.Host(context.Background(), "agent", number, further...), l.env)
	if err != nil {
		t.Fatal(err)
	}
	l.Agent = agent
	t.Cleanup(func() {
		if err := agent.Close(); err != nil && !l.killed {
			t.Errorf("agent: %v", err)
		}
	})
	return l
}

func (l *lab) Close() error { return l.Agent.Close() }

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func at(host string) client.Target { return client.Target{Host: host} }

func TestResolve(t *testing.T) {
	l := newLab(t, 1)
	got, err := l.Resolve(within(t), client.Resolve{Name: "www.netflix.com", Type: "AAAA"})
	want := []netip.Addr{netip.MustParseAddr("2001:db8:100:20::1"), netip.MustParseAddr("2001:db8:100:20::2"), netip.MustParseAddr("2001:db8:100:20::3")}
	if diff := cmp.Diff(want, got.Addrs, cmpopts.EquateComparable(netip.Addr{})); diff != "" || err != nil || got.TTL != 60 || got.Rcode != "NOERROR" {
		t.Errorf("%+v, %v\n%s", got, err, diff)
	}
	if got, err := l.Resolve(within(t), client.Resolve{Name: "youtube.com", Type: "HTTPS", TCP: true}); err != nil || !got.TCP ||
		len(got.Answers) != 1 || !strings.Contains(got.Answers[0], `alpn="h3,h2"`) {
		t.Errorf("HTTPS over TCP: %+v, %v", got, err)
	}
	if got, err := l.Resolve(within(t), client.Resolve{Name: "no.such.name"}); err != nil || got.Rcode != "NXDOMAIN" {
		t.Errorf("a negative answer: %+v, %v", got, err)
	}
	if _, err := l.Resolve(within(t), client.Resolve{Name: "a..b"}); client.CauseOf(err) != client.BadJob {
		t.Errorf("impossible name: %v", err)
	}
	// A dead first resolver: the second serves.
	if err := os.WriteFile(l.env.Resolv, []byte("nameserver 10.99.1.99\nnameserver 10.99.1.1\noptions timeout:1 attempts:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Resolve(within(t), client.Resolve{Name: "github.com"}); err != nil || got.Server.String() != "10.99.1.1:53" {
		t.Errorf("%+v, %v", got, err)
	}
	page, err := l.Wait(within(t), internet.Filter{Proto: wire.ProtoDNSUDP, Name: "github.com", Remote: nstest.Addr4(1)}, 1)
	if err != nil || page.Records[0].Local.String() != "10.99.1.1:53" {
		t.Errorf("recorded %+v, %v", page.Records, err)
	}
}

func TestHTTPOverEveryVersionAndFamily(t *testing.T) {
	l := newLab(t, 2)
	sources := map[client.Family]netip.Addr{client.V4: nstest.Addr4(2), client.V6: nstest.Addr6(2), client.AnyFamily: nstest.Addr6(2)}
	for _, proto := range []string{client.HTTP1, client.HTTP2, client.HTTP3, client.AnyHTTP} {
		for family, source := range sources {
			tag := fmt.Sprintf("%s-%s", proto, family)
			job := client.HTTP{Target: at("www.youtube.com"), Proto: proto, Path: "/watch?v=1", Tag: tag}
			job.Family = family
			got, err := l.HTTP(within(t), job, nil)
			if err != nil {
				t.Errorf("%s: %v", tag, err)
				continue
			}
			want := proto
			if want == client.AnyHTTP {
				want = client.HTTP2
			}
			if got.Status != 200 || got.Proto != want || got.Seen.ALPN != want || got.Seen.SNI != "www.youtube.com" || got.Seen.Tag != tag ||
				got.Seen.Remote.Addr() != source || got.Seen.Local != got.Addr || got.Seen.Detail != "GET /watch" || got.DialTime <= 0 {
				t.Errorf("%s: %+v", tag, got)
			}
			if got.Local.Port() != got.Seen.Remote.Port() {
				t.Errorf("%s: sent from %s, seen %s", tag, got.Local, got.Seen.Remote)
			}
			if page, err := l.Records(within(t), internet.Filter{Tag: tag, Remote: source}); err != nil || len(page.Records) != 1 {
				t.Errorf("%s: recorded %+v, %v", tag, page.Records, err)
			}
		}
	}
	got, err := l.HTTP(within(t), client.HTTP{Target: at("connectivitycheck.gstatic.com"), Plain: true, Path: "/generate_204"}, nil)
	if err != nil || got.Status != 204 || got.Addr.Port() != 80 || !got.Seen.Remote.IsValid() {
		t.Errorf("plain: %+v, %v", got, err)
	}
	// Another name in the handshake than the one whose address is called.
	job := client.HTTP{Target: at("github.com"), SNI: "www.tiktok.com"}
	if got, err := l.HTTP(within(t), job, nil); err != nil || got.Seen.SNI != "www.tiktok.com" || got.Seen.Name != "github.com" {
		t.Errorf("SNI: %+v, %v", got.Seen, err)
	}
	job = client.HTTP{Target: at("www.tiktok.com")}
	job.Addr, job.Port = netip.MustParseAddr("203.0.113.99"), 8443
	job.Addr = netip.MustParseAddr("203.0.113.23")
	if got, err := l.HTTP(within(t), job, nil); err != nil || got.Addr.String() != "203.0.113.23:8443" || got.Seen.Name != "www.tiktok.com" {
		t.Errorf("given address and port: %+v, %v", got, err)
	}
}

func TestHTTPStreams(t *testing.T) {
	l := newLab(t, 3)
	for _, proto := range []string{client.HTTP1, client.HTTP2, client.HTTP3} {
		for _, direction := range []wire.Direction{wire.Down, wire.Up} {
			job := client.HTTP{Target: at("audio-fa.scdn.co"), Proto: proto, Tag: "stream",
				Stream: &wire.Order{Direction: direction, Bytes: 600_000, Rate: 8_000_000}}
			moved := make(chan client.Moved, 100)
			got, err := l.HTTP(within(t), job, func(m client.Moved) { moved <- m })
			if err != nil || got.Outcome == nil || !got.Outcome.Intact || got.Outcome.Bytes != 600_000 || got.Seen.Remote.Addr() != nstest.Addr6(3) {
				t.Errorf("%s %s: %+v, %+v, %v", proto, direction, got.Outcome, got.Seen, err)
			}
			if len(moved) == 0 {
				t.Errorf("%s %s: no progress in 600 ms", proto, direction)
			}
		}
	}
}

func TestCausesAndRetries(t *testing.T) {
	l := newLab(t, 4)
	for name, c := range map[string]struct {
		job  client.HTTP
		want client.Cause
	}{
		"no name":     {client.HTTP{Target: at("no.such.name")}, client.BadName},
		"no IPv6":     {client.HTTP{Target: client.Target{Host: "github.com", Family: client.V6}}, client.BadName},
		"no server":   {client.HTTP{Target: client.Target{Host: "github.com", Port: 4444}}, client.Refused},
		"no QUIC":     {client.HTTP{Target: client.Target{Host: "github.com", Port: 4444}, Proto: client.HTTP3, Timeout: 300 * time.Millisecond}, client.Timeout},
		"wrong name":  {client.HTTP{Target: at("github.com"), SNI: "not.of.the.lab"}, client.BadTLS},
		"silence":     {client.HTTP{Target: client.Target{Host: "10.99.4.77"}, Timeout: 200 * time.Millisecond}, client.Timeout},
		"job":         {client.HTTP{Target: at("github.com"), Proto: "h9"}, client.BadJob},
		"impossible":  {client.HTTP{Target: client.Target{Host: "github.com", DSCP: 99}}, client.BadJob},
		"never there": {client.HTTP{}, client.BadJob},
	} {
		got, err := l.HTTP(within(t), c.job, nil)
		if client.CauseOf(err) != c.want {
			t.Errorf("%s: %v (%s), want %s; %+v", name, err, client.CauseOf(err), c.want, got.Failed)
		}
	}
	job := client.HTTP{Target: client.Target{Host: "github.com", Port: 4444}, Retries: 2, RetryDelay: time.Millisecond}
	got, err := l.HTTP(within(t), job, nil)
	if err == nil || len(got.Failed) != 3 || got.Failed[2].Cause != client.Refused || got.Failed[2].Addr.String() != "198.51.100.78:4444" {
		t.Errorf("retries: %+v, %v", got, err)
	}
}

func TestSocketOptions(t *testing.T) {
	second := netip.MustParseAddr("10.99.5.77")
	l := newLab(t, 5, second)
	job := client.HTTP{Target: client.Target{Host: "zoom.us", Family: client.V4, Source: second, SourcePort: 40123, DSCP: 46}}
	for _, proto := range []string{client.HTTP2, client.HTTP3} {
		job.Proto = proto
		if got, err := l.HTTP(within(t), job, nil); err != nil || got.Seen.Remote != netip.AddrPortFrom(second, 40123) {
			t.Errorf("%s: %+v, %v", proto, got.Seen, err)
		}
	}
	tick := client.Ticks{Target: client.Target{Host: "zoom.us", Family: client.V6, SourcePort: 40124, DSCP: 46}, Count: 2, Rate: 100}
	if got, err := l.Ticks(within(t), tick, nil); err != nil || len(got.Sources) != 1 || got.Sources[0].Seen != netip.AddrPortFrom(nstest.Addr6(5), 40124) {
		t.Errorf("UDP: %+v, %v", got, err)
	}
}

func TestTransfer(t *testing.T) {
	l := newLab(t, 6)
	for _, d := range []wire.Direction{wire.Up, wire.Down} {
		got, err := l.Transfer(within(t), client.Transfer{Target: at("cache1-ams1.steamcontent.com"),
			Order: wire.Order{Direction: d, Bytes: 3_000_001, Tag: "load-" + string(d)}}, nil)
		if err != nil || got.Broken || !got.Outcome.Intact || got.Outcome.Bytes != 3_000_001 || got.Seen.Tag != "load-"+string(d) ||
			got.Seen.Remote.Addr() != nstest.Addr6(6) || got.Outcome.Elapsed <= 0 {
			t.Errorf("%s: %+v, %v", d, got, err)
		}
	}
	if _, err := l.Transfer(within(t), client.Transfer{Target: at("github.com")}, nil); client.CauseOf(err) != client.BadJob {
		t.Errorf("no end: %v", err)
	}
	// Cancelled: the result says how far it came.
	ctx, cancel := context.WithCancel(within(t))
	got, err := l.Transfer(ctx, client.Transfer{Target: at("github.com"), Order: wire.Order{Direction: wire.Down, Duration: time.Hour, Rate: 4_000_000}},
		func(client.Moved) { cancel() })
	if err == nil || ctx.Err() == nil || got.Outcome.Bytes == 0 || got.Outcome.Intact {
		t.Errorf("cancelled: %+v, %v", got, err)
	}
}

func TestTransferBreaks(t *testing.T) {
	for n, d := range []wire.Direction{wire.Up, wire.Down} {
		t.Run(string(d), func(t *testing.T) {
			l := newLab(t, 7+n)
			got, err := l.Transfer(within(t), client.Transfer{Target: at("github.com"), Order: wire.Order{Direction: d, Duration: time.Hour, Rate: 4_000_000}},
				func(client.Moved) { l.stop() })
			if !got.Broken || got.Outcome.Intact || err == nil {
				t.Errorf("the server ended under it: %+v, %v", got, err)
			}
		})
	}
}

func TestFlood(t *testing.T) {
	second := netip.MustParseAddr("10.99.9.77")
	l := newLab(t, 9, second)
	hosts := []string{"github.com", "zoom.us", "www.ing.de"}
	job := client.Flood{Target: client.Target{Family: client.V4}, Hosts: hosts, Count: 300, Tag: "flood"}
	got, err := l.Flood(within(t), job, nil)
	if err != nil || got.Failed != 0 || got.Sources[nstest.Addr4(9)] != 300 || got.ByHost["zoom.us"][nstest.Addr4(9)] != 100 {
		t.Errorf("%+v, %v", got, err)
	}
	job.Source, job.Count = second, 30
	if got, err = l.Flood(within(t), job, nil); err != nil || got.Sources[second] != 30 {
		t.Errorf("%+v, %v", got, err)
	}
	sources, err := l.Sources(within(t), internet.Filter{Tag: "flood"})
	want := map[netip.Addr]int{nstest.Addr4(9): 300, second: 30}
	if diff := cmp.Diff(want, sources, cmpopts.EquateComparable(netip.Addr{})); diff != "" || err != nil {
		t.Errorf("recorded: %v (-want +got):\n%s", err, diff)
	}
	job.Port, job.Count, job.Source = 4444, 10, netip.Addr{}
	if got, err = l.Flood(within(t), job, nil); err != nil || got.Failed != 10 || got.Errors[client.Refused] != 10 {
		t.Errorf("closed port: %+v, %v", got, err)
	}
}

func TestTicks(t *testing.T) {
	l := newLab(t, 10)
	for _, family := range []client.Family{client.V4, client.V6} {
		echo, err := l.Ticks(within(t), client.Ticks{Target: client.Target{Host: "zoomff101mmr.zoom.us", Family: family}, Count: 5, Rate: 200, Tag: "echo-" + string(family)}, nil)
		if err != nil || echo.Sent != 5 || echo.Received != 5 || echo.Lost != 0 || echo.RTT.Count != 5 || echo.RTT.Max <= 0 || len(echo.Sources) != 1 {
			t.Errorf("echo: %+v, %v", echo, err)
		}
		if page, err := l.Records(within(t), internet.Filter{Tag: "echo-" + string(family)}); err != nil || len(page.Records) != 5 ||
			page.Records[0].Remote != echo.Local || page.Records[0].Local != echo.Addr {
			t.Errorf("recorded %+v, %v", page.Records, err)
		}
		job := client.Ticks{Target: client.Target{Host: "cm2-ams1.cm.steampowered.com", Family: family}, Game: true, Rate: 1000, Duration: 1500 * time.Millisecond, Tag: "game-" + string(family)}
		progress := make(chan client.Ticked, 10)
		game, err := l.Ticks(within(t), job, func(p client.Ticked) { progress <- p })
		if err != nil || game.Sent != 1500 || game.Received+game.Lost != game.Sent || game.Received < 1000 || game.Duplicates != 0 {
			t.Errorf("game: %v %+v, %v", game, game, err)
		}
		if len(progress) == 0 {
			t.Error("no progress")
		}
		page, err := l.Records(within(t), internet.Filter{Tag: "game-" + string(family)})
		if err != nil || len(page.Records) != 1 || page.Records[0].Proto != wire.ProtoGame || page.Records[0].Local != game.Addr {
			t.Errorf("recorded %+v, %v", page.Records, err)
		}
	}
	if _, err := l.Exec(within(t), client.Exec{Argv: []string{"ip", "-6", "route", "del", "default"}}); err != nil {
		t.Fatal(err)
	}
	fallback, err := l.Ticks(within(t), client.Ticks{Target: at("zoom.us")}, nil)
	if err != nil || fallback.Received != 1 || !fallback.Addr.Addr().Is4() {
		t.Errorf("without a route for IPv6: %+v, %v", fallback, err)
	}
	none, err := l.Ticks(within(t), client.Ticks{Target: client.Target{Host: "10.99.10.1", Port: 4444}, Count: 4, Rate: 100, Grace: 50 * time.Millisecond}, nil)
	if err != nil || none.Sent != 4 || none.Received != 0 || none.Lost != 4 {
		t.Errorf("closed port: %+v, %v", none, err)
	}
	// Cancelling ends a long loop, with its result and time for the last answers.
	ctx, cancel := context.WithCancel(within(t))
	long, err := l.Ticks(ctx, client.Ticks{Target: at("zoom.us"), Game: true, Rate: 100, Duration: time.Hour}, func(client.Ticked) { cancel() })
	if err == nil || long.Sent < 50 || long.Lost != 0 || long.RTT.Count == 0 {
		t.Errorf("cancelled: %v, %v", long, err)
	}
}

func TestPing(t *testing.T) {
	l := newLab(t, 11)
	for _, f := range []client.Family{client.V4, client.V6} {
		got, err := l.Ping(within(t), client.Ping{Target: client.Target{Host: "one.one.one.one", Family: f, DSCP: 8}, Count: 5, Interval: 5 * time.Millisecond})
		if err != nil || got.Sent != 5 || got.Received != 5 || got.Duplicates != 0 || got.RTT.Count != 5 || got.Addr.Is4() != (f == client.V4) {
			t.Errorf("%s: %+v, %v", f, got, err)
		}
	}
	got, err := l.Ping(within(t), client.Ping{Target: at("10.99.11.99"), Count: 2, Interval: time.Millisecond, Timeout: 100 * time.Millisecond})
	if err != nil || got.Received != 0 || got.Sent != 2 {
		t.Errorf("nobody there: %+v, %v", got, err)
	}
}

func TestConnect(t *testing.T) {
	l := newLab(t, 12)
	got, err := l.Connect(within(t), client.Connect{Target: client.Target{Host: "g.whatsapp.net", Port: 5222, Family: client.V4}, Send: "tag of mine\n"})
	if err != nil || got.Seen.Remote.Addr() != nstest.Addr4(12) || got.Seen.Local != got.Addr || got.Received != "tag of mine\n" {
		t.Errorf("tcp: %+v, %v", got, err)
	}
	got, err = l.Connect(within(t), client.Connect{Network: "udp", Target: client.Target{Host: "203.0.113.14", Port: 3478}, Send: "hi"})
	if err != nil || got.Received != fmt.Sprintf("seen %s\nhi", got.Local) {
		t.Errorf("udp: %+v, %v", got, err)
	}
	if _, err := l.Connect(within(t), client.Connect{Target: client.Target{Host: "203.0.113.14", Port: 4444}}); client.CauseOf(err) != client.Refused {
		t.Errorf("closed TCP port: %v", err)
	}
	if _, err := l.Connect(within(t), client.Connect{Network: "udp", Target: client.Target{Host: "203.0.113.14", Port: 4444}}); client.CauseOf(err) != client.Refused {
		t.Errorf("closed UDP port: %v", err)
	}
}

func TestPrograms(t *testing.T) {
	l := newLab(t, 13)
	got, err := l.Exec(within(t), client.Exec{Argv: []string{"sh", "-c", "cat; echo bad >&2; exit 3"}, Stdin: "in"})
	if diff := cmp.Diff(client.Executed{Code: 3, Stdout: "in", Stderr: "bad\n"}, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := l.Exec(within(t), client.Exec{Argv: []string{"/no/such/program"}}); err == nil {
		t.Error("a program that is not there ran")
	}
	if _, err := l.Exec(within(t), client.Exec{Argv: []string{"sh", "-c", "sleep 600 & sleep 600"}, Timeout: 50 * time.Millisecond}); client.CauseOf(err) != client.Timeout {
		t.Errorf("a program without end: %v", err)
	}
	// Where curl is not installed the error must say so.
	got, err = l.Curl(within(t), client.Curl{Target: at("www.ing.de"), Tag: "curl", Path: "/login"})
	if err != nil && !strings.Contains(err.Error(), "executable file not found") {
		t.Fatal(err)
	}
	if err == nil && (got.Code != 0 || !strings.Contains(got.Stdout, `"tag":"curl"`) || !strings.Contains(got.Stdout, nstest.Addr6(13).String())) {
		t.Errorf("curl: %+v", got)
	}
}
