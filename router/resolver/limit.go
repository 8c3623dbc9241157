package resolver

import (
	"net"
	"net/netip"
	"sync"
)

// limiter bounds how much one client, and all of them, have under way.
type limiter struct {
	perClient, total int

	mu   sync.Mutex
	used map[netip.Addr]int
	all  int
}

func newLimiter(perClient, total int) *limiter {
	return &limiter{perClient: perClient, total: total, used: map[netip.Addr]int{}}
}

// enter counts one more for the client; false: it has too many, and is not counted.
func (l *limiter) enter(client netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.total || l.used[client] >= l.perClient {
		return false
	}
	l.all++
	l.used[client]++
	return true
}

func (l *limiter) leave(client netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.used[client]--; l.used[client] <= 0 {
		delete(l.used, client)
	}
}

// connLimiter closes the connections of a client that has too many.
type connLimiter struct {
	net.Listener
	limit *limiter
}

func (l *connLimiter) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := addrPortOf(c.RemoteAddr()).Addr()
		if l.limit.enter(client) {
			return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { l.limit.leave(client) })}, nil
		}
		c.Close()
	}
}

type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// addrPortOf reads the address of a socket; the zero value for one that has none.
func addrPortOf(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
