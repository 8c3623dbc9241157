package dpi

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	utls "github.com/refraction-networking/utls"
	"pgregory.net/rapid"
)

// answer is what a parser said in the end, as text.
func answer(p Parser, v Verdict) string {
	switch v {
	case Found:
		r := p.Result()
		return fmt.Sprintf("%s host=%q alpn=%q ech=%v", r.Source, r.Host(), r.ALPN, r.ECH)
	case NotMine:
		return "not mine"
	}
	return "need"
}

func feedWhole(p Parser, b []byte) string {
	p.Reset()
	return answer(p, p.Feed(FromClient, b))
}

// feedSplit cuts the stream into pieces of 1 to n bytes.
func feedSplit(t *rapid.T, p Parser, b []byte) string {
	p.Reset()
	most := rapid.SampledFrom([]int{1, 2, 7, 100, 536, 1400}).Draw(t, "most")
	v := Need
	for len(b) > 0 {
		n := min(len(b), rapid.IntRange(1, most).Draw(t, "piece"))
		v = p.Feed(FromClient, b[:n])
		p.Feed(FromServer, b[:n]) // the other direction changes nothing
		b = b[n:]
	}
	return answer(p, v)
}

type streamCase struct {
	name   string
	stream []byte
	want   string
}

func tlsCases(t testing.TB) []streamCase {
	long := strings.Repeat("a", 63)
	longest := long + "." + long + "." + long + "." + long[:57] + ".com"
	hello := helloRecords(t, &tls.Config{ServerName: "www.example.com", NextProtos: []string{"h2", "http/1.1"}})
	ech := extension(extECH, make([]byte, 200))
	cases := []streamCase{
		{"crypto/tls", hello, `tls host="www.example.com" alpn="h2,http/1.1" ech=false`},
		{"post-quantum", helloRecords(t, &tls.Config{ServerName: "pq.example", CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}}), `tls host="pq.example" alpn="" ech=false`},
		{"no name", helloRecords(t, &tls.Config{ServerName: ""}), `tls host="" alpn="" ech=false`},
		{"tiny records", inRecords(hello[5:], 3), `tls host="www.example.com" alpn="h2,http/1.1" ech=false`},
		{"followed by data", append(bytes.Clone(hello), "\x17\x03\x03\x00\x01x"...), `tls host="www.example.com" alpn="h2,http/1.1" ech=false`},
		{"no extensions", record(handHello()), `tls host="" alpn="" ech=false`},
		{"empty extensions", record(handHello([]byte{})), `tls host="" alpn="" ech=false`},
		{"case and dot", record(handHello(extension(0, serverNames("WWW.Example.COM.")))), `tls host="www.example.com" alpn="" ech=false`},
		{"longest name", record(handHello(extension(0, serverNames(longest)))), fmt.Sprintf(`tls host=%q alpn="" ech=false`, longest)},
		{"name too long", record(handHello(extension(0, serverNames(strings.Repeat("a.", 200)+"com")))), `tls host="" alpn="" ech=false`},
		{"address as name", record(handHello(extension(0, serverNames("192.0.2.1")))), `tls host="" alpn="" ech=false`},
		{"name with NUL", record(handHello(extension(0, serverNames("a\x00b.com")))), `tls host="" alpn="" ech=false`},
		{"two names", record(handHello(extension(0, serverNames("a.example", "b.example")))), `tls host="a.example" alpn="" ech=false`},
		{"encrypted hello", record(handHello(ech, extension(0, serverNames("front.example")))), `tls host="front.example" alpn="" ech=true`},
		{"16 KiB", inRecords(handHello(extension(21, make([]byte, maxHello-100)), extension(0, serverNames("big.example"))), 4000), `tls host="big.example" alpn="" ech=false`},
		{"over 16 KiB", inRecords(handHello(extension(21, make([]byte, maxHello)), extension(0, serverNames("big.example"))), 4000), "not mine"},
		{"name twice", record(handHello(extension(0, serverNames("a.example")), extension(0, serverNames("b.example")))), "not mine"},
		{"server hello", []byte{22, 3, 3, 0, 4, 2, 0, 0, 0}, "not mine"},
		{"alert", []byte{21, 3, 3, 0, 2, 2, 40}, "not mine"},
		{"empty record", []byte{22, 3, 1, 0, 0}, "not mine"},
		{"SSH", []byte("SSH-2.0-OpenSSH_9.2\r\n"), "not mine"},
		{"cut hello", hello[:len(hello)-1], "need"},
		{"extension past the end", record(handHello(append(u16(0), 0xff, 0xff))), "not mine"},
		{"name past its list", record(handHello(extension(0, []byte{0, 4, 0, 0, 9, 'a'}))), "not mine"},
	}
	profiles := []utls.ClientHelloID{utls.HelloChrome_Auto, utls.HelloFirefox_Auto, utls.HelloSafari_Auto, utls.HelloIOS_Auto, utls.HelloEdge_Auto, utls.HelloAndroid_11_OkHttp, utls.Hello360_Auto, utls.HelloQQ_Auto}
	for _, id := range profiles {
		stream := browserHello(t, id, "video.example.org")
		p := NewTLS()
		got := feedWhole(p, stream)
		if !strings.HasPrefix(got, `tls host="video.example.org" `) {
			t.Errorf("%s: %s", id.Str(), got)
		}
		cases = append(cases, streamCase{id.Str(), stream, got})
	}
	return cases
}

func httpCases() []streamCase {
	found := func(host string) string { return fmt.Sprintf(`http host=%q alpn="" ech=false`, host) }
	return []streamCase{
		{"get", []byte("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n"), found("www.example.com")},
		{"port, case, white space", []byte("GET / HTTP/1.1\r\nAccept: *\r\nhOST:\t WWW.Example.com:8080 \r\n\r\n"), found("www.example.com")},
		{"bare line feeds", []byte("GET / HTTP/1.0\nHost:a.example\n\n"), found("a.example")},
		{"no host", []byte("GET / HTTP/1.0\r\nA: b\r\n\r\n"), found("")},
		{"address", []byte("GET / HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n"), found("")},
		{"IPv6 address", []byte("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n"), found("")},
		{"absolute target prevails", []byte("GET http://u:p@real.example:80/x HTTP/1.1\r\nHost: other.example\r\n\r\n"), found("real.example")},
		{"absolute target without path", []byte("GET http://real.example HTTP/1.1\r\n"), found("real.example")},
		{"connect", []byte("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"), found("a.example")},
		{"options", []byte("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n"), found("a.example")},
		{"long target", []byte("GET /" + strings.Repeat("x", 5000) + " HTTP/1.1\r\nHost: a.example\r\n\r\n"), found("a.example")},
		{"long cookie", []byte("GET / HTTP/1.1\r\nCookie: " + strings.Repeat("x", 5000) + "\r\nHost: a.example\r\n\r\n"), found("a.example")},
		{"folded field", []byte("GET / HTTP/1.1\r\nA: b\r\n Host: no.example\r\nHost: a.example\r\n\r\n"), found("a.example")},
		{"m-search", []byte("M-SEARCH * HTTP/1.1\r\nHOST: a.example\r\n\r\n"), found("a.example")},
		{"over the budget", []byte("GET / HTTP/1.1\r\nA: " + strings.Repeat("x", maxHTTPHead) + "\r\nHost: a.example\r\n\r\n"), "not mine"},
		{"host too long", []byte("GET / HTTP/1.1\r\nHost: " + strings.Repeat("a.", 200) + "com\r\n\r\n"), found("")},
		{"http/2", []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "not mine"},
		{"smtp", []byte("EHLO mail.example\r\n"), "not mine"},
		{"lower case", []byte("get / HTTP/1.1\r\n"), "not mine"},
		{"no colon", []byte("GET / HTTP/1.1\r\nHost\r\n"), "not mine"},
		{"control in target", []byte("GET /\x01 HTTP/1.1\r\n"), "not mine"},
		{"unfinished", []byte("GET / HTTP/1.1\r\nHost: a.exam"), "need"},
	}
}

func TestStreamParsers(t *testing.T) {
	for _, group := range []struct {
		parser Parser
		cases  []streamCase
	}{{NewTLS(), tlsCases(t)}, {NewHTTP(), httpCases()}} {
		for _, tt := range group.cases {
			t.Run(tt.name, func(t *testing.T) {
				if got := feedWhole(group.parser, tt.stream); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
				rapid.Check(t, func(t *rapid.T) {
					if got := feedSplit(t, group.parser, tt.stream); got != tt.want {
						t.Fatalf("split: got  %s\nwant %s", got, tt.want)
					}
				})
			})
		}
	}
}

func TestStreamParsersDoNotAllocate(t *testing.T) {
	hello := helloRecords(t, &tls.Config{ServerName: "www.example.com", NextProtos: []string{"h2", "http/1.1"}})
	request := []byte("GET /watch?v=1 HTTP/1.1\r\nUser-Agent: x\r\nHost: www.example.com\r\n\r\n")
	for _, tt := range []struct {
		p Parser
		b []byte
	}{{NewTLS(), hello}, {NewHTTP(), request}} {
		if n := testing.AllocsPerRun(100, func() {
			tt.p.Reset()
			if tt.p.Feed(FromClient, tt.b) != Found {
				t.Fatal("not found")
			}
		}); n > 0 {
			t.Errorf("%T: %v allocations a flow", tt.p, n)
		}
	}
}

// splitAgrees feeds the same stream whole and in pieces whose lengths come from cuts.
func splitAgrees(t *testing.T, p Parser, stream, cuts []byte) {
	want := feedWhole(p, stream)
	p.Reset()
	v := Need
	for i := 0; len(stream) > 0; i++ {
		n := 1
		if len(cuts) > 0 {
			n += int(cuts[i%len(cuts)])
		}
		n = min(n, len(stream))
		v = p.Feed(FromClient, stream[:n])
		stream = stream[n:]
	}
	if got := answer(p, v); got != want {
		t.Fatalf("split %v: got %s, whole %s", cuts, got, want)
	}
}

func FuzzTLS(f *testing.F) {
	for _, c := range tlsCases(f) {
		f.Add(c.stream, []byte{0, 5, 200})
	}
	f.Fuzz(func(t *testing.T, stream, cuts []byte) { splitAgrees(t, NewTLS(), stream, cuts) })
}

func FuzzHTTP(f *testing.F) {
	for _, c := range httpCases() {
		f.Add(c.stream, []byte{0, 5, 200})
	}
	f.Fuzz(func(t *testing.T, stream, cuts []byte) { splitAgrees(t, NewHTTP(), stream, cuts) })
}

func BenchmarkTLS(b *testing.B) {
	stream := browserHello(b, utls.HelloChrome_Auto, "video.example.org")
	p := NewTLS()
	b.ReportAllocs()
	for b.Loop() {
		p.Reset()
		p.Feed(FromClient, stream)
	}
}

func BenchmarkHTTP(b *testing.B) {
	stream := []byte("GET /watch?v=1 HTTP/1.1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\nHost: www.example.com\r\n\r\n")
	p := NewHTTP()
	b.ReportAllocs()
	for b.Loop() {
		p.Reset()
		p.Feed(FromClient, stream)
	}
}
