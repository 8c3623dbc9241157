package netlab

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/emulator"
)

func testControl(t *testing.T, lab *Lab) {
	ctx := testContext(t)
	remote, err := Connect(filepath.Dir(lab.Dir()), "")
	if err != nil {
		t.Fatal(err)
	}
	spec := lab.Links()[0]
	useLink(t, lab, spec)
	carrier := func(want string) {
		t.Helper()
		if err := await(ctx, "carrier "+want, func() (bool, error) {
			out, err := lab.Router().Command(ctx, "cat", "/sys/class/net/"+spec.Device+"/carrier").Output()
			return strings.TrimSpace(string(out)) == want, err
		}); err != nil {
			t.Error(err)
		}
	}
	state := func(want emulator.State) {
		t.Helper()
		s, err := remote.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Links[0].State; got != want {
			t.Errorf("state %q, want %q", got, want)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const server = "198.51.100.1"
	ping(t, lab.Router(), server)
	state(emulator.Whole)

	do(remote.Cut(ctx, "fiber", true))
	state(emulator.Silent)
	carrier("1")
	unreachable(t, lab.Router(), server)
	do(remote.Heal(ctx, "fiber"))
	state(emulator.Whole)
	ping(t, lab.Router(), server)

	do(remote.CutOneWay(ctx, "fiber", emulator.Down))
	state(emulator.Silent)
	before := lab.Link("fiber").Counters(emulator.Up).Delivered
	unreachable(t, lab.Router(), server)
	if after := lab.Link("fiber").Counters(emulator.Up).Delivered; after == before {
		t.Error("a cut of the way down stopped the way up")
	}
	do(remote.Heal(ctx, "fiber"))

	do(remote.Cut(ctx, "fiber", false))
	state(emulator.Unplugged)
	carrier("0")
	do(remote.Heal(ctx, "fiber"))
	carrier("1")
	// With the carrier came the routes' end or not, as the kernel likes; the
	// test's own are put back.
	do(lab.Router().ip(ctx, fmt.Sprintf("route replace default via %v dev %s metric 1", spec.Gateway4.Addr(), spec.Device)))
	ping(t, lab.Router(), server)

	do(remote.Set(ctx, "fiber", []string{"delay=100ms", "up.rate=5mbit"}))
	if rtt := ping(t, lab.Router(), server); rtt < 200*time.Millisecond {
		t.Errorf("round trip %v, want at least 200ms", rtt)
	}
	if p := lab.Link("fiber").Params(); p.Up.Rate != 5e6 || p.Down.Rate != spec.Params.Down.Rate {
		t.Errorf("rates %d and %d, want 5 Mbit/s up and the old down", p.Up.Rate, p.Down.Rate)
	}
	do(lab.Link("fiber").Set(spec.Params))

	argv, err := remote.Shell(ctx, "laptop", "cat", "/sys/class/net/eth0/address")
	do(err)
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != lab.Host("laptop").Spec().MAC {
		t.Errorf("shell in laptop: %q (%v)", out, err)
	}

	for _, test := range []struct {
		err  error
		want string
	}{
		{remote.Cut(ctx, "dsl", true), `no link "dsl": there are fiber, wifi, lte`},
		{remote.Set(ctx, "lte", []string{"loss=200%"}), "must be between 0 and 1"},
		{remote.Set(ctx, "lte", nil), "nothing to change"},
		{func() error { _, err := remote.Shell(ctx, "fridge"); return err }(), `no node "fridge"`},
		{func() error { _, err := Connect(filepath.Dir(lab.Dir()), "other"); return err }(), "lab other: no lab is running"},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("error %v, want one with %q", test.err, test.want)
		}
	}
}
