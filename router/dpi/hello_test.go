package dpi

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	utls "github.com/refraction-networking/utls"
)

// helloRecords returns what crypto/tls sends first: one or more records that hold a ClientHello.
func helloRecords(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	cfg.InsecureSkipVerify = true
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go tls.Client(client, cfg).HandshakeContext(context.Background())
	server.SetDeadline(time.Now().Add(30 * time.Second))
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		t.Fatalf("read record header: %v", err)
	}
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(server, body); err != nil {
		t.Fatalf("read record: %v", err)
	}
	return append(head, body...)
}

// browserHello returns the first record of a browser's profile.
func browserHello(t testing.TB, id utls.ClientHelloID, host string) []byte {
	t.Helper()
	c := utls.UClient(nil, &utls.Config{ServerName: host}, id)
	if err := c.BuildHandshakeState(); err != nil {
		t.Fatalf("%s: %v", id.Str(), err)
	}
	return record(c.HandshakeState.Hello.Raw)
}

func record(handshake []byte) []byte {
	return append([]byte{22, 3, 1, byte(len(handshake) >> 8), byte(len(handshake))}, handshake...)
}

// inRecords packs a handshake stream into records of at most size bytes each.
func inRecords(handshake []byte, size int) []byte {
	var out []byte
	for len(handshake) > 0 {
		n := min(size, len(handshake))
		out = append(out, record(handshake[:n])...)
		handshake = handshake[n:]
	}
	return out
}

func u16(n int) []byte { return []byte{byte(n >> 8), byte(n)} }

func extension(kind int, body []byte) []byte {
	return append(append(u16(kind), u16(len(body))...), body...)
}

func serverNames(names ...string) []byte {
	var list []byte
	for _, n := range names {
		list = append(append(append(list, 0), u16(len(n))...), n...)
	}
	return append(u16(len(list)), list...)
}

// handHello builds a ClientHello message out of raw extensions, nil for none at all.
func handHello(extensions ...[]byte) []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0)                      // session id
	body = append(body, 0, 2, 0x13, 0x01, 1, 0) // one suite, no compression
	if extensions != nil {
		var all []byte
		for _, e := range extensions {
			all = append(all, e...)
		}
		body = append(append(body, u16(len(all))...), all...)
	}
	return append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...)
}
