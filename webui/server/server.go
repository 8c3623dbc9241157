package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/webui/api"
	"github.com/trenza-router/trenza/webui/app"
)

// Options are what a Server is made of.
type Options struct {
	Engine  *engine.Engine
	Metrics prometheus.Gatherer
	Log     *slog.Logger
	Listen  string // "ADDRESS:PORT"; "" for the socket alone
	Socket  string // path of the control socket
}

// Server serves until its context ends.
type Server struct {
	opts   Options
	closed chan struct{} // closed when Run ends: live streams end with it
}

// New makes a server; it listens from Run on.
func New(o Options) (*Server, error) {
	if o.Engine == nil || o.Metrics == nil || o.Log == nil || o.Socket == "" {
		return nil, errors.New("serving the page: engine, metrics, log and socket are required")
	}
	return &Server{opts: o, closed: make(chan struct{})}, nil
}

// Run serves until the context ends. A page that cannot be served is told and does not stop the router; the control socket
// is required. Run is called once.
func (s *Server) Run(ctx context.Context) error {
	socket, err := listenSocket(s.opts.Socket)
	if err != nil {
		return err
	}
	defer os.Remove(s.opts.Socket)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.serve(ctx, socket, s.handler(false)) })
	if s.opts.Listen != "" {
		g.Go(func() error { return s.servePage(ctx) })
	}
	g.Go(func() error {
		<-ctx.Done()
		close(s.closed)
		return nil
	})
	return g.Wait()
}

// pageRetry is how long to wait for an address that is in use or not there yet.
const pageRetry = 10 * time.Second

func (s *Server) servePage(ctx context.Context) error {
	var lc net.ListenConfig
	told := false
	for {
		l, err := lc.Listen(ctx, "tcp", s.opts.Listen)
		if err == nil {
			s.opts.Log.Info("the page is served", "address", "http://"+l.Addr().String())
			return s.serve(ctx, l, s.handler(true))
		}
		if ctx.Err() != nil {
			return nil
		}
		if !told {
			s.opts.Log.Error("the page cannot be served yet; trying again until it can. Free the port, or set another one with web.listen",
				"address", s.opts.Listen, "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pageRetry):
		}
	}
}

// listenSocket opens the control socket; a socket that nobody answers is what a killed run left behind.
func listenSocket(path string) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("opening the control socket: another router answers at %s; stop it first", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("keeping the control socket private: %w", err)
	}
	return l, nil
}

func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() {
		// Live streams end by their context; nothing else takes longer than this.
		quiet, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(quiet) != nil {
			srv.Close()
		}
	})
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving on %s: %w", l.Addr(), err)
	}
	return nil
}

// handler routes requests. Those from the network are checked; the socket's rights are its file's.
func (s *Server) handler(network bool) http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	// X-Forwarded-For is anyone's to write: only the connection tells who is there.
	e.IPExtractor = echo.ExtractIPDirect()
	e.Use(middleware.Recover(), secure)
	if network {
		e.Use(knownHost, echo.WrapMiddleware(http.NewCrossOriginProtection().Handler))
		e.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(s.opts.Metrics, promhttp.HandlerOpts{})))
		e.GET("/*", echo.WrapHandler(http.FileServerFS(app.Files())))
	}
	handlers := api.NewStrictHandler(api.NewHandlers(s.opts.Engine, s.closed), nil)
	api.RegisterHandlersWithBaseURL(e, handlers, "/api/v1")
	return e
}

// secure sets the headers that keep the page to itself.
func secure(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "+
			"base-uri 'none'; frame-ancestors 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if strings.HasPrefix(c.Request().URL.Path, "/api/") {
			h.Set("Cache-Control", "no-store")
		}
		return next(c)
	}
}

// knownHost refuses names that are not the router's: a page elsewhere whose name was made to point here (DNS rebinding) would
// otherwise count as our own.
func knownHost(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		host := c.Request().Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
		_, err := netip.ParseAddr(host)
		switch {
		case err == nil, host == "localhost", host == "router", host == "router.lan", host == "router.home.arpa":
			return next(c)
		}
		return echo.NewHTTPError(http.StatusMisdirectedRequest, "use the router's address or http://router.home.arpa")
	}
}
