package traffic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/internet"
	"github.com/trenza-router/trenza/integration/netlab/internet/nstest"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

func TestMain(m *testing.M) {
	nstest.Main(m, map[string]func() int{"agent": func() int {
		if err := client.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "agent:", err)
			return 1
		}
		return 0
	}})
}

var roles = []Role{TV, Laptop, Console, Phone, Camera}

// TestHabits checks every action of many: names that exist, rates within what the habit states, an end.
func TestHabits(t *testing.T) {
	names := internet.Names()
	var down, up int64
	for _, role := range roles {
		if len(Habits(role)) == 0 {
			t.Errorf("%s has no habits", role)
		}
		for _, h := range Habits(role) {
			down, up = down+h.Down, up+h.Up
			if h.MinPause <= 0 || h.MaxPause < h.MinPause {
				t.Errorf("%s %s: pauses %v to %v", role, h.Name, h.MinPause, h.MaxPause)
			}
			rng := rand.New(rand.NewPCG(1, 2))
			for range 300 {
				a := h.Next(rng)
				var d, u int64
				hosts := []string{}
				for _, j := range a.HTTP {
					hosts = append(hosts, j.Host)
					if s := j.Stream; s == nil {
						continue
					} else if err := s.Check(); err != nil || s.Rate == 0 || s.Bytes == 0 {
						t.Fatalf("%s %s: stream %+v: %v", role, h.Name, s, err)
					} else if s.Direction == wire.Down {
						d += s.Rate
					} else {
						u += s.Rate
					}
				}
				for _, j := range a.Ticks {
					hosts = append(hosts, j.Host)
					d, u = d+int64(j.Rate)*int64(j.Size)*8, u+int64(j.Rate)*int64(j.Size)*8
					if j.Duration <= 0 || j.Duration > 10*time.Minute {
						t.Fatalf("%s %s: %v", role, h.Name, j.Duration)
					}
				}
				for _, j := range a.Connect {
					hosts = append(hosts, j.Host)
				}
				if len(hosts) == 0 || d > h.Down || u > h.Up {
					t.Fatalf("%s %s: %d jobs, %d down of %d, %d up of %d", role, h.Name, len(hosts), d, h.Down, u, h.Up)
				}
				for _, host := range hosts {
					if _, ok := internet.Find(names, host); !ok {
						t.Fatalf("%s %s: %s is not a name of the lab", role, h.Name, host)
					}
				}
			}
		}
	}
	// The lab's links: 100/20, 30/10 and 20/8 Mbit/s by default.
	if down > 80*mbit || up > 8*mbit {
		t.Errorf("all at once: %d Mbit/s down, %d up", down/mbit, up/mbit)
	}
}

func TestSameSeedSameCourse(t *testing.T) {
	course := func(seed uint64, host int) []Action {
		rng := source(seed, host, "browse")
		var out []Action
		for range 20 {
			out = append(out, browse(rng))
		}
		return out
	}
	same := cmpopts.EquateComparable(netip.Addr{})
	if diff := cmp.Diff(course(7, 0), course(7, 0), same); diff != "" {
		t.Errorf("the same seed differs:\n%s", diff)
	}
	if cmp.Equal(course(7, 0), course(8, 0), same) || cmp.Equal(course(7, 0), course(7, 1), same) {
		t.Error("another seed or host makes the same course")
	}
}

// TestHousehold lives fast until every habit of every host was served, then loses an agent.
func TestHousehold(t *testing.T) {
	nstest.NoLeak(t)
	dir := t.TempDir()
	env := client.Env{Resolv: filepath.Join(dir, "resolv.conf"), CA: filepath.Join(dir, "ca.pem")}
	if err := os.WriteFile(env.Resolv, []byte("nameserver "+internet.Resolver4+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	serving, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	cfg := internet.Config{CA: env.CA, Socket: filepath.Join(dir, "s")}
	go func() { ended <- internet.Run(serving, cfg) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	o := internet.NewObserver(cfg.Socket)
	defer o.Close()
	if err := o.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	living, die := context.WithCancel(ctx)
	defer die()
	missing := make(map[string]bool)
	var mu sync.Mutex
	house := Config{Seed: 42, Pace: 60, Report: func(r Report) {
		mu.Lock()
		defer mu.Unlock()
		if r.Err != nil {
			t.Errorf("%s %s: %v", r.Role, r.Habit, r.Err)
		}
		if r.Bytes == 0 || r.Took <= 0 {
			t.Errorf("%s %s: moved %d bytes in %v", r.Role, r.Habit, r.Bytes, r.Took)
		}
		delete(missing, string(r.Role)+" "+r.Habit)
		if len(missing) == 0 {
			die()
		}
	}}
	for i, role := range roles {
		agent, err := client.Start(context.Background(), nstest.Host(context.Background(), "agent", 30+i), env)
		if err != nil {
			t.Fatal(err)
		}
		defer agent.Close()
		house.Hosts = append(house.Hosts, Host{Role: role, Agent: agent})
		for _, h := range Habits(role) {
			missing[string(role)+" "+h.Name] = true
		}
	}
	if err := Run(living, house); err != nil {
		t.Fatal(err)
	}
	if len(missing) > 0 {
		t.Errorf("within a minute, never: %v", missing)
	}
	sources, err := o.Sources(ctx, internet.Filter{Name: "upload.arlo.com", Proto: wire.ProtoHTTP1})
	if camera := nstest.Addr4(34); err != nil || sources[camera]+sources[nstest.Addr6(34)] == 0 {
		t.Errorf("the camera uploaded from %v, %v", sources, err)
	}

	house.Report = nil
	house.Hosts = house.Hosts[:1]
	house.Hosts[0].Agent.Close()
	if err := Run(ctx, house); err == nil {
		t.Error("a household without a living agent goes on")
	}
	if err := Run(ctx, Config{Hosts: []Host{{Role: "toaster", Agent: house.Hosts[0].Agent}}}); err == nil {
		t.Error("a toaster has habits")
	}
}
