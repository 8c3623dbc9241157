package host

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// Learners, readers and a saver at once; for the race detector, and that every change is told in order.
func TestConcurrentUse(t *testing.T) {
	r := newRegistry()
	r.keeper = &failing{}
	var mu sync.Mutex
	told := map[string]int{} // device id -> addresses as last told
	r.OnChange(func(list []Change) {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range list {
			if c.Kind != Removed {
				told[c.Device.ID] = len(c.Device.Addrs)
			}
		}
	})
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for i := range 200 {
				now := start.Add(time.Duration(i) * time.Minute)
				switch m, a := mac(i%20), net4(2+(w*200+i)%300); w {
				case 0, 1:
					r.Observe(m, a, "lan0", now)
				case 2:
					r.Lease(Lease{MAC: m, Addr: a, Hostname: fmt.Sprint("h", i%5)}, now)
				case 3:
					r.neighbour(hal.Neighbour{Interface: "lan0", Addr: a, MAC: m, State: hal.NeighbourReachable}, now)
				case 4:
					if err := r.SetNamed([]policy.Device{{ID: fmt.Sprint("named", i%3), MACs: []flow.MAC{mac(i % 20), mac((i + 1) % 20)}}}, now); err != nil {
						t.Error(err)
					}
				default:
					for _, d := range r.Devices() {
						r.ByID(d.ID)
						r.ByNumber(d.Number)
					}
					if err := r.Save(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, d := range r.Devices() {
		if told[d.ID] != len(d.Addrs) {
			t.Errorf("%s has %d addresses, the last change told %d", d.ID, len(d.Addrs), told[d.ID])
		}
	}
}
