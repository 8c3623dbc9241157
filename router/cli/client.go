package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/trenza-router/trenza/webui/api"
)

const defaultSocket = "/run/trenza/trenza.sock"

// client speaks to the running router over its control socket.
func (s *session) client() (*api.ClientWithResponses, error) {
	path := s.socket
	if path == "" {
		path = cmp.Or(labSocket(), defaultSocket)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrPermission) {
		return nil, asRoot(fmt.Errorf("asking the router: %w", err))
	} else if err != nil {
		return nil, exitError{exitNoRouter, fmt.Errorf("no router runs here: there is no %s; start it with \"trenza router\", or name its socket with --socket", path)}
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	// The host name is never looked up; the server expects one that it knows.
	c, err := api.NewClientWithResponses("http://localhost/api/v1", api.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		return nil, fmt.Errorf("preparing to ask the router: %w", err)
	}
	return c, nil
}

// answered turns what a call returned into its value or an error that says what the router said.
func answered[T any](value *T, failure *api.Error, status int, err error) (T, error) {
	var zero T
	if err != nil {
		var op *net.OpError
		if errors.Is(err, fs.ErrPermission) {
			return zero, asRoot(fmt.Errorf("asking the router: %w", err))
		}
		if errors.As(err, &op) && op.Op == "dial" {
			return zero, exitError{exitNoRouter, fmt.Errorf("the router does not answer: %w; is it running?", op.Err)}
		}
		return zero, fmt.Errorf("asking the router: %w", err)
	}
	if value != nil {
		return *value, nil
	}
	if failure == nil {
		return zero, fmt.Errorf("the router answered with status %d and no reason", status)
	}
	message := failure.Message
	if failure.Problems != nil && len(*failure.Problems) > 0 {
		message += "\n  " + strings.Join(*failure.Problems, "\n  ")
	}
	if status >= 400 && status < 500 {
		return zero, usageError(errors.New(message))
	}
	return zero, errors.New(message)
}
