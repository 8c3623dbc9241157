package relay_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/bond/tunnel"
)

// year is long, for a clock.
const year = 365 * 24 * time.Hour

// wrongClock is a program's own time of day, which may be set while it runs.
type wrongClock struct {
	w    *world
	name string
}

// set makes the clock wrong by so much, in one piece: the program may read it at any moment.
func (c wrongClock) set(wrong time.Duration) {
	c.w.t.Helper()
	next := c.w.file(c.name+".next", wrong.String())
	if err := os.Rename(next, filepath.Join(c.w.dir, c.name)); err != nil {
		c.w.t.Fatal(err)
	}
}

// wear lets a program that is not started yet go by the clock.
func (c wrongClock) wear(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(cmd.Env, clockVariable+"="+filepath.Join(c.w.dir, c.name))
	return cmd
}

// TestWrongClocks: clocks that are wrong by decades, that disagree and that jump keep nobody out and throw nobody out. A code that is too old by the
// relay's clock is refused, people at both ends are told, and it is good when that clock is right.
func TestWrongClocks(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		w := newWorld(t, reference()...)
		stop(w.relay)
		near, far := wrongClock{w, "router.clock"}, wrongClock{w, "relay.clock"}
		said := filepath.Join(w.dir, "relay.log")
		startRelay := func() {
			c := far.wear(w.command("relay", filepath.Join(w.dir, "relay.yaml")))
			f, err := os.OpenFile(said, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			c.Stdout, c.Stderr = f, f
			w.relay = w.start(c)
		}
		t.Cleanup(func() {
			if text, err := os.ReadFile(said); t.Failed() && err == nil {
				t.Logf("the relay said:\n%s", text)
			}
		})
		var config string
		startRouter := func() { w.router = w.start(near.wear(w.within("router", config))) }
		passes := func(when string) {
			t.Helper()
			w.until("packets pass "+when, func() error {
				return w.home.Command("ping", "-c", "1", "-W", "1", "203.0.113.1").Run()
			})
		}

		// The relay made a code in 2026 or so; then its clock goes forward by decades.
		near.set(-50 * year) // a board without a clock of its own, before it has heard of the time
		far.set(0)
		startRelay()
		code := w.invite("home")
		far.set(40 * year)
		config = w.file("bond.yaml", fmt.Sprintf("state: %s/bond\ncode: %s\npaths: [{device: wan0}, {device: wan1}]\n", w.dir, code))
		startRouter()
		w.until("both ends tell that the code is not taken", func() error {
			s, err := tunnel.AskStatus(t.Context(), w.dir+"/bond")
			if err != nil {
				return err
			}
			if s.Joined || !strings.Contains(s.Trouble, "new code") {
				return fmt.Errorf("the router says %+v", s)
			}
			text, err := os.ReadFile(said)
			if err == nil && !strings.Contains(string(text), "too old by this machine's clock") {
				err = errors.New("the relay says nothing")
			}
			return err
		})
		far.set(0)
		w.settled()
		passes("with the router's clock in the past")

		// The router hears of the time, and the relay loses it, under a bond that goes on.
		near.set(0)
		far.set(-50 * year)
		passes("after the clocks were set")
		near.set(60 * year)
		stop(w.router)
		startRouter()
		w.settled()
		passes("of a router that was started in the future")
		near.set(-50 * year)
		stop(w.router)
		startRouter()
		w.settled()
		passes("of a router that was started in the past again")
		far.set(100 * year)
		stop(w.relay)
		startRelay()
		passes("to a relay that was started in the far future")
		w.settled()
		if n := len(w.relayStatus().Routers); n != 1 {
			t.Errorf("the relay knows %d routers, want one", n)
		}
	})
}
