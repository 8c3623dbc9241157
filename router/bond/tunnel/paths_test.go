package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/bond/carrier"
)

// TestPathsComeAndGo gives a running bond paths, leads them anew and takes them away: each leaves one socket at most, and none in the end.
func TestPathsComeAndGo(t *testing.T) { haltest.InNamespace(t, pathsComeAndGo) }

func pathsComeAndGo(t *testing.T) {
	for i := range 2 {
		for _, line := range []string{"link add wan%d type veth peer name isp%[1]d", "address add 192.0.2.%d/32 dev wan%[1]d", "link set wan%d up"} {
			if out, err := exec.Command("ip", strings.Fields(fmt.Sprintf(line, i))...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
	}
	state, err := OpenState(t.TempDir())
	if err == nil {
		err = state.Join(Invite{Relay: [32]byte{9}, Addresses: []netip.AddrPort{netip.MustParseAddrPort("198.51.100.1:51900")}})
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRouter(Options{State: state, Device: "bond7", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	ran := make(chan error, 1)
	go func() { ran <- r.Run(ctx) }()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	count := func() (n int) {
		must(r.loop.Do(ctx, func(time.Duration) { n = len(r.strands) }))
		return n
	}
	for range 10 {
		must(r.SetPath(ctx, Path{ID: 1, Name: "a", Device: "wan0", Mark: 0x2000}))
		must(r.SetPath(ctx, Path{ID: 2, Name: "b", Device: "wan1", Mark: 0x4000}))
	}
	must(r.ClosePath(ctx, 1))
	must(r.OpenPath(ctx, 1))
	if n := count(); n != 2 {
		t.Errorf("%d sockets for two paths", n)
	}
	if err := r.SetPath(ctx, Path{ID: 1, Name: "a", Device: "gone"}); err == nil {
		t.Error("a path over a device that does not exist")
	}
	if err := r.SetPath(ctx, Path{ID: 8, Name: "c", Device: "wan0"}); err == nil {
		t.Error("a path of a number that no datagram can have")
	}
	if n := count(); n != 1 {
		t.Errorf("%d sockets after one path lost its device", n)
	}
	must(r.DropPath(ctx, 2))
	must(r.DropPath(ctx, 2))
	if n := count(); n != 0 {
		t.Errorf("%d sockets after all paths went", n)
	}
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if err := r.DropPath(t.Context(), 1); !errors.Is(err, carrier.ErrEnded) {
		t.Errorf("an order to a bond that has ended: %v", err)
	}
}
