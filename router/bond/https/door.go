package https

import (
	"crypto/hmac"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/trenza-router/trenza/router/bond/seal"
)

// Door is a web site that routers of one relay come in by. To everyone else it is the site: their requests are answered by it alone, those
// for a way in, too.
type Door struct {
	Relay seal.Key
	Site  http.Handler
	// Enter takes a stream over, also one that it only closes. Any goroutine calls it.
	Enter func(*Stream)
}

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if !d.invited(q) {
		d.Site.ServeHTTP(w, q)
		return
	}
	s, err := admit(w)
	if err != nil {
		return // the router that came has gone
	}
	d.Enter(s)
}

// invited tells whether a request is a router's. Nothing else of it is looked at: what travels inside is the bond's, and proves itself.
func (d *Door) invited(q *http.Request) bool {
	if q.TLS == nil || q.TLS.Version != tls.VersionTLS13 || q.ProtoMajor != 1 || q.Method != http.MethodGet ||
		!strings.EqualFold(q.Header.Get("Upgrade"), protocol) || !strings.HasPrefix(q.URL.Path, wellKnown) {
		return false
	}
	text, ok := strings.CutPrefix(q.Header.Get("Authorization"), bearer)
	if !ok {
		return false
	}
	shown, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	binding, err := q.TLS.ExportKeyingMaterial(exported, nil, exportSize)
	if err != nil {
		return false
	}
	key := seal.DoorKey(d.Relay, binding)
	return hmac.Equal(shown, key[:])
}

// admit answers a router and takes its connection from the web server.
func admit(w http.ResponseWriter) (_ *Stream, err error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s: ?1\r\n\r\n", protocol, capsules); err != nil {
		return nil, err
	}
	return newStream(conn, buffered.Reader, addrOf(conn.LocalAddr()).Port())
}
