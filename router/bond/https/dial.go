package https

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/trenza-router/trenza/router/bond/carrier"
	"github.com/trenza-router/trenza/router/bond/seal"
)

const (
	protocol   = "connect-udp" // RFC 9298 section 3.2
	wellKnown  = "/.well-known/masque/udp/"
	capsules   = "Capsule-Protocol" // RFC 9297 section 3.4
	bearer     = "Bearer "
	exported   = "EXPORTER-trenza-bond" // label of the key material that binds a request to its connection
	exportSize = 32

	dialTime = 8 * time.Second
	// nextAfter is how long one of the relay's addresses is alone in the race (RFC 8305 section 5).
	nextAfter = 250 * time.Millisecond
	// mostAnswer is how much of a server's answer is read.
	mostAnswer = 16 << 10
)

// Target is a relay's web server, and the link to reach it over.
type Target struct {
	Addresses []netip.AddrPort
	Relay     seal.Key
	Trust     Trust
	Device    string // the link's device; "": the routing table decides
	Mark      uint32 // for routing rules; 0: none
}

// Dial connects to a relay: whichever of its addresses answers first. ErrInspected: somebody else answered.
func Dial(ctx context.Context, t Target) (*Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	type answer struct {
		s   *Stream
		err error
	}
	answers := make(chan answer)
	begin := func(a netip.AddrPort) {
		go func() {
			s, err := t.dial(ctx, a)
			select {
			case answers <- answer{s, err}:
			case <-ctx.Done():
				if s != nil {
					_ = s.Close()
				}
			}
		}()
	}
	next, running := 0, 0
	stagger := time.NewTimer(0)
	defer stagger.Stop()
	var errs []error
	for next < len(t.Addresses) || running > 0 {
		select {
		case <-ctx.Done():
			return nil, errors.Join(append(errs, fmt.Errorf("the relay's web server does not answer: %w", ctx.Err()))...)
		case <-stagger.C:
			if next < len(t.Addresses) {
				begin(t.Addresses[next])
				next, running = next+1, running+1
				stagger.Reset(nextAfter)
			}
		case a := <-answers:
			running--
			if a.err == nil {
				return a.s, nil
			}
			errs = append(errs, a.err)
			stagger.Reset(0)
		}
	}
	for _, err := range errs {
		if errors.Is(err, ErrInspected) {
			return nil, err // this is what to do something about
		}
	}
	return nil, errors.Join(errs...)
}

func (t Target) dial(ctx context.Context, to netip.AddrPort) (_ *Stream, err error) {
	raw, err := carrier.TCPDialer(t.Device, t.Mark).DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, fmt.Errorf("connecting to the relay's web server: %w", err)
	}
	defer func() {
		if err != nil {
			raw.Close()
		}
	}()
	conn := tls.Client(raw, t.Trust.config())
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS with %v: %w", to, explain(err))
	}
	state := conn.ConnectionState()
	binding, err := state.ExportKeyingMaterial(exported, nil, exportSize)
	if err != nil {
		return nil, fmt.Errorf("TLS with %v: %w", to, err)
	}
	// The connection is tied to ctx until the answer is there.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	q := t.request(to, binding)
	if err := q.Write(conn); err != nil {
		return nil, fmt.Errorf("asking %v: %w", to, err)
	}
	from := bufio.NewReaderSize(conn, mostAnswer)
	res, err := http.ReadResponse(from, q)
	if err != nil {
		return nil, fmt.Errorf("the answer of %v: %w", to, err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Upgrade") != protocol {
		return nil, fmt.Errorf("the web server at %v answers %q: it is not the relay that gave the code, or has shut this router out", to, res.Status)
	}
	if !stop() {
		return nil, fmt.Errorf("asking %v: %w", to, ctx.Err())
	}
	return newStream(conn, from, to.Port())
}

// request asks for a way to the relay's UDP port. The target is the relay itself, whatever its name: it leads nowhere else.
func (t Target) request(to netip.AddrPort, binding []byte) *http.Request {
	host := t.Trust.Name
	if host == "" {
		host = to.Addr().String()
	}
	key := seal.DoorKey(t.Relay, binding)
	authority := host
	if strings.Contains(host, ":") {
		authority, host = "["+host+"]", strings.ReplaceAll(host, ":", "%3A") // RFC 9298 section 2
	}
	path := wellKnown + host + "/" + strconv.Itoa(int(to.Port())) + "/"
	return &http.Request{
		Method: http.MethodGet, Host: authority, ProtoMajor: 1, ProtoMinor: 1,
		URL: &url.URL{Scheme: "https", Host: authority, Opaque: path},
		Header: http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {protocol}, capsules: {"?1"},
			"Authorization": {bearer + base64.RawURLEncoding.EncodeToString(key[:])},
		},
	}
}
