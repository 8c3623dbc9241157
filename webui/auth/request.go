package auth

import (
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Names of the session's cookie. Over TLS the prefix makes browsers hold it to this host, this path and TLS (RFC 6265bis section
// 4.1.3.2), so that neither another host nor a page without TLS can plant one.
const (
	secureCookie = "__Host-trenza"
	plainCookie  = "trenza"
)

// Cookie carries a session's token to the browser; a token of "" takes it away.
func Cookie(v Visit, token string) *http.Cookie {
	c := &http.Cookie{Name: plainCookie, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: int(LongestSession / time.Second)}
	if v.TLS {
		c.Name, c.Secure = secureCookie, true
	}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}

// Identify finds who makes a request, by bearer token, else by cookie. A token that is wrong is a stranger's, even beside a cookie
// that is right.
func (s *Service) Identify(r *http.Request) (Principal, Visit) {
	v := Visit{TLS: r.TLS != nil, Agent: r.UserAgent()}
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		v.Peer = a.Addr().Unmap()
	}
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, secret, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return Principal{}, v
		}
		p, _ := s.ByToken(strings.TrimSpace(secret))
		return p, v
	}
	name := plainCookie
	if v.TLS {
		name = secureCookie
	}
	// Of several cookies of that name one was planted: none counts.
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 {
		return Principal{}, v
	}
	p, _ := s.BySession(r.Context(), cookies[0].Value)
	return p, v
}
