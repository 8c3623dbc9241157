package dpi

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	utls "github.com/refraction-networking/utls"
	"github.com/trenza-router/trenza/router/flow"
	"golang.org/x/crypto/cryptobyte"
)

// recorder notes what both sides of a connection say.
type recorder struct {
	mu   sync.Mutex
	said []said
}

func (r *recorder) note(by Direction, b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, said{by, append([]byte(nil), b...)})
}

// recordedConn is one side of a stream.
type recordedConn struct {
	net.Conn
	by  Direction
	log *recorder
}

func (c recordedConn) Write(b []byte) (int, error) {
	c.log.note(c.by, b)
	return c.Conn.Write(b)
}

// recordedPacketConn is a client's socket.
type recordedPacketConn struct {
	net.PacketConn
	log *recorder
}

func (c recordedPacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.log.note(FromClient, b)
	return c.PacketConn.WriteTo(b, to)
}

func (c recordedPacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.PacketConn.ReadFrom(b)
	if err == nil {
		c.log.note(FromServer, b[:n])
	}
	return n, from, err
}

// certificate makes one that a server shows: a subject and alternative names.
func certificate(t testing.TB, common string, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: common, Organization: []string{"Example"}}, DNSNames: names,
		NotBefore: epoch, NotAfter: epoch.AddDate(100, 0, 0)}
	if len(names) == 0 {
		template.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// loopback connects two ends. Unlike those of net.Pipe they can both write at once.
func loopback(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp4", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// talkTLS records a whole handshake between crypto/tls and itself.
func talkTLS(t testing.TB, client, server *tls.Config) []said {
	t.Helper()
	var log recorder
	a, b := loopback(t)
	deadline := time.Now().Add(30 * time.Second)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	done := make(chan error, 1)
	go func() {
		s := tls.Server(recordedConn{b, FromServer, &log}, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("hello"))
		}
		done <- err
	}()
	client.InsecureSkipVerify = client.EncryptedClientHelloConfigList == nil
	c := tls.Client(recordedConn{a, FromClient, &log}, client)
	err := c.Handshake()
	if err == nil {
		_, err = c.Read(make([]byte, 5))
	}
	if server := <-done; err == nil {
		err = server
	}
	a.Close()
	b.Close()
	if err != nil && client.EncryptedClientHelloConfigList == nil {
		t.Fatal(err)
	}
	return log.said
}

// echConfig is a configuration of encrypted hellos that names a front (RFC 9849 §4).
func echConfig(t testing.TB, front string) []byte {
	t.Helper()
	public := make([]byte, 32)
	public[0] = 9 // the base point of X25519 is a good public key
	var config cryptobyte.Builder
	config.AddUint16LengthPrefixed(func(list *cryptobyte.Builder) {
		list.AddUint16(extECH)
		list.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8(7)     // config id
			b.AddUint16(0x20) // X25519, HKDF-SHA256
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(public) })
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(1); b.AddUint16(1) })
			b.AddUint8(0)
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(front)) })
			b.AddUint16(0) // no extensions
		})
	})
	return config.BytesOrPanic()
}

func TestTLSConversations(t *testing.T) {
	named := certificate(t, "Example", "www.example.net", "example.net")
	wild := certificate(t, "Example", "*.example.org")
	old := certificate(t, "old.example.com")
	serve := func(c tls.Certificate, version uint16) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{c}, MaxVersion: version}
	}
	nobody := func() *tls.Config { return &tls.Config{} }
	alone := func(all []said) (server []said) {
		for _, s := range all {
			if s.by == FromServer {
				server = append(server, s)
			}
		}
		return server
	}
	tls12 := talkTLS(t, &tls.Config{ServerName: "www.example.com"}, serve(named, tls.VersionTLS12))
	hidden := talkTLS(t, &tls.Config{ServerName: "hidden.example", EncryptedClientHelloConfigList: echConfig(t, "cloudflare-ech.com"), MinVersion: tls.VersionTLS13}, serve(named, tls.VersionTLS13))
	vectors := []vector{
		{name: "TLS 1.3", said: talkTLS(t, &tls.Config{ServerName: "www.example.com"}, serve(named, tls.VersionTLS13)), host: "www.example.com"},
		{name: "TLS 1.2", said: tls12, host: "www.example.com"},
		{name: "TLS 1.0", said: talkTLS(t, &tls.Config{ServerName: "www.example.com", MinVersion: tls.VersionTLS10}, &tls.Config{Certificates: []tls.Certificate{named}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}), host: "www.example.com"},
		{name: "TLS 1.2, the server alone", said: alone(tls12), host: "www.example.net"},
		{name: "no name, TLS 1.3", said: talkTLS(t, nobody(), serve(named, tls.VersionTLS13))},
		{name: "no name, certificate", said: talkTLS(t, nobody(), serve(named, tls.VersionTLS12)), host: "www.example.net"},
		{name: "no name, wildcard", said: talkTLS(t, nobody(), serve(wild, tls.VersionTLS12)), host: "example.org"},
		{name: "no name, common name", said: talkTLS(t, nobody(), serve(old, tls.VersionTLS12)), host: "old.example.com"},
		{name: "encrypted hello", said: hidden, host: "cloudflare-ech.com"},
	}
	for i := range vectors {
		vectors[i].over, vectors[i].server, vectors[i].want, vectors[i].confidence = flow.ProtoTCP, 443, TLS, 95
	}
	checkVectors(t, vectors)

	_, r := readOne(t, tlsParser(), vectors[len(vectors)-1])
	if !r.ECH || !r.Front {
		t.Errorf("encrypted hello %v, behind a front %v", r.ECH, r.Front)
	}
	_, r = readOne(t, tlsParser(), vectors[5])
	if r.Source != SourceCertificate {
		t.Errorf("the name of a certificate comes from %s", r.Source)
	}
}

// Every profile of a browser or program that utls knows gives its name, whole and in pieces of a packet's size.
func TestBrowsers(t *testing.T) {
	profiles := []utls.ClientHelloID{
		utls.HelloFirefox_55, utls.HelloFirefox_56, utls.HelloFirefox_63, utls.HelloFirefox_65, utls.HelloFirefox_99, utls.HelloFirefox_102, utls.HelloFirefox_105, utls.HelloFirefox_120,
		utls.HelloChrome_58, utls.HelloChrome_62, utls.HelloChrome_70, utls.HelloChrome_72, utls.HelloChrome_83, utls.HelloChrome_87, utls.HelloChrome_96, utls.HelloChrome_100, utls.HelloChrome_102,
		utls.HelloChrome_106_Shuffle, utls.HelloChrome_115_PQ, utls.HelloChrome_120, utls.HelloChrome_120_PQ, utls.HelloChrome_131, utls.HelloChrome_133,
		utls.HelloIOS_11_1, utls.HelloIOS_12_1, utls.HelloIOS_13, utls.HelloIOS_14, utls.HelloAndroid_11_OkHttp, utls.HelloEdge_85, utls.HelloEdge_106, utls.HelloSafari_16_0,
		utls.Hello360_7_5, utls.Hello360_11_0, utls.HelloQQ_11_1,
	}
	var vectors []vector
	for _, id := range profiles {
		hello := browserHello(t, id, "video.example.org")
		v := vector{name: id.Str(), over: flow.ProtoTCP, server: 443, want: TLS, host: "video.example.org", confidence: 95}
		for at := 0; at < len(hello); at += 1400 {
			v.said = append(v.said, said{FromClient, hello[at:min(len(hello), at+1400)]})
		}
		vectors = append(vectors, v)
	}
	checkVectors(t, vectors)
}

// talkQUIC records a connection of quic-go over the loopback interface.
func talkQUIC(t testing.TB, retry bool, version quic.Version, protocol string) []said {
	t.Helper()
	t.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	listen := func() *net.UDPConn {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	config := &quic.Config{Versions: []quic.Version{version}}
	serverConn := listen()
	defer serverConn.Close()
	serving := &quic.Transport{Conn: serverConn, VerifySourceAddress: func(net.Addr) bool { return retry }}
	defer serving.Close()
	listener, err := serving.Listen(&tls.Config{Certificates: []tls.Certificate{certificate(t, "Example", "video.example.org")}, NextProtos: []string{protocol}}, config)
	if err != nil {
		t.Fatal(err)
	}
	var log recorder
	clientConn := listen()
	defer clientConn.Close()
	calling := &quic.Transport{Conn: recordedPacketConn{clientConn, &log}}
	defer calling.Close()
	c, err := calling.Dial(ctx, serverConn.LocalAddr(), &tls.Config{ServerName: "video.example.org", NextProtos: []string{protocol}, InsecureSkipVerify: true}, config)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	accepted.CloseWithError(0, "")
	c.CloseWithError(0, "")
	log.mu.Lock()
	defer log.mu.Unlock()
	return log.said[:min(len(log.said), 8)]
}

func TestQUICConversations(t *testing.T) {
	retried := talkQUIC(t, true, quic.Version1, "h3")
	server := 0 // where the Retry is
	for retried[server].by != FromServer {
		server++
	}
	plain := talkQUIC(t, false, quic.Version1, "h3")
	first := 0
	for plain[first].by != FromServer {
		first++
	}
	vectors := []vector{
		{name: "version 1", said: plain, host: "video.example.org"},
		{name: "version 2", said: talkQUIC(t, false, quic.Version2, "h3"), host: "video.example.org"},
		{name: "retry", said: retried, host: "video.example.org"},
		{name: "retry, first", said: retried[server:], host: "video.example.org"},
		{name: "the server first", said: append([]said{plain[first]}, plain...), host: "video.example.org"},
		{name: "without the first datagram", said: plain[1:]},
		{name: "without any of the client's", said: append([]said{plain[first]}, slices.Repeat([]said{{FromServer, append([]byte{0x4a}, make([]byte, 40)...)}}, 3)...)},
		{name: "DNS", said: talkQUIC(t, false, quic.Version1, "doq"), host: "video.example.org", want: DoQ},
	}
	for i := range vectors {
		v := &vectors[i]
		v.over, v.server, v.confidence = flow.ProtoUDP, 443, 90
		if v.want == Unknown {
			v.want = QUIC
		}
	}
	checkVectors(t, vectors)
}

// inside reads a stream with a tracker and returns all that was found.
func inside(t *testing.T, port uint16, all ...said) (findings []Finding) {
	t.Helper()
	tr := NewTracker(Limits{}, Parsers())
	for _, p := range conversation(vector{over: flow.ProtoTCP, server: port, said: all}) {
		if f, ok := tr.Observe(p.bytes, p.dir, epoch); ok {
			findings = append(findings, f)
		}
	}
	return findings
}

// A protocol that turns into TLS gives its own finding first, and then the host of the hello inside.
func TestHelloInside(t *testing.T) {
	hello := browserHello(t, utls.HelloChrome_Auto, "inner.example.org")
	inner := []said{{FromClient, hello[:700]}, {FromClient, hello[700:]}}
	for _, tt := range []struct {
		name  string
		port  uint16
		said  []said
		outer Protocol
		first string
	}{
		{"a proxy", 3128, []said{clientSays("CONNECT inner.example.org:443 HTTP/1.1\r\nHost: inner.example.org:443\r\n\r\n"), serverSays("HTTP/1.1 200 Connection established\r\n\r\n")}, HTTP, "inner.example.org"},
		{"a mail server", 587, []said{serverSays("220 mx.example.com ESMTP Postfix\r\n"), clientSays("EHLO client.example\r\n"), serverSays("250-mx.example.com\r\n250-STARTTLS\r\n250 HELP\r\n"), clientSays("STARTTLS\r\n"), serverSays("220 2.0.0 Ready\r\n")}, SMTP, ""},
		{"a SOCKS proxy", 1080, []said{clientHex("05 01 00"), serverHex("05 00"), clientHex("05 01 00 01 c0000201 01bb"), serverHex("05 00 00 01 00000000 0000")}, SOCKS, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			findings := inside(t, tt.port, append(tt.said, inner...)...)
			if len(findings) != 2 {
				t.Fatalf("%d findings: %+v", len(findings), findings)
			}
			if a := findings[0]; a.Protocol != tt.outer || tt.first != "" && a.Host != tt.first {
				t.Errorf("first %s, %q", a.Protocol, a.Host)
			}
			if b := findings[1]; b.Protocol != tt.outer || b.Host != "inner.example.org" || b.Source != SourceTLS {
				t.Errorf("second %s, %q from %s", b.Protocol, b.Host, b.Source)
			}
		})
	}
	if f := inside(t, 80, append([]said{clientSays("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")}, inner...)...); len(f) != 1 {
		t.Errorf("after a plain request: %+v", f)
	}
}
