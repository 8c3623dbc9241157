package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/trenza-router/trenza/hal"
)

// Times of a connection.
const (
	openTime  = 4 * time.Second  // for TCP and TLS together
	writeTime = 2 * time.Second  // for one message
	idleTime  = 30 * time.Second // nothing heard for so long: the connection is closed
)

// maxPeers bounds the servers remembered: links come and go.
const maxPeers = 64

var errClosed = errors.New("the client of the name servers is closed")

// Options are what a Client needs.
type Options struct {
	Sockets hal.Sockets    // required
	Roots   *x509.CertPool // that certificates are checked against; nil: the machine's
}

// Client asks encrypted servers. Make it with NewClient; it may be used by many at a time.
type Client struct {
	options Options
	config  *tls.Config // without a name
	base    context.Context
	stop    context.CancelFunc

	mu     sync.Mutex
	peers  map[way]peer
	closed bool
	tasks  sync.WaitGroup
}

// way is one server over one link.
type way struct {
	server Server
	via    hal.Via
}

// peer keeps the connection to one server over one link.
type peer interface {
	// exchange sends a packed question, which it may change, and returns the bytes of the answer.
	exchange(ctx context.Context, question []byte) ([]byte, error)
	close()
}

// NewClient makes a client; it opens nothing before it is asked.
func NewClient(o Options) *Client {
	base, stop := context.WithCancel(context.Background())
	return &Client{
		options: o, base: base, stop: stop, peers: map[way]peer{},
		config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots, ClientSessionCache: tls.NewLRUClientSessionCache(maxPeers)},
	}
}

// Close ends all connections and waits until nothing runs any more. Later questions fail.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.forget()
	c.mu.Unlock()
	c.stop()
	c.tasks.Wait()
}

// forget closes all peers; c.mu is held.
func (c *Client) forget() {
	for _, p := range c.peers {
		p.close()
	}
	clear(c.peers)
}

// Exchange asks an encrypted server over a link. The answer has the question's id; whether it is an answer to the question is for the
// caller to see. A certificate that is not the server's gives an error in which errors.As finds a *tls.CertificateVerificationError.
func (c *Client) Exchange(ctx context.Context, s Server, via hal.Via, query *dns.Msg) (*dns.Msg, error) {
	question, err := pack(query)
	if err != nil {
		return nil, err
	}
	p, err := c.peer(way{s, via})
	if err != nil {
		return nil, err
	}
	raw, err := p.exchange(ctx, question)
	if err != nil {
		return nil, explained(err, s)
	}
	resp := new(dns.Msg)
	if err := resp.Unpack(raw); err != nil {
		return nil, fmt.Errorf("malformed answer: %w", err)
	}
	resp.Id = query.Id
	return resp, nil
}

func (c *Client) peer(w way) (peer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	if p, ok := c.peers[w]; ok {
		return p, nil
	}
	if len(c.peers) >= maxPeers {
		c.forget()
	}
	var p peer
	switch w.server.Proto {
	case TLS:
		p = &tlsPeer{client: c, way: w}
	case HTTPS:
		p = newHTTPSPeer(c, w)
	default:
		return nil, fmt.Errorf("%s is not an encrypted server", w.server)
	}
	c.peers[w] = p
	return p, nil
}

// run starts a task that Close waits for; false: it is closed already.
func (c *Client) run(task func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.tasks.Go(task)
	return true
}

// dial connects to a server over its link and makes sure that it is the server; the first protocol of next that both know is agreed on.
func (c *Client) dial(ctx context.Context, w way, next ...string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	conn, err := c.options.Sockets.Dial(ctx, w.via, "tcp", w.server.Addr)
	if err != nil {
		return nil, err
	}
	conn = c.bind(conn)
	config := c.config.Clone()
	config.ServerName, config.NextProtos = w.server.verified(), next
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return secured, nil
}

// bound is a connection that ends with its client.
type bound struct {
	hal.Conn
	loose func() bool
}

func (c *Client) bind(conn hal.Conn) hal.Conn {
	return &bound{Conn: conn, loose: context.AfterFunc(c.base, func() { conn.Close() })}
}

func (b *bound) Close() error {
	b.loose()
	return b.Conn.Close()
}

// explained adds to an error what a person can do about it.
func explained(err error, s Server) error {
	var refused *tls.CertificateVerificationError
	if !errors.As(err, &refused) {
		return err
	}
	hint := fmt.Sprintf("the server is not %s, or someone on the way answers in its place", s.verified())
	var invalid x509.CertificateInvalidError
	var roots x509.SystemRootsError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		hint = "check the machine's clock first"
	case errors.As(err, &roots):
		hint = "install the certificates of the known authorities (ca-certificates, on OpenWrt ca-bundle)"
	case errors.As(err, &unknown):
		hint = "no authority that this machine knows signed it: someone on the way answers in its place, or ca-certificates (on OpenWrt ca-bundle) is not installed"
	}
	return fmt.Errorf("%w; %s", err, hint)
}
