package server

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

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

// uncached keeps an answer out of caches.
func uncached(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "no-store")
		return next(c)
	}
}

// sameOrigin refuses changes that a page of another origin asks for, told by what browsers say of a request
// (Sec-Fetch-Site, else Origin against Host).
func sameOrigin() echo.MiddlewareFunc {
	protection := http.NewCrossOriginProtection()
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := protection.Check(c.Request()); err != nil {
				return echo.NewHTTPError(http.StatusForbidden, "another page asks for this change; only the router's own page may").SetInternal(err)
			}
			return next(c)
		}
	}
}

// writePatience is how long one write may wait for a client that does not read. A live stream lasts as long as each of its
// writes succeeds, so it is no bound on the whole answer.
const writePatience = 30 * time.Second

// patient lets go of clients that went to sleep in the middle of an answer.
func patient(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		w := &patientWriter{ResponseWriter: c.Response().Writer}
		c.Response().Writer = w
		w.extend()
		return next(c)
	}
}

type patientWriter struct{ http.ResponseWriter }

// extend gives the next write its time. A deadline stays with a connection until the next is set, so one is set for the
// head of an answer, too.
func (w *patientWriter) extend() {
	// It fails on a connection that is gone, which the write will find, too.
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(writePatience))
}

// WriteHeader sends the head of an answer.
func (w *patientWriter) WriteHeader(code int) {
	w.extend()
	w.ResponseWriter.WriteHeader(code)
}

// Write sends a part of an answer.
func (w *patientWriter) Write(p []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController, which flushes.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

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
		return echo.NewHTTPError(http.StatusMisdirectedRequest, fmt.Sprintf("%q is not a name of this router: use its address or http://router.home.arpa", host))
	}
}
