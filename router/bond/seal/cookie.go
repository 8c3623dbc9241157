package seal

import (
	"crypto/subtle"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/trenza-router/trenza/router/lru"
	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"
)

// The macs prove that whoever wrote a message knows the public key of whoever is to read it; nothing answers those who do not. The cookie
// proves that he receives what is sent to his address. Both are WireGuard's idea (Donenfeld 2017, section 5.4.4 and 5.4.7).
const (
	macLabel    = "trenza bond mac1"
	cookieLabel = "trenza bond cookie"
	cookieLife  = 2 * time.Minute
)

type mac [macSize]byte

// labelled is the key for one purpose that follows from a public key.
func labelled(label string, k Key) [32]byte { return blake2s.Sum256(append([]byte(label), k[:]...)) }

func keyedMAC(key []byte, parts ...[]byte) (m mac) {
	h, err := blake2s.New128(key)
	if err != nil {
		panic(err) // only for keys longer than 32 bytes
	}
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(m[:0])
	return m
}

func equal(a mac, b []byte) bool { return subtle.ConstantTimeCompare(a[:], b) == 1 }

// doorkeeper decides which first messages deserve the work of a handshake.
type doorkeeper struct {
	random    io.Reader
	cookieKey [32]byte
	secrets   [2][32]byte // the current one and the one before
	drawn     time.Duration
	any       bool

	unproved bucket // for whom no address is proved
	proved   bucket
	each     *lru.Map[netip.Prefix, bucket]
}

const (
	unprovedRate = 32 // handshakes a second
	provedRate   = 256
	eachRate     = 2
	eachBurst    = 8
	eachMost     = 4096
)

func newDoorkeeper(random io.Reader, self Key) doorkeeper {
	return doorkeeper{
		random: random, cookieKey: labelled(cookieLabel, self),
		unproved: bucket{left: unprovedRate}, proved: bucket{left: provedRate},
		each: lru.New[netip.Prefix, bucket](eachMost),
	}
}

type verdict uint8

const (
	admit verdict = iota
	demand
	ignore
)

// judge takes a hello whose mac1 is right.
func (d *doorkeeper) judge(datagram []byte, from netip.AddrPort, now time.Duration) (verdict, error) {
	if err := d.rotate(now); err != nil {
		return ignore, err
	}
	before, mac2 := datagram[:len(datagram)-macSize], datagram[len(datagram)-macSize:]
	if equal(mac{}, mac2) {
		if d.unproved.take(unprovedRate, unprovedRate, now) {
			return admit, nil
		}
		return demand, nil
	}
	right := false
	for _, secret := range d.secrets {
		cookie := cookieOf(secret, from)
		right = right || equal(keyedMAC(cookie[:], before), mac2)
	}
	if !right { // a cookie of another address or time: a new one costs little
		return demand, nil
	}
	who := network(from.Addr())
	b := d.each.Get(who)
	if b == nil {
		b = d.each.Put(who, bucket{left: eachBurst, at: now})
	}
	if b.take(eachRate, eachBurst, now) && d.proved.take(provedRate, provedRate, now) {
		return admit, nil
	}
	return ignore, nil
}

// network is what one sender can be thought to own.
func network(a netip.Addr) netip.Prefix {
	bits := 64
	if a = a.Unmap(); a.Is4() {
		bits = 32
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

func (d *doorkeeper) rotate(now time.Duration) error {
	if d.any && now-d.drawn < cookieLife {
		return nil
	}
	// After a long silence the secret before is too old as well.
	for n := range 2 {
		if n == 1 && d.any && now-d.drawn < 2*cookieLife {
			break
		}
		d.secrets[1] = d.secrets[0]
		if _, err := io.ReadFull(d.random, d.secrets[0][:]); err != nil {
			return fmt.Errorf("drawing the secret of cookies: %w", err)
		}
	}
	d.drawn, d.any = now, true
	return nil
}

func cookieOf(secret [32]byte, from netip.AddrPort) mac {
	addr, port := from.Addr().As16(), from.Port()
	return keyedMAC(secret[:], addr[:], []byte{byte(port >> 8), byte(port)})
}

// reply appends a cookie for whoever sent a hello.
func (d *doorkeeper) reply(dst, datagram []byte, from netip.AddrPort) ([]byte, error) {
	var nonce [24]byte
	if _, err := io.ReadFull(d.random, nonce[:]); err != nil {
		return dst, fmt.Errorf("drawing a nonce: %w", err)
	}
	aead, err := chacha20poly1305.NewX(d.cookieKey[:])
	if err != nil {
		return dst, err
	}
	cookie := cookieOf(d.secrets[0], from)
	dst = append(append(dst, cookieKind), datagram[2:helloHead]...)
	dst = append(dst, nonce[:]...)
	return aead.Seal(dst, nonce[:], cookie[:], mac1Of(datagram)), nil
}

// openCookie reads the answer to the hello of that mac1.
func openCookie(relay Key, datagram, mac1 []byte) (m mac, err error) {
	key := labelled(cookieLabel, relay)
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return m, err
	}
	if _, err := aead.Open(m[:0], datagram[4:28], datagram[28:], mac1); err != nil {
		return m, errForged
	}
	return m, nil
}

// mac1Of is where a hello of any version has its mac1.
func mac1Of(datagram []byte) []byte {
	return datagram[len(datagram)-2*macSize : len(datagram)-macSize]
}

// bucket is a token bucket that starts as full as its maker says.
type bucket struct {
	left float64
	at   time.Duration
}

func (b *bucket) take(rate, most float64, now time.Duration) bool {
	if now > b.at {
		b.left = min(most, b.left+rate*(now-b.at).Seconds())
		b.at = now
	}
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
