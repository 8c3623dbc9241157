package program

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
)

func TestFind(t *testing.T) {
	if path, err := Find("sh", "a test", "dash"); err != nil || !strings.HasSuffix(path, "/sh") {
		t.Errorf("got %q, %v", path, err)
	}
	_, err := Find("no-such-program", "an access point", "hostapd")
	if !errors.Is(err, hal.ErrUnsupported) || !strings.Contains(err.Error(), "an access point needs the program no-such-program: install the package hostapd") {
		t.Errorf("got %v", err)
	}
}

// TestRun: a program ends by itself, with last words on either stream, or when it is told to.
func TestRun(t *testing.T) {
	sh, err := Find("sh", "a test", "dash")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	for script, want := range map[string]string{
		"echo sh: first; echo second >&2; exit 3": "exit status 3: second",
		"echo here": "it ended by itself: here",
		"head -c 200000 /dev/zero | tr '\\0' a; echo; echo more; exit 1": "exit status 1",
	} {
		if err := Run(t.Context(), log, sh, "-c", script); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", script, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, log, sh, "-c", "exec sleep 1000") }()
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the program does not end")
	}
}
