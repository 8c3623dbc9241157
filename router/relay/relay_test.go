package relay_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/integration/netlab/emulator"
	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/router/relay"
)

const (
	relayAddr  = "198.51.100.1"
	serverAddr = "203.0.113.1:5001"
)

// world is a relay and a server in the test's namespace, a router in another one, and emulated links between them.
type world struct {
	t      *testing.T
	dir    string
	home   *haltest.Neighbour // the router's namespace
	links  []*emulator.Link
	relay  *exec.Cmd
	router *exec.Cmd
	cfg    relay.Config
}

// The reference links of docs/BOND.md.
func reference() []emulator.Settings {
	return []emulator.Settings{
		{Rate: 50e6, Delay: 10 * time.Millisecond, Queue: 80 * time.Millisecond},
		{Rate: 20e6, Delay: 40 * time.Millisecond, Queue: 120 * time.Millisecond},
	}
}

func newWorld(t *testing.T, settings ...emulator.Settings) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	w.home = haltest.NewNeighbour(t)
	w.ip("address add " + relayAddr + "/32 dev lo")
	w.ip("address add 203.0.113.1/32 dev lo")
	for i, s := range settings {
		w.link(i, s)
	}
	if err := serve(t.Context(), serverAddr); err != nil {
		t.Fatal(err)
	}
	config := w.file("relay.yaml", fmt.Sprintf("public: [%s:51900]\nstate: %s/relay\n", relayAddr, w.dir))
	var err error
	if w.cfg, err = relay.Load(config); err != nil {
		t.Fatal(err)
	}
	w.relay = w.start(w.command("relay", config))
	return w
}

// link joins router and relay by an emulated link. The near end is opened in the router's namespace.
func (w *world) link(i int, s emulator.Settings) {
	w.t.Helper()
	open := func(name string) (tap *emulator.TAP) {
		var err error
		if tap, err = emulator.OpenTAP(name); err != nil {
			w.t.Fatal(err)
		}
		return tap
	}
	var near *emulator.TAP
	w.home.Do(func() (err error) {
		near, err = emulator.OpenTAP(fmt.Sprintf("wan%d", i))
		return err
	})
	far := open(fmt.Sprintf("isp%d", i))
	w.home.Run(fmt.Sprintf("ip address add 192.0.2.%d/28 dev wan%d", 16*i+1, i))
	w.home.Run(fmt.Sprintf("ip link set wan%d up", i))
	w.ip(fmt.Sprintf("address add 192.0.2.%d/28 dev isp%d", 16*i+2, i))
	w.ip(fmt.Sprintf("link set isp%d up", i))
	w.home.Run(fmt.Sprintf("ip route add default via 192.0.2.%d dev wan%d metric %d", 16*i+2, i, 100+i))
	l, err := emulator.New(near, far, emulator.Params{Up: s, Down: s}, uint64(i+1))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- l.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			w.t.Error(err)
		}
		_ = l.Close()
	})
	w.links = append(w.links, l)
}

func (w *world) ip(line string) {
	w.t.Helper()
	if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		w.t.Fatalf("ip %s: %v: %s", line, err, out)
	}
}

func (w *world) command(role string, args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), roleVariable+"="+role)
	return c
}

// within is command in the router's namespace.
func (w *world) within(role string, args ...string) *exec.Cmd {
	c := w.home.Command(append([]string{os.Args[0]}, args...)...)
	c.Env = append(os.Environ(), roleVariable+"="+role)
	return c
}

// start runs a program until the test ends; what it says, unless the caller reads it, is shown when the test fails.
func (w *world) start(c *exec.Cmd) *exec.Cmd {
	w.t.Helper()
	var log bytes.Buffer
	if c.Stderr == nil {
		c.Stdout, c.Stderr = &log, &log
	}
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		stop(c)
		if w.t.Failed() {
			w.t.Logf("%v said:\n%s", c.Args, log.Bytes())
		}
	})
	return c
}

func stop(c *exec.Cmd) {
	if c.ProcessState != nil {
		return
	}
	_ = c.Process.Signal(os.Interrupt)
	kill := time.AfterFunc(20*time.Second, func() { _ = c.Process.Kill() })
	defer kill.Stop()
	_ = c.Wait() // the test looks at what it did
}

func (w *world) file(name, text string) string {
	w.t.Helper()
	name = filepath.Join(w.dir, name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return name
}

// invite asks the running relay for a code.
func (w *world) invite(name string) string {
	w.t.Helper()
	var a relay.InviteAnswer
	w.until("the relay answers", func() error {
		return relay.Ask(w.t.Context(), &w.cfg, "/invite", relay.InviteRequest{Name: name, Life: time.Hour}, &a)
	})
	return a.Code
}

// until waits for a condition, with a generous end.
func (w *world) until(what string, f func() error) {
	w.t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	w.t.Fatalf("not within a minute: %s: %v", what, err)
}

// join starts the router with a code and waits until it has its addresses.
func (w *world) join(code string) {
	w.t.Helper()
	var paths []string
	for i := range w.links {
		paths = append(paths, fmt.Sprintf("{device: wan%d}", i))
	}
	config := w.file("bond.yaml", fmt.Sprintf("state: %s/bond\ncode: %s\npaths: [%s]\n", w.dir, code, strings.Join(paths, ", ")))
	w.router = w.start(w.within("router", config))
	w.settled()
}

// status asks the router.
func (w *world) status() (tunnel.Status, error) {
	return tunnel.AskStatus(w.t.Context(), w.dir+"/bond")
}

func (w *world) settled() {
	w.t.Helper()
	w.until("the router has joined and uses all paths", func() error {
		s, err := w.status()
		if err != nil {
			return err
		}
		up := 0
		for _, p := range s.Paths {
			if p.Up && p.Round > 0 {
				up++
			}
		}
		if !s.Joined || !s.IPv4.IsValid() || up != len(w.links) {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

// load downloads for a time: the share of the links' sum, and the longest stall.
func (w *world) load(d time.Duration) (share float64, stall time.Duration) {
	w.t.Helper()
	c := w.within("download", serverAddr, d.String())
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		w.t.Fatalf("downloading: %v", err)
	}
	var n, took, stalled int64
	if _, err := fmt.Sscan(string(out), &n, &took, &stalled); err != nil {
		w.t.Fatal(err)
	}
	var sum float64
	for _, l := range w.links {
		sum += float64(l.Params().Down.Rate)
	}
	return float64(n*8) / (float64(took) / 1000) / sum, time.Duration(stalled) * time.Millisecond
}

// TestBond: a router joins by a code, one download goes over both links, one of them dies and comes back, the relay is started anew, and the
// router is shut out.
func TestBond(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		w := newWorld(t, reference()...)
		w.join(w.invite("home"))
		// How much of it each link carries is for the benchmark; a busy machine may need more than one download until both have had
		// more than probes and reports.
		w.until("both links carry the download", func() error {
			share, stall := w.load(6 * time.Second)
			t.Logf("%.3f of the sum, longest stall %v", share, stall)
			for i, l := range w.links {
				if n := l.Counters(emulator.Down).DeliveredBytes; n < 1e6 {
					return fmt.Errorf("link %d has carried %d bytes", i, n)
				}
			}
			return nil
		})

		// A connection outlives the death of a link.
		time.AfterFunc(3*time.Second, func() { _ = w.links[0].Cut(true) })
		_, stall := w.load(7 * time.Second)
		t.Logf("a silent cut of the faster link: stall %v", stall)
		if err := w.links[0].Heal(); err != nil {
			t.Fatal(err)
		}
		w.settled()

		// A relay that starts anew knows its routers.
		stop(w.relay)
		w.relay = w.start(w.command("relay", filepath.Join(w.dir, "relay.yaml")))
		w.until("packets pass again", func() error {
			return w.home.Command("ping", "-c", "1", "-W", "1", "203.0.113.1").Run()
		})

		var gone map[string]string
		if err := relay.Ask(t.Context(), &w.cfg, "/revoke", relay.InviteRequest{Name: "home"}, &gone); err != nil {
			t.Fatal(err)
		}
		w.until("nothing passes", func() error {
			if w.home.Command("ping", "-c", "1", "-W", "1", "203.0.113.1").Run() == nil {
				return fmt.Errorf("an answer through the tunnel of a router that was shut out")
			}
			return nil
		})
	})
}
