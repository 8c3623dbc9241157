package linux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/trenza-router/trenza/hal"
)

// table is the only nftables table that is ours; its family is inet.
const table = "trenza"

// firewall loads rulesets through nft and reads and edits the table over netlink. Its state is what it
// learned about the kernel and a socket, opened in the network namespace of the first call that changes elements.
type firewall struct {
	nft string
	log *slog.Logger

	// noDestroy: the kernel lacks "delete if it is there" (before Linux 6.3); see elements_edit.go.
	noDestroy atomic.Bool
	editor    editor
}

// Load commits a ruleset in one transaction.
func (f *firewall) Load(ctx context.Context, text string) error {
	return f.feed(ctx, text, "load the ruleset", "-f", "-")
}

// Check does everything that Load does but the commit.
func (f *firewall) Check(ctx context.Context, text string) error {
	return f.feed(ctx, text, "check the ruleset", "-c", "-f", "-")
}

// stderrLimit bounds what is kept of nft's messages: a ruleset with an error in every line makes megabytes of them.
const stderrLimit = 64 << 10

// killGrace is how long nft's pipes may stay open after the context ended and nft was killed.
const killGrace = 2 * time.Second

func (f *firewall) feed(ctx context.Context, text, doing string, args ...string) error {
	cmd := exec.CommandContext(ctx, f.nft, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C") // messages are parsed
	cmd.Stdin = strings.NewReader(text)
	cmd.WaitDelay = killGrace
	stderr := &limitedBuffer{left: stderrLimit}
	cmd.Stdout, cmd.Stderr = io.Discard, stderr
	err := cmd.Run()
	switch {
	case err == nil:
		if stderr.Len() > 0 {
			f.log.Warn("nft took the ruleset but said something", "message", strings.TrimSpace(stderr.String()))
		}
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: nft was stopped before it ended: %w", doing, ctx.Err())
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: %w: there is no program %q; install nftables (apt install nftables, opkg install nftables-json)",
			doing, hal.ErrUnsupported, f.nft)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("%s: start %s: %w", doing, f.nft, err)
	}
	if denied(stderr.String()) {
		return fmt.Errorf("%s: %w", doing, hal.ErrPermission)
	}
	refusal := parseRefusal(stderr.String(), text)
	if refusal.Message == "" {
		refusal.Message = "nft gave no reason: " + exit.String()
	}
	return fmt.Errorf("%s: %w", doing, refusal)
}

// limitedBuffer keeps the first bytes that are written to it and swallows the rest.
type limitedBuffer struct {
	bytes.Buffer
	left int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	n := min(b.left, len(p))
	b.left -= n
	b.Buffer.Write(p[:n])
	return len(p), nil
}
