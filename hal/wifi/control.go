package wifi

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/trenza-router/trenza/hal"
)

const (
	// answerTime bounds what an answer may take; wpa_supplicant answers from one loop, in milliseconds.
	answerTime = 5 * time.Second
	// maxAnswer is above everything that it puts into one datagram (4096 bytes in version 2.10).
	maxAnswer = 64 << 10
)

// control is a connection to a device's socket. One goroutine at a time uses it.
type control struct{ conn *net.UnixConn }

// dial connects to a device. hal.ErrUnsupported when nobody has such a socket.
func (c *Client) dial(device string) (*control, error) {
	if device != filepath.Base(device) {
		return nil, fmt.Errorf("device %q: %w", device, hal.ErrNotFound)
	}
	// Our end has a name without a file: a service that sees other files than wpa_supplicant gets answers, too. A connected socket takes
	// datagrams of its peer alone.
	ours := &net.UnixAddr{Net: "unixgram", Name: "@trenza-wifi-" + rand.Text()}
	conn, err := net.DialUnix("unixgram", ours, &net.UnixAddr{Net: "unixgram", Name: filepath.Join(c.dir, device)})
	if err != nil {
		return nil, fmt.Errorf("reaching wpa_supplicant for %s: %w: %w", device, hal.ErrUnsupported, err)
	}
	return &control{conn}, nil
}

func (s *control) close() { _ = s.conn.Close() }

// read waits for one datagram, until the context ends.
func (s *control) read(ctx context.Context) (string, error) {
	defer context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })()
	b := make([]byte, maxAnswer)
	n, err := s.conn.Read(b)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("reading from wpa_supplicant: %w", err)
	}
	return string(b[:n]), nil
}

// ask sends a command and returns its answer. Events that come meanwhile are left out: who wants them has a connection for them. Errors name
// the command's first word alone, for the rest may be a secret.
func (s *control) ask(ctx context.Context, words ...string) (string, error) {
	command := strings.Join(words, " ")
	if strings.ContainsAny(command, "\n\x00") {
		return "", fmt.Errorf("asking wpa_supplicant %s: a line end in it: %w", words[0], hal.ErrRefused)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if _, err := s.conn.Write([]byte(command)); err != nil {
		return "", fmt.Errorf("asking wpa_supplicant %s: %w", words[0], err)
	}
	for {
		answer, err := s.read(ctx)
		if err != nil {
			return "", fmt.Errorf("asking wpa_supplicant %s: %w", words[0], err)
		}
		if strings.HasPrefix(answer, "<") {
			continue
		}
		switch strings.TrimSpace(answer) {
		case "FAIL-BUSY":
			return "", fmt.Errorf("asking wpa_supplicant %s: %w", words[0], hal.ErrBusy)
		case "FAIL", "UNKNOWN COMMAND":
			return "", fmt.Errorf("asking wpa_supplicant %s: %w", words[0], hal.ErrRefused)
		}
		return answer, nil
	}
}

// event waits for the next event and returns it without its level, as "CTRL-EVENT-CONNECTED - ...". ask ATTACH first.
func (s *control) event(ctx context.Context) (string, error) {
	for {
		text, err := s.read(ctx)
		if err != nil {
			return "", err
		}
		if _, event, ok := strings.Cut(text, ">"); ok && strings.HasPrefix(text, "<") {
			return event, nil
		}
	}
}
