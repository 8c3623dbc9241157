//go:build vm

package netem

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab"
	"github.com/trenza-router/trenza/integration/netlab/emulator"
)

// links are the home's, without the losses that would let a ping go missing.
func links() []netlab.LinkSpec {
	all := netlab.Home()
	for i := range all {
		p := &all[i].Params
		p.Up.Loss, p.Down.Loss, p.Up.Jitter, p.Down.Jitter = 0, 0, 0, 0
	}
	return all
}

// newLab builds a home with links of netem.
func newLab(t *testing.T) *netlab.Lab {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	lab, err := netlab.New(ctx, netlab.Options{Root: "/run/labs", Netem: true, Links: links(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	return lab
}

// TestLink tries all that a link can do, on one lab: building it takes a guest some time.
func TestLink(t *testing.T) {
	lab := newLab(t)
	fiber, spec := lab.Link("fiber"), lab.Links()[0]
	router, isp := lab.Router(), lab.Provider("fiber")
	if out, err := router.Command(t.Context(), "ip", "address", "add", "198.18.1.250/24", "dev", spec.Device).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	far := spec.Gateway4.Addr().String()

	rtt := ping(t, router, far, 10)
	if least := spec.Params.Up.Delay + spec.Params.Down.Delay; rtt < least {
		t.Errorf("round trip %v, want at least %v", rtt, least)
	}
	t.Logf("round trip over the fiber: %v", rtt)

	t.Run("set", func(t *testing.T) {
		slow := emulator.Settings{Rate: 5e6, Delay: 150 * time.Millisecond, Queue: 100 * time.Millisecond}
		if err := fiber.Set(emulator.Params{Up: slow, Down: slow}); err != nil {
			t.Fatal(err)
		}
		if rtt := ping(t, router, far, 3); rtt < 300*time.Millisecond {
			t.Errorf("round trip %v, want at least 300ms", rtt)
		}
		if err := fiber.Set(emulator.Params{Up: emulator.Settings{Loss: 2}}); err == nil {
			t.Error("a loss of 200 % was accepted")
		}
		if got := fiber.Params(); got.Up != slow {
			t.Errorf("after a refused change the settings are %+v", got)
		}
		if err := fiber.Set(spec.Params); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("by another process", func(t *testing.T) {
		remote, err := netlab.Connect("/run/labs", lab.ID())
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			do    func() error
			state emulator.State
			rate  int64
		}{
			{func() error { return remote.Set(t.Context(), "fiber", []string{"rate=5mbit"}) }, emulator.Whole, 5e6},
			{func() error { return remote.Cut(t.Context(), "fiber", false) }, emulator.Unplugged, 5e6},
			{func() error { return remote.Heal(t.Context(), "fiber") }, emulator.Whole, 5e6},
			{func() error { return remote.CutOneWay(t.Context(), "fiber", emulator.Down) }, emulator.Silent, 5e6},
			{func() error { return remote.Heal(t.Context(), "fiber") }, emulator.Whole, 5e6},
		} {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
			if s, r := fiber.State(), fiber.Params().Up.Rate; s != step.state || r != step.rate {
				t.Errorf("the link is %s at %d bit/s, want %s at %d", s, r, step.state, step.rate)
			}
		}
		if err := fiber.Set(spec.Params); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("rate", func(t *testing.T) {
		const size = 2_000_000
		before := fiber.Counters(emulator.Up)
		took := send(t, router, isp, far, size)
		if least := time.Duration(size * 8 * float64(time.Second) / float64(spec.Params.Up.Rate)); took < least {
			t.Errorf("%d bytes took %v at %d bit/s, want at least %v", size, took, spec.Params.Up.Rate, least)
		}
		t.Logf("TCP at %d Mbit/s: %.1f Mbit/s", spec.Params.Up.Rate/1e6, size*8/took.Seconds()/1e6)
		after := fiber.Counters(emulator.Up)
		frames, bytes := after.Sent-before.Sent, after.SentBytes-before.SentBytes
		if bytes < size {
			t.Errorf("counters %+v to %+v: fewer bytes than were sent", before, after)
		}
		// Frames as a cable knows them: a packet of 64 KB would pass the rate in one piece.
		if bytes/frames > 1514 {
			t.Errorf("%d bytes in %d frames: larger than a cable carries", bytes, frames)
		}
	})
	t.Run("cuts", func(t *testing.T) {
		alive := func(want bool) {
			t.Helper()
			if got := answers(t, router, far) > 0; got != want {
				t.Errorf("answers over the link: %v, want %v", got, want)
			}
		}
		carrier := func(want bool) {
			t.Helper()
			for n, device := range map[*netlab.Namespace]string{router: spec.Device, isp: "cust0"} {
				out, err := n.Command(t.Context(), "ip", "-oneline", "link", "show", "dev", device).CombinedOutput()
				if got := !strings.Contains(string(out), "NO-CARRIER"); err != nil || got != want {
					t.Errorf("%s has carrier: %v, want %v (%v): %s", device, got, want, err, out)
				}
			}
		}
		do := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, step := range []struct {
			what           string
			do             func() error
			alive, carrier bool
			state          emulator.State
		}{
			{"whole", fiber.Heal, true, true, emulator.Whole},
			{"the way up is cut", func() error { return fiber.Blackhole(emulator.Up, true) }, false, true, emulator.Silent},
			{"healed", fiber.Heal, true, true, emulator.Whole},
			{"the way down is cut", func() error { return fiber.Blackhole(emulator.Down, true) }, false, true, emulator.Silent},
			{"both are cut", func() error { return fiber.Cut(true) }, false, true, emulator.Silent},
			{"unplugged", func() error { return fiber.Cut(false) }, false, false, emulator.Unplugged},
			{"healed again", fiber.Heal, true, true, emulator.Whole},
		} {
			do(step.do())
			if got := fiber.State(); got != step.state {
				t.Errorf("%s: state %s, want %s", step.what, got, step.state)
			}
			carrier(step.carrier)
			alive(step.alive)
			if t.Failed() {
				t.Fatalf("after the step %q", step.what)
			}
		}
		for _, d := range []emulator.Direction{emulator.Up, emulator.Down} {
			if c := fiber.Counters(d); c.Cut == 0 || c.Delivered == 0 || c.Sent < c.Delivered+c.Cut {
				t.Errorf("%v: counters %+v: nothing was cut, or more than was sent", d, c)
			}
		}
	})
}

var rttLine = regexp.MustCompile(`time=([0-9.]+) ms`)

// ping returns the fastest of some round trips, and fails without an answer.
func ping(t *testing.T, from *netlab.Namespace, to string, count int) time.Duration {
	t.Helper()
	out, err := from.Command(t.Context(), "ping", "-n", "-i", "0.2", "-W", "20", "-c", strconv.Itoa(count), to).CombinedOutput()
	if err != nil {
		t.Fatalf("ping %s: %v: %s", to, err, out)
	}
	best := time.Hour
	for _, m := range rttLine.FindAllSubmatch(out, -1) {
		ms, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Duration(ms*float64(time.Millisecond)))
	}
	return best
}

// answers counts the answers to some pings; none is no error.
func answers(t *testing.T, from *netlab.Namespace, to string) int {
	t.Helper()
	// A neighbour that was not there is asked for once a second.
	out, err := from.Command(t.Context(), "ping", "-n", "-i", "0.5", "-W", "3", "-c", "6", to).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return len(rttLine.FindAll(out, -1))
}

// send sends bytes over TCP and returns how long it took from the first to the last byte's arrival.
func send(t *testing.T, from, to *netlab.Namespace, address string, size int64) time.Duration {
	t.Helper()
	var listener net.Listener
	err := to.Do(func() (err error) {
		listener, err = net.Listen("tcp", address+":5001")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	sent := make(chan error, 1)
	go func() {
		sent <- from.Do(func() error {
			c, err := net.DialTimeout("tcp", address+":5001", time.Minute)
			if err != nil {
				return err
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
			_, err = c.Write(make([]byte, size))
			return err
		})
	}()
	_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))
	c, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	start := time.Now()
	_ = c.SetReadDeadline(start.Add(2 * time.Minute))
	n, err := io.Copy(io.Discard, c)
	if err != nil || n != size {
		t.Fatalf("%d of %d bytes arrived: %v", n, size, err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}
