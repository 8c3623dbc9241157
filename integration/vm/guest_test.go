//go:build vm

package vm

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

// These tests run on the host and start guests; this very program is what runs in them.

func TestMain(m *testing.M) {
	if os.Getenv("TRENZA_VM") != "" {
		os.Exit(inside(os.Getenv("TRENZA_ORDER")))
	}
	os.Exit(m.Run())
}

// inside is what the program does in a guest.
func inside(order string) int {
	fmt.Println("the order is", order)
	switch order {
	case "end":
		return 7
	case "panic":
		if err := os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0); err != nil {
			fmt.Println(err)
		}
	case "hang":
		_ = os.WriteFile("/dev/kmsg", []byte("<0>this guest hangs\n"), 0)
		for {
			time.Sleep(time.Hour)
		}
	}
	return 1
}

func TestRun(t *testing.T) {
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	image, err := Ready(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for order, test := range map[string]struct {
		wait time.Duration // for the guest's end, when it has none
		hide string
		code int
		err  []string // parts of the error
		says string
	}{
		"end":    {code: 7, says: "the order is end"},
		"panic":  {err: []string{"its kernel panicked", "sysrq: Trigger a crash"}, says: "the order is panic"},
		"hang":   {wait: 10 * time.Second, err: []string{"the job had no end after 10s", "this guest hangs"}, says: "the order is hang"},
		"hidden": {hide: "no_such_module", code: 125, says: "no_such_module cannot be hidden"},
	} {
		t.Run(order, func(t *testing.T) {
			job, err := TestJob(here, self, nil)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			job.Env = append(job.Env, "TRENZA_ORDER="+order)
			job.Output, job.Log = &out, log
			if test.wait > 0 {
				job.Deadline = test.wait
			}
			if test.hide != "" {
				job.Options.Hide = []string{test.hide}
			}
			start := time.Now()
			code, err := image.Run(t.Context(), job)
			t.Logf("took %v", time.Since(start))
			if (err != nil) != (test.err != nil) || err != nil && !errors.Is(err, ErrGuest) || err == nil && code != test.code {
				t.Fatalf("code %d, error %v; the guest said:\n%s", code, err, out.String())
			}
			for _, part := range test.err {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error has no %q: %v", part, err)
				}
			}
			if !strings.Contains(out.String(), test.says) {
				t.Errorf("the guest said %q, want %q", out.String(), test.says)
			}
		})
	}
}
