package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/trenza-router/trenza/router/backup"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/store"
	"github.com/trenza-router/trenza/router/support"
	"github.com/trenza-router/trenza/webui/api"
	"github.com/trenza-router/trenza/webui/app"
	"github.com/trenza-router/trenza/webui/auth"
	"github.com/trenza-router/trenza/webui/localca"
)

// Options are what a Server is made of.
type Options struct {
	Engine  *engine.Engine
	Store   *store.Store
	Auth    *auth.Service
	Backups *backup.Keeper
	Recent  *support.Recent // nil: no lines of the log for who helps
	Metrics prometheus.Gatherer
	Log     *slog.Logger
	Listen  string // "ADDRESS:PORT" of HTTP; "" for the socket alone
	Socket  string // path of the control socket
	// TLS is "ADDRESS:PORT" of HTTPS with certificates of Authority; "" for none. HTTP then serves others than this machine only
	// for the first setup, and sends them to HTTPS.
	TLS       string
	Authority *localca.Authority
	// Grace is how long requests that are under way may take when the router stops; 0: a second.
	Grace time.Duration
}

// Server serves until its context ends.
type Server struct {
	opts   Options
	closed chan struct{} // closed when Run ends: live streams end with it
}

// New makes a server; it listens from Run on.
func New(o Options) (*Server, error) {
	if o.Engine == nil || o.Store == nil || o.Auth == nil || o.Backups == nil || o.Metrics == nil || o.Log == nil || o.Socket == "" {
		return nil, errors.New("serving the page: engine, store, auth, backups, metrics, log and socket are required")
	}
	if (o.TLS != "") != (o.Authority != nil) {
		return nil, errors.New("serving the page: TLS needs an address and an authority")
	}
	o.Grace = cmp.Or(o.Grace, time.Second)
	return &Server{opts: o, closed: make(chan struct{})}, nil
}

// Run serves until the context ends. A page that cannot be served is told and does not stop the router; the control socket
// is required. Run is called once.
func (s *Server) Run(ctx context.Context) error {
	handlers, err := s.handlers()
	if err != nil {
		return err
	}
	local, err := s.handler(handlers, false)
	if err != nil {
		return err
	}
	page, err := s.handler(handlers, true)
	if err != nil {
		return err
	}
	socket, err := listenSocket(ctx, s.opts.Socket)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.serve(ctx, socket, local) })
	if s.opts.Listen != "" {
		g.Go(func() error { return s.servePage(ctx, s.opts.Listen, nil, page) })
	}
	if s.opts.TLS != "" {
		g.Go(func() error { return s.servePage(ctx, s.opts.TLS, s.opts.Authority.TLS(), page) })
	}
	g.Go(func() error {
		<-ctx.Done()
		close(s.closed)
		return nil
	})
	return g.Wait()
}

// pageRetry is how long to wait for an address that is in use or not there yet.
const pageRetry = 2 * time.Second

func (s *Server) servePage(ctx context.Context, at string, secure *tls.Config, page http.Handler) error {
	var lc net.ListenConfig
	told := false
	for {
		l, err := lc.Listen(ctx, "tcp", at)
		if err == nil {
			scheme := "http://"
			address := l.Addr().String()
			if secure != nil {
				scheme, l = "https://", tls.NewListener(l, secure)
			}
			s.opts.Log.Info("the page is served", "address", scheme+address)
			told = false
			err = s.serve(ctx, l, page)
		}
		if ctx.Err() != nil {
			return nil // whatever it says while it is being stopped
		}
		if !told {
			s.opts.Log.Error("the page cannot be served yet; trying again until it can. Free the port, or set another one with web.listen or web.tls",
				"address", at, "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pageRetry):
		}
	}
}

// listenSocket opens the control socket; a socket that nobody answers is what a killed run left behind. It is removed when
// the listener is closed.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = c.Close() // nothing was said
		return nil, fmt.Errorf("opening the control socket: another router answers at %s; stop it first", path)
	case errors.Is(err, fs.ErrNotExist):
	case !errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("opening the control socket: another router may be at work: %w", err)
	default:
		// The kernel refuses what is no socket in the same way; that is not ours to remove.
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("opening the control socket: %s is not a socket; move it away", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("removing the control socket of an earlier run: %w", err)
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("keeping the control socket private: %w", err), l.Close())
	}
	return l, nil
}

// serve answers on l until the context ends, and then lets the requests that are under way end.
func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
		// A change of the rules that is under way is finished. Live streams end by s.closed.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		quiet, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Grace)
		defer cancel()
		if srv.Shutdown(quiet) != nil {
			if err := srv.Close(); err != nil {
				s.opts.Log.Debug("a listener did not close", "error", err)
			}
		}
	})
	err := srv.Serve(l)
	if !stop() {
		<-ended // Serve returns as soon as it takes no new requests
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving on %s: %w", l.Addr(), err)
	}
	return nil
}

// handlers are the interface's, shared by all listeners.
func (s *Server) handlers() (*api.Handlers, error) {
	o := api.Options{Engine: s.opts.Engine, Auth: s.opts.Auth, Store: s.opts.Store, Backups: s.opts.Backups, Recent: s.opts.Recent, Log: s.opts.Log, Closed: s.closed, Authority: s.opts.Authority}
	if s.opts.TLS != "" {
		_, port, err := net.SplitHostPort(s.opts.TLS)
		if err != nil {
			return nil, fmt.Errorf("serving the page with TLS: %w", err)
		}
		if o.TLSPort, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("serving the page with TLS: port %q: %w", port, err)
		}
	}
	return api.NewHandlers(o), nil
}

// handler routes requests. Those from the network are checked; the socket's rights are its file's.
func (s *Server) handler(handlers *api.Handlers, network bool) (http.Handler, error) {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = api.HandleError(s.opts.Log)
	// X-Forwarded-For is anyone's to write: only the connection tells who is there.
	e.IPExtractor = echo.ExtractIPDirect()
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
		return fmt.Errorf("panic: %w\n%s", err, stack) // told and logged by the error handler
	}}), secure, patient)
	if !network {
		return e, api.Register(e, handlers, func(*http.Request) (auth.Principal, auth.Visit) { return auth.Root(), auth.Visit{} })
	}
	e.Use(knownHost, sameOrigin(), s.toTLS(handlers))
	e.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(s.opts.Metrics, promhttp.HandlerOpts{})), uncached, s.metricsAccess)
	if s.opts.Authority != nil {
		e.GET(api.CertificatePath, s.certificate)
	}
	page, err := pageFiles(app.Files())
	if err != nil {
		return nil, err
	}
	e.Match([]string{http.MethodGet, http.MethodHead}, "/*", page)
	return e, api.Register(e, handlers, s.opts.Auth.Identify)
}
