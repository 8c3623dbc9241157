package dpi

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/stun/v3"
)

// wire is a packet connection that keeps what was sent, with who sent it.
type wire struct {
	net.PacketConn
	by   Direction
	note func(said)
}

func (w wire) WriteTo(b []byte, to net.Addr) (int, error) {
	w.note(said{w.by, append([]byte(nil), b...)})
	return w.PacketConn.WriteTo(b, to)
}

// dtlsTalk is a whole handshake of pion's DTLS over the loopback interface, and a word after it.
func dtlsTalk(t *testing.T, client *dtls.Config) []said {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"sfu.example.net"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := &dtls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}, SRTPProtectionProfiles: client.SRTPProtectionProfiles, SupportedProtocols: client.SupportedProtocols}
	var mu sync.Mutex
	var talk []said
	note := func(s said) {
		mu.Lock()
		defer mu.Unlock()
		talk = append(talk, s)
	}
	var ends [2]net.PacketConn
	for i := range ends {
		if ends[i], err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		defer ends[i].Close()
	}
	accepting, err := dtls.Server(wire{ends[1], FromServer, note}, ends[0].LocalAddr(), server)
	if err != nil {
		t.Fatal(err)
	}
	dialling, err := dtls.Client(wire{ends[0], FromClient, note}, ends[1].LocalAddr(), client)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	accepted := make(chan error, 1)
	go func() { accepted <- accepting.HandshakeContext(ctx) }()
	if err := dialling.HandshakeContext(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	if _, err := dialling.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	return talk[:len(talk):len(talk)]
}

// TestPion reads what pion's STUN and DTLS write: each datagram of a handshake alone, and the whole after a binding request.
func TestPion(t *testing.T) {
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername("abcd:efgh"), stun.NewSoftware("pion"),
		stun.NewShortTermIntegrity("secret"), stun.Fingerprint)
	answer := stun.MustBuild(request, stun.BindingSuccess, &stun.XORMappedAddress{IP: net.IPv4(192, 0, 2, 1), Port: 40000}, stun.Fingerprint)
	ice := []said{{FromClient, request.Raw}, {FromServer, answer.Raw}}
	talk := dtlsTalk(t, &dtls.Config{
		InsecureSkipVerify: true, ServerName: "sfu.example.net", SupportedProtocols: []string{"webrtc"}, MTU: 1200,
		SRTPProtectionProfiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80},
	})
	vectors := []vector{
		{name: "STUN", over: overUDP, server: 3478, said: ice, want: STUN, confidence: 95},
		{name: "DTLS", over: overUDP, server: 4433, said: talk, want: DTLS, host: "sfu.example.net", confidence: 95},
		{name: "WebRTC", over: overUDP, server: 4433, said: append(ice, talk...), want: WebRTC, host: "sfu.example.net", confidence: 95},
	}
	for _, s := range talk[1:] {
		host := ""
		if s.bytes[0] == 22 && s.bytes[13] == helloClient && s.bytes[4] == 0 {
			host = "sfu.example.net" // the second one, with the cookie
		}
		vectors = append(vectors, vector{name: "one datagram", over: overUDP, server: 4433, said: []said{s}, want: DTLS, host: host, confidence: 90})
	}
	checkVectors(t, vectors)
}
