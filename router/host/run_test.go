package host

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/store"
)

// machine is a hal.Interfaces that a test fills.
type machine struct {
	mu         sync.Mutex
	neighbours []hal.Neighbour
}

func (m *machine) Interfaces(context.Context) ([]hal.Interface, error) {
	return []hal.Interface{{Name: "lan0", Addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.1/16")}}}, nil
}

func (m *machine) Neighbours(context.Context) ([]hal.Neighbour, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.neighbours, nil
}

func (m *machine) Received(string) (uint64, error) { return 0, nil }

func (m *machine) Watch(context.Context, func(hal.Event), func()) error { return hal.ErrUnsupported }

// failing is a Keeper that fails while err is set.
type failing struct {
	mu  sync.Mutex
	err error
	put []store.Device
}

func (k *failing) PutDevices(_ context.Context, list []store.Device) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.put = append(k.put, list...)
	}
	return k.err
}
func (k *failing) DeleteDevices(context.Context, []flow.DeviceID) error { return k.err }
func (k *failing) RenameDevice(context.Context, string, string) error   { return k.err }
func (k *failing) SeenDevice(flow.DeviceID, time.Time)                  {}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never happened: " + what)
		}
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	leases := filepath.Join(dir, "dnsmasq.leases")
	m := &machine{neighbours: []hal.Neighbour{{Interface: "lan0", Addr: net4(20), MAC: mac(1), State: hal.NeighbourReachable}}}
	k := &failing{}
	r := New(Options{LAN: []string{"lan0"}, Keeper: k})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- r.Run(ctx, m, []string{leases, filepath.Join(dir, "none")}, func() time.Time { return start })
	}()

	eventually(t, "the neighbour table is read", func() bool { _, ok := r.ByAddr(net4(20)); return ok })
	m.mu.Lock()
	m.neighbours = append(m.neighbours,
		hal.Neighbour{Interface: "lan0", Addr: net4(21), MAC: mac(2), State: hal.NeighbourReachable},
		hal.Neighbour{Interface: "wan1", Addr: net4(22), MAC: mac(3), State: hal.NeighbourReachable})
	m.mu.Unlock()
	r.Rescan()
	eventually(t, "the neighbour table is read anew", func() bool { _, ok := r.ByAddr(net4(21)); return ok })

	line := "0 02:00:00:00:00:02 10.77.0.21 Phone *\n"
	if err := os.WriteFile(leases, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lease file is read", func() bool { d, ok := r.ByID("phone"); return ok && d.Number == 2 })
	if err := os.WriteFile(leases+".new", []byte(line+"0 02:00:00:00:00:04 10.77.0.24 tv *\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(leases+".new", leases); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lease file is read anew", func() bool { _, ok := r.ByID("tv"); return ok })
	eventually(t, "devices are saved", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		ids := ""
		for _, d := range k.put {
			ids += " " + d.ID
		}
		return strings.Contains(ids, "phone") && strings.Contains(ids, "tv") && strings.Contains(ids, "device-020000000001")
	})
	if _, ok := r.ByMAC(mac(3)); ok {
		t.Fatal("a neighbour of the WAN became a device")
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestAnnounced: an unconfirmed entry that appears tells of a device that has just spoken, but an old one in the table, or one
// of a device that is known, does not.
func TestAnnounced(t *testing.T) {
	r := New(Options{LAN: []string{"lan0"}})
	unconfirmed := func(last int) hal.Neighbour {
		return hal.Neighbour{Interface: "lan0", Addr: net4(last), MAC: mac(last), State: hal.NeighbourStale}
	}
	r.neighbour(unconfirmed(1), start)
	if _, ok := r.ByMAC(mac(1)); ok {
		t.Error("an old entry of the table became a device")
	}
	r.Announced(unconfirmed(1), start)
	if d, ok := r.ByMAC(mac(1)); !ok || !d.LastSeen.Equal(start) {
		t.Errorf("a device that has just spoken: %+v, %v", d, ok)
	}
	r.Announced(unconfirmed(1), start.Add(time.Hour))
	if d, _ := r.ByMAC(mac(1)); !d.LastSeen.Equal(start) {
		t.Errorf("an entry that grew old tells that the device was seen at %v", d.LastSeen)
	}
	gone := unconfirmed(2)
	gone.Deleted = true
	r.Announced(gone, start)
	if _, ok := r.ByMAC(mac(2)); ok {
		t.Error("an entry that went became a device")
	}
}
