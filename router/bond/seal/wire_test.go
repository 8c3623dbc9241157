package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"testing"

	"github.com/flynn/noise"
	"golang.org/x/crypto/blake2s"
)

// TestForeignRouter is a router written from docs/BOND.md alone, without a function of this package, against the relay.
func TestForeignRouter(t *testing.T) {
	h := newHome(t, Costs{AES: 20})
	private, public, relay := h.routerSelf.Private(), h.routerSelf.Public(), h.relaySelf.Public()
	mac := func(key, b []byte) []byte {
		m, err := blake2s.New128(key)
		if err != nil {
			t.Fatal(err)
		}
		m.Write(b)
		return m.Sum(nil)
	}
	macKey := func(reader Key) []byte {
		k := blake2s.Sum256(append([]byte("trenza bond mac1"), reader[:]...))
		return k[:]
	}

	hello := []byte{1, 1, 0xaa, 0xbb, 0xcc}
	state, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashBLAKE2s), Random: h.random,
		Pattern: noise.HandshakeIK, Initiator: true, Prologue: append([]byte("trenza bond"), hello...),
		PresharedKey: append([]byte{7}, make([]byte, 31)...), PresharedKeyPlacement: 2,
		StaticKeypair: noise.DHKey{Private: private[:], Public: public[:]}, PeerStatic: relay[:],
	})
	if err != nil {
		t.Fatal(err)
	}
	body := binary.BigEndian.AppendUint64(nil, 1) // count
	body = append(body, 1, 2, 3, 4, 5, 6, 7, 8)   // epoch
	body = append(append(body, 0, 0), 0, 15)      // no ChaCha20, AES for 240 ns
	body = append(body, make([]byte, 16)...)      // no ticket
	hello, _, _, err = state.WriteMessage(hello, body)
	if err != nil {
		t.Fatal(err)
	}
	hello = append(hello, mac(macKey(relay), hello)...)
	hello = append(hello, make([]byte, 16)...)
	if len(hello) != 169 {
		t.Fatalf("a hello of %d bytes", len(hello))
	}

	r, err := h.relay.Receive(nil, hello, from, 0)
	if err != nil {
		t.Fatal(err)
	}
	welcome := r.Reply
	if len(welcome) != 80 || !bytes.Equal(welcome[:4], []byte{2, 0xaa, 0xbb, 0xcc}) || !bytes.Equal(welcome[64:], mac(macKey(public), welcome[:64])) {
		t.Fatalf("the welcome is %x", welcome)
	}
	body, out, in, err := state.ReadMessage(nil, welcome[4:64])
	if err != nil || len(body) != 12 || body[3] != 2 {
		t.Fatalf("its body is %x: %v", body, err)
	}

	aead := func(key [32]byte) cipher.AEAD {
		block, err := aes.NewCipher(key[:])
		if err != nil {
			t.Fatal(err)
		}
		a, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	head := append([]byte{0x13}, body[:3]...)
	head = append(head, 0, 0, 2, 1)
	nonce := []byte{0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 2, 1}
	r, err = h.relay.Receive(nil, aead(out.UnsafeKey()).Seal(head, nonce, []byte("from the router"), head), from, 0)
	if err != nil || string(r.Frame) != "from the router" || r.Path != 3 || r.Number != 0x201 || !r.Joined || !r.Fresh {
		t.Fatalf("%+v, %v", r, err)
	}
	// And back, beyond the 32 bits of the wire.
	d := sealed(t, h.toRouter, 5, 1<<32+9, []byte("from the relay"), 0)
	if !bytes.Equal(d[:8], []byte{0x15, 0xaa, 0xbb, 0xcc, 0, 0, 0, 9}) {
		t.Fatalf("the datagram begins with %x", d[:8])
	}
	frame, err := aead(in.UnsafeKey()).Open(nil, []byte{0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 9}, d[8:], d[:8])
	if err != nil || string(frame) != "from the relay" {
		t.Fatalf("%q, %v", frame, err)
	}
}
