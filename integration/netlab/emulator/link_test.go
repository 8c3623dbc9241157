package emulator_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/integration/netlab/emulator"
)

// netns is a network namespace of a test's own. (Package netlab's are not used,
// because they are built on what is tested here.)
type netns string

func newNetns(t *testing.T, name string) netns {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	n := netns("tze" + strings.ToLower(rand.Text()[:8]) + "-" + name)
	n.ip(t, "netns", "add", string(n))
	t.Cleanup(func() { n.ip(t, "netns", "del", string(n)) })
	return n
}

func (n netns) ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}

// do runs f in the namespace.
func (n netns) do(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		file, err := os.Open("/run/netns/" + string(n))
		if err == nil {
			defer file.Close()
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// home is a link with a namespace at each end.
type home struct {
	*emulator.Link
	near, far netns
}

const nearAddr, farAddr = "10.1.0.1", "10.1.0.2"

func newHome(t *testing.T, p emulator.Params) home {
	t.Helper()
	h := home{near: newNetns(t, "near"), far: newNetns(t, "far")}
	open := func(n netns, addr string) (tap *emulator.TAP) {
		n.do(t, func() (err error) {
			tap, err = emulator.OpenTAP("wan0")
			return err
		})
		n.ip(t, "-n", string(n), "address", "add", addr+"/24", "dev", tap.Name())
		n.ip(t, "-n", string(n), "link", "set", tap.Name(), "up")
		return tap
	}
	link, err := emulator.New(open(h.near, nearAddr), open(h.far, farAddr), p, 1)
	if err != nil {
		t.Fatal(err)
	}
	h.Link = link
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- link.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ran, link.Close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

var rttLine = regexp.MustCompile(`time=([0-9.]+) ms`)

// ping sends count echo requests and returns the times of the answers.
func (h home) ping(t *testing.T, count int, options ...string) (rtts []time.Duration) {
	t.Helper()
	args := append([]string{"netns", "exec", string(h.near), "ping", "-n", "-c", strconv.Itoa(count)}, options...)
	out, err := exec.CommandContext(t.Context(), "ip", append(args, farAddr)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // no answer at all is an exit code
		t.Fatal(err)
	}
	for _, m := range rttLine.FindAllSubmatch(out, -1) {
		ms, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		rtts = append(rtts, time.Duration(ms*float64(time.Millisecond)))
	}
	return rtts
}

func (h home) carrier(t *testing.T, n netns) string {
	t.Helper()
	out, err := exec.Command("ip", "-n", string(n), "-oneline", "link", "show", "dev", "wan0").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if strings.Contains(string(out), "NO-CARRIER") {
		return "NO-CARRIER"
	}
	return "carrier"
}

// both returns the same settings for both directions.
func both(s emulator.Settings) emulator.Params { return emulator.Params{Up: s, Down: s} }

func TestLinkDelay(t *testing.T) {
	h := newHome(t, both(emulator.Settings{Rate: 100e6, Delay: 20 * time.Millisecond, Queue: 100 * time.Millisecond}))
	rtts := h.ping(t, 20, "-i", "0.05", "-W", "10")
	if len(rtts) < 20 {
		t.Fatalf("%d of 20 answers", len(rtts))
	}
	best := rtts[0]
	for _, rtt := range rtts {
		if rtt < 40*time.Millisecond {
			t.Errorf("an answer after %v, want at least 40ms", rtt)
		}
		best = min(best, rtt)
	}
	// Of twenty, one at least found the machine idle enough.
	if best > 60*time.Millisecond {
		t.Errorf("the fastest answer took %v, want 40ms or a little more", best)
	}
	t.Logf("round trips of 2 × 20 ms: the fastest %v", best)

	// A change while it runs.
	if err := h.Set(both(emulator.Settings{Delay: 75 * time.Millisecond})); err != nil {
		t.Fatal(err)
	}
	for _, rtt := range h.ping(t, 2, "-i", "0.05", "-W", "10") {
		if rtt < 150*time.Millisecond {
			t.Errorf("an answer after %v, want at least 150ms", rtt)
		}
	}
}

func TestLinkCuts(t *testing.T) {
	h := newHome(t, emulator.Params{})
	alive := func() {
		t.Helper()
		if len(h.ping(t, 20, "-i", "0.1", "-W", "5")) == 0 {
			t.Error("no answer over a whole link")
		}
	}
	dead := func() {
		t.Helper()
		if n := len(h.ping(t, 3, "-i", "0.1", "-W", "1")); n > 0 {
			t.Errorf("%d answers over a cut link", n)
		}
	}
	alive()
	h.Blackhole(emulator.Down, true)
	up := h.Counters(emulator.Up)
	dead()
	if now := h.Counters(emulator.Up); now.Delivered == up.Delivered {
		t.Error("a cut of the way down stopped the way up")
	}
	if c := h.Counters(emulator.Down); c.Cut == 0 {
		t.Errorf("counters %+v: nothing was cut", c)
	}
	if err := h.Heal(); err != nil {
		t.Fatal(err)
	}
	alive()
	if err := h.Cut(true); err != nil {
		t.Fatal(err)
	}
	dead()
	for _, n := range []netns{h.near, h.far} {
		if got := h.carrier(t, n); got != "carrier" {
			t.Errorf("%s after a silent cut: %s", n, got)
		}
	}
	if err := h.Cut(false); err != nil {
		t.Fatal(err)
	}
	for _, n := range []netns{h.near, h.far} {
		if got := h.carrier(t, n); got != "NO-CARRIER" {
			t.Errorf("%s after a cut: %s", n, got)
		}
	}
	dead()
	if err := h.Heal(); err != nil {
		t.Fatal(err)
	}
	alive()
	for _, n := range []netns{h.near, h.far} {
		if got := h.carrier(t, n); got != "carrier" {
			t.Errorf("%s after healing: %s", n, got)
		}
	}
}

// TestLinkRate sends over TCP and looks at the upper bound, which holds on any
// machine; the rate itself is tested on a virtual clock.
func TestLinkRate(t *testing.T) {
	const rate, size = 20e6, 2_000_000
	h := newHome(t, both(emulator.Settings{Rate: rate, Delay: 5 * time.Millisecond, Queue: 100 * time.Millisecond}))
	took := h.send(t, size)
	if least := time.Duration(size * 8 * float64(time.Second) / rate); took < least {
		t.Errorf("%d bytes took %v at %v bit/s, want at least %v", size, took, rate, least)
	}
	t.Logf("TCP at 20 Mbit/s: %.1f Mbit/s", size*8/took.Seconds()/1e6)
	if c := h.Counters(emulator.Up); c.DeliveredBytes < size {
		t.Errorf("counters %+v: fewer bytes than were sent", c)
	}
}

// send sends size bytes from near to far over TCP and returns how long it took
// from the first to the last byte's arrival.
func (h home) send(t *testing.T, size int) time.Duration {
	t.Helper()
	var listener net.Listener
	h.far.do(t, func() (err error) {
		listener, err = net.Listen("tcp", farAddr+":5001")
		return err
	})
	defer listener.Close()
	type arrival struct {
		n    int64
		took time.Duration
		err  error
	}
	arrived := make(chan arrival, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			arrived <- arrival{err: err}
			return
		}
		defer c.Close()
		start := time.Now()
		n, err := io.Copy(io.Discard, c)
		arrived <- arrival{n, time.Since(start), err}
	}()
	var c net.Conn
	h.near.do(t, func() (err error) {
		c, err = net.DialTimeout("tcp", farAddr+":5001", time.Minute)
		return err
	})
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	a := <-arrived
	if a.err != nil || a.n != int64(size) {
		t.Fatalf("%d of %d bytes arrived (%v)", a.n, size, a.err)
	}
	return a.took
}

func TestOpenTAPErrors(t *testing.T) {
	n := newNetns(t, "errors")
	n.do(t, func() error {
		if _, err := emulator.OpenTAP("a-name-that-is-too-long"); err == nil || !strings.Contains(err.Error(), "a-name-that-is-too-long") {
			return fmt.Errorf("error %v, want one that names the device", err)
		}
		one, err := emulator.OpenTAP("one")
		if err != nil {
			return err
		}
		defer one.Close()
		if _, err := emulator.OpenTAP("one"); !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("error %v for a device that exists, want EBUSY", err)
		}
		return nil
	})
}

func TestNewRefusesTheImpossible(t *testing.T) {
	for _, p := range []emulator.Params{
		{Up: emulator.Settings{Rate: 5}},
		{Down: emulator.Settings{Loss: 2}},
		{Up: emulator.Settings{Delay: -1}},
	} {
		if _, err := emulator.New(new(emulator.TAP), new(emulator.TAP), p, 1); err == nil {
			t.Errorf("%+v was accepted", p)
		}
	}
}
