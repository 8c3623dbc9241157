package server

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/trenza-router/trenza/webui/api"
	"github.com/trenza-router/trenza/webui/auth"
)

// toTLS sends whoever comes over the network without TLS to the page with it. Only this machine itself, the first setup, for which no
// device can trust the router yet, and the certificate to be trusted are served without.
func (s *Server) toTLS(h *api.Handlers) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			switch {
			case r.TLS != nil:
				// A year, and no other host: names like router.lan are shared by all houses.
				c.Response().Header().Set("Strict-Transport-Security", "max-age=31536000")
				return next(c)
			case s.opts.TLS == "", loopback(r), !s.opts.Auth.HasUsers(), r.URL.Path == api.CertificatePath, r.URL.Path == api.Base+"/certificate":
				return next(c)
			case r.Method != http.MethodGet && r.Method != http.MethodHead, strings.HasPrefix(r.URL.Path, "/api/"):
				// A program must not get used to sending its token in the clear.
				return echo.NewHTTPError(http.StatusForbidden, "use https://"+s.tlsHost(r, h)+" instead: without TLS everyone on the way reads what you send")
			}
			to := url.URL{Scheme: "https", Host: s.tlsHost(r, h), Path: r.URL.Path, RawQuery: r.URL.RawQuery}
			return c.Redirect(http.StatusTemporaryRedirect, to.String())
		}
	}
}

// tlsHost is the host that was asked for, on the port with TLS. knownHost has looked at it.
func (s *Server) tlsHost(r *http.Request, h *api.Handlers) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if h.TLSPort() == 443 {
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(h.TLSPort()))
}

// loopback tells whether a request came to an address that only this machine has.
func loopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// metricsAccess lets those see the metrics who may see everything.
func (s *Server) metricsAccess(next echo.HandlerFunc) echo.HandlerFunc {
	access := auth.Access{Roles: []auth.Role{auth.Admin, auth.Viewer}, Scope: auth.Read}
	return func(c echo.Context) error {
		p, _ := s.opts.Auth.Identify(c.Request())
		if err := access.Permit(p, s.opts.Auth.HasUsers()); err != nil {
			return err
		}
		return next(c)
	}
}

// certificate is the authority's, for devices to trust.
func (s *Server) certificate(c echo.Context) error {
	c.Response().Header().Set("Content-Disposition", `attachment; filename="trenza-ca.crt"`)
	return c.Blob(http.StatusOK, "application/x-x509-ca-cert", s.opts.Authority.PEM())
}
