package internet_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/internet"
	"github.com/trenza-router/trenza/integration/netlab/internet/nstest"
)

func TestMain(m *testing.M) { nstest.Main(m, nil) }

// start runs the internet until the test ends, and fails the test when it ends badly or leaves a goroutine.
func start(t *testing.T, change func(*internet.Config)) (internet.Config, *internet.Observer) {
	t.Helper()
	nstest.NoLeak(t)
	dir := t.TempDir()
	cfg := internet.Config{CA: filepath.Join(dir, "ca.pem"), Socket: filepath.Join(dir, "rec.sock")}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- internet.Run(ctx, cfg) }()
	o := internet.NewObserver(cfg.Socket)
	t.Cleanup(func() {
		o.Close()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run did not end")
		}
	})
	ready, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	if err := o.WaitReady(ready); err != nil {
		select {
		case err := <-done:
			done <- err
			t.Fatalf("Run ended: %v", err)
		default:
			t.Fatal(err)
		}
	}
	return cfg, o
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
