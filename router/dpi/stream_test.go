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
func answer(r *Result, v Verdict) string {
	switch v {
	case Found:
		return fmt.Sprintf("%s host=%q alpn=%q ech=%v", r.Protocol, r.Host(), r.ALPN, r.ECH)
	case NotMine:
		return "not mine"
	}
	return "need"
}

// readClient asks a parser about the start of what a client sent.
func readClient(p Parser, b []byte) string {
	v := View{Proto: p.Over, ClientPort: 50000, ServerPort: 4444, Client: b[:min(len(b), p.Budget)]}
	var r Result
	r.reset(p.Protocol)
	return answer(&r, p.Read(&v, &r))
}

// readSplit has a tracker read the stream in segments of 1 to n bytes, some of them twice, in a shuffled order.
func readSplit(t *rapid.T, p Parser, b []byte) string {
	most := rapid.SampledFrom([]int{1, 2, 7, 100, 536, 1400}).Draw(t, "most")
	type piece struct{ from, to int }
	var pieces []piece
	for at := 0; at < len(b); {
		to := min(len(b), at+rapid.IntRange(1, most).Draw(t, "piece"))
		pieces = append(pieces, piece{at, to})
		if rapid.IntRange(0, 9).Draw(t, "twice") == 0 {
			pieces = append(pieces, piece{at, to})
		}
		at = to
	}
	if len(pieces) <= maxSpans && rapid.Bool().Draw(t, "shuffled") {
		pieces = rapid.Permutation(pieces).Draw(t, "order")
	}
	d := newDesk([]Parser{p})
	reading := d.begin(p.Over)
	defer d.end(reading)
	wire := tcpKey(4000)
	key := trackKeyOf(&wire, FromClient)
	d.read(reading, &key, FromClient, &Packet{Seq: 1000, Flags: SYN})
	for _, s := range pieces {
		v, r := d.read(reading, &key, FromClient, &Packet{Seq: uint32(1000 + s.from), Payload: bytes.Clone(b[s.from:s.to])})
		if v == Found || v == NotMine {
			return answer(r, v)
		}
	}
	return "need"
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
		{"no name", helloRecords(t, &tls.Config{ServerName: ""}), "need"},
		{"tiny records", inRecords(hello[5:], 3), `tls host="www.example.com" alpn="h2,http/1.1" ech=false`},
		{"followed by data", append(bytes.Clone(hello), "\x17\x03\x03\x00\x01x"...), `tls host="www.example.com" alpn="h2,http/1.1" ech=false`},
		{"no extensions", record(handHello()), "need"},
		{"empty extensions", record(handHello([]byte{})), "need"},
		{"case and dot", record(handHello(extension(0, serverNames("WWW.Example.COM.")))), `tls host="www.example.com" alpn="" ech=false`},
		{"longest name", record(handHello(extension(0, serverNames(longest)))), fmt.Sprintf(`tls host=%q alpn="" ech=false`, longest)},
		{"name too long", record(handHello(extension(0, serverNames(strings.Repeat("a.", 200)+"com")))), "need"},
		{"address as name", record(handHello(extension(0, serverNames("192.0.2.1")))), "need"},
		{"name with NUL", record(handHello(extension(0, serverNames("a\x00b.com")))), "need"},
		{"two names", record(handHello(extension(0, serverNames("a.example", "b.example")))), `tls host="a.example" alpn="" ech=false`},
		{"encrypted hello", record(handHello(ech, extension(0, serverNames("front.example")))), `tls host="front.example" alpn="" ech=true`},
		{"16 KiB", inRecords(handHello(extension(21, make([]byte, maxHello-100)), extension(0, serverNames("big.example"))), 4000), `tls host="big.example" alpn="" ech=false`},
		{"over 16 KiB", inRecords(handHello(extension(21, make([]byte, maxHello)), extension(0, serverNames("big.example"))), 4000), "not mine"},
		{"name twice", record(handHello(extension(0, serverNames("a.example")), extension(0, serverNames("b.example")))), "not mine"},
		{"server hello", []byte{22, 3, 3, 0, 4, 2, 0, 0, 0}, "not mine"},
		{"alert", []byte{21, 3, 3, 0, 2, 2, 40}, "need"},
		{"empty record", []byte{22, 3, 1, 0, 0}, "not mine"},
		{"SSH", []byte("SSH-2.0-OpenSSH_9.2\r\n"), "not mine"},
		{"cut hello", hello[:len(hello)-1], "need"},
		{"extension past the end", record(handHello(append(u16(0), 0xff, 0xff))), "not mine"},
		{"name past its list", record(handHello(extension(0, []byte{0, 4, 0, 0, 9, 'a'}))), "not mine"},
	}
	profiles := []utls.ClientHelloID{utls.HelloChrome_Auto, utls.HelloFirefox_Auto, utls.HelloSafari_Auto, utls.HelloIOS_Auto, utls.HelloEdge_Auto, utls.HelloAndroid_11_OkHttp, utls.Hello360_Auto, utls.HelloQQ_Auto}
	for _, id := range profiles {
		stream := browserHello(t, id, "video.example.org")
		got := readClient(tlsParser(), stream)
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
		{"address", []byte("GET / HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n"), found("192.0.2.1")},
		{"IPv6 address", []byte("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n"), found("2001:db8::1")},
		{"absolute target prevails", []byte("GET http://u:p@real.example:80/x HTTP/1.1\r\nHost: other.example\r\n\r\n"), found("real.example")},
		{"absolute target without path", []byte("GET http://real.example HTTP/1.1\r\n\r\n"), found("real.example")},
		{"connect", []byte("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"), found("a.example")},
		{"options", []byte("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n"), found("a.example")},
		{"long target", []byte("GET /" + strings.Repeat("x", 5000) + " HTTP/1.1\r\nHost: a.example\r\n\r\n"), found("a.example")},
		{"long cookie", []byte("GET / HTTP/1.1\r\nCookie: " + strings.Repeat("x", 5000) + "\r\nHost: a.example\r\n\r\n"), found("a.example")},
		{"folded field", []byte("GET / HTTP/1.1\r\nA: b\r\n Host: no.example\r\nHost: a.example\r\n\r\n"), found("a.example")},
		{"m-search", []byte("M-SEARCH * HTTP/1.1\r\nHOST: a.example\r\n\r\n"), found("a.example")},
		{"over the budget", []byte("GET / HTTP/1.1\r\nA: " + strings.Repeat("x", maxHead) + "\r\nHost: a.example\r\n\r\n"), found("")},
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
	}{{tlsParser(), tlsCases(t)}, {httpParser(), httpCases()}} {
		for _, tt := range group.cases {
			t.Run(tt.name, func(t *testing.T) {
				if got := readClient(group.parser, tt.stream); got != tt.want {
					t.Fatalf("got  %s\nwant %s", got, tt.want)
				}
				rapid.Check(t, func(t *rapid.T) {
					if got := readSplit(t, group.parser, tt.stream); got != tt.want {
						t.Fatalf("split: got  %s\nwant %s", got, tt.want)
					}
				})
			})
		}
	}
}
