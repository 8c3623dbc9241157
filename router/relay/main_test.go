package relay_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/linux"
	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/router/relay"
)

// roleVariable makes this binary one of the programs of the test, in the network namespace that it was started in.
const roleVariable = "TRENZA_TEST_BOND_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := play(ctx, role, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
}

// clockVariable names a file that says by how much the program's time of day is wrong; it may change while the program runs.
const clockVariable = "TRENZA_TEST_BOND_CLOCK"

// wall is the program's time of day.
func wall() time.Time {
	text, err := os.ReadFile(os.Getenv(clockVariable))
	if err != nil {
		return time.Now() // nobody has set a clock
	}
	wrong, err := time.ParseDuration(string(text))
	if err != nil {
		panic(err) // the test wrote it
	}
	return time.Now().Add(wrong)
}

func play(ctx context.Context, role string, args []string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	machine, err := linux.New(linux.Options{Nft: "nft", Log: log})
	if err != nil {
		return err
	}
	switch role {
	case "relay":
		return playRelay(ctx, args[0], machine, log)
	case "router":
		return playRouter(ctx, args[0], machine, log)
	case "download":
		return download(ctx, args[0], args[1])
	}
	return fmt.Errorf("no role %q", role)
}

func playRelay(ctx context.Context, config string, machine *linux.Machine, log *slog.Logger) error {
	cfg, err := relay.Load(config)
	if err != nil {
		return err
	}
	state, err := relay.OpenState(cfg.State)
	if err != nil {
		return err
	}
	defer state.Close()
	r, err := relay.New(relay.Options{Config: cfg, State: state, Machine: machine, Wall: wall, Log: log})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.Run(ctx) })
	g.Go(func() error { return r.Serve(ctx) })
	return g.Wait()
}

func playRouter(ctx context.Context, config string, machine *linux.Machine, log *slog.Logger) error {
	cfg, err := tunnel.Load(config)
	if err != nil {
		return err
	}
	state, err := tunnel.Enrol(cfg.State, cfg.Code)
	if err != nil {
		return err
	}
	r, err := tunnel.NewRouter(tunnel.Options{
		State: state, Device: cfg.Device, Paths: cfg.Links(), Wall: wall, Log: log,
		Settled: func(s tunnel.Settings) error {
			return machine.ReplaceRoute(ctx, hal.Route{Table: hal.MainTable, Dst: cfg.Routes[0], Dev: cfg.Device, Source: s.IPv4, Metric: 1, Protocol: hal.RouteProtocol})
		},
	})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.Run(ctx) })
	g.Go(func() error { return r.Serve(ctx, cfg.Run) })
	return g.Wait()
}

// download reads from a server for a time, looks at every byte, and prints how much came, how long it took, and the longest time in which nothing came.
func download(ctx context.Context, server, duration string) error {
	d, err := time.ParseDuration(duration)
	if err != nil {
		return err
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", server)
	if err != nil {
		return err
	}
	defer c.Close()
	start := time.Now()
	var from time.Time
	var n int64
	var stall time.Duration
	last := start
	buf := make([]byte, 1<<16)
	at := uint64(0) // of the next byte
	for time.Since(start) < d {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		k, err := c.Read(buf)
		if err != nil {
			return err
		}
		for _, b := range buf[:k] {
			if want := byte(at &^ 7 >> (8 * (7 - at&7))); b != want {
				return fmt.Errorf("byte %d is %#x, want %#x", at, b, want)
			}
			at++
		}
		now := time.Now()
		if now.Sub(start) > 2*time.Second { // the start is not counted
			if from.IsZero() {
				from, last = now, now
			}
			n += int64(k)
			stall = max(stall, now.Sub(last))
			last = now
		}
	}
	fmt.Printf("%d %d %d\n", n, last.Sub(from).Milliseconds(), stall.Milliseconds())
	return nil
}

// serve sends to everyone who connects, each eight bytes their own place, with CUBIC, until ctx ends.
func serve(ctx context.Context, addr string) error {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if ctl := c.Control(func(fd uintptr) { err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic") }); ctl != nil {
			return ctl
		}
		return err
	}}
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 1<<17)
				for at := uint64(0); ctx.Err() == nil; at += uint64(len(buf)) {
					for i := 0; i < len(buf); i += 8 {
						binary.BigEndian.PutUint64(buf[i:], at+uint64(i))
					}
					if _, err := c.Write(buf); err != nil {
						return
					}
				}
			}()
		}
	}()
	return nil
}
