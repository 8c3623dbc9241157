// Package blockpage tells a person in a browser why a page does not come.
//
// It owns the page and the small server for it. What was asked for, and why it is not given, is the caller's to say. It reads one request of a
// connection and nothing of it but the Host field, and says nothing that the asking device could not ask elsewhere.
//
// Place in the flow's way: the kernel redirects refused HTTP flows of the LAN here instead of resetting them.
package blockpage

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/net/netutil"
)

// Reason is why a device does not get what it asks a host for, one plain sentence; "" when nothing is known against it.
type Reason func(ctx context.Context, client netip.Addr, host string) string

const (
	maxHead     = 16 << 10
	patience    = 5 * time.Second // for a request, and for the end of the last ones
	connections = 64              // at a time: what comes on top waits
)

// page is what is said of a host, and the reason.
const page = `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Blocked</title>
<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem;color:#222;background:#fff}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#111}}</style>
<h1>This page is blocked</h1>
<p>%s is not reachable from this device.</p>
<p>%s</p>
`

// write writes the page for a host, which may be anything, or "". Not by html/template: where a template is executed methods are called by
// name, and the linker keeps every exported method of the whole program for it.
func write(w io.Writer, host, reason string) error {
	what := "It"
	if host != "" {
		what = "<b>" + html.EscapeString(host) + "</b>"
	}
	_, err := fmt.Fprintf(w, page, what, html.EscapeString(reason))
	return err
}

// Handler answers every request with the page.
func Handler(why Reason) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		reason := "Try again: the rule was lifted a moment ago."
		if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			if text := why(r.Context(), from.Addr().Unmap().WithZone(""), host); text != "" {
				reason = text
			}
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store") // the rule may be lifted the next minute
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		h.Set("Connection", "close") // so that the next request is judged anew
		w.WriteHeader(http.StatusForbidden)
		if r.Method != http.MethodHead {
			_ = write(w, host, reason) // a client that has gone does not read it
		}
	})
}

// Serve serves the page until the context ends.
func Serve(ctx context.Context, listen string, why Reason) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listening for blocked pages: %w; choose another block_page", err)
	}
	s := &http.Server{
		Handler: Handler(why), ReadTimeout: patience, WriteTimeout: patience, MaxHeaderBytes: maxHead,
	}
	over := make(chan error, 1)
	go func() { over <- s.Serve(netutil.LimitListener(l, connections)) }()
	select {
	case err := <-over:
		return fmt.Errorf("serving blocked pages: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := s.Shutdown(end); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("ending the server of blocked pages: %w", err)
	}
	return ctx.Err()
}
