package host

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
	"pgregory.net/rapid"
)

var start = time.Date(2027, 3, 1, 8, 0, 0, 0, time.UTC)

func mac(n int) flow.MAC     { return flow.MAC{0x02, 0, 0, byte(n >> 16), byte(n >> 8), byte(n)} }
func ip(s string) netip.Addr { return netip.MustParseAddr(s) }
func net4(n int) netip.Addr  { return netip.AddrFrom4([4]byte{10, 77, byte(n >> 8), byte(n)}) }
func ips(s ...string) (l []netip.Addr) {
	for _, a := range s {
		l = append(l, ip(a))
	}
	return l
}

func newRegistry(known ...store.Device) *Registry {
	r := New(Options{LAN: []string{"lan0"}, Known: known})
	r.SetInterfaces([]hal.Interface{
		{Name: "lan0", MAC: flow.MAC{2, 9, 9, 9, 9, 9}, Addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.1/16"), netip.MustParsePrefix("fd77::1/64"), netip.MustParsePrefix("fe80::1/64")}},
		{Name: "wan1", MAC: flow.MAC{2, 8, 8, 8, 8, 8}, Addrs: []netip.Prefix{netip.MustParsePrefix("100.64.0.2/24")}},
	})
	return r
}

func diff(t interface {
	Helper()
	Fatalf(string, ...any)
}, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("(-want +got)\n%s", d)
	}
}

func TestObserve(t *testing.T) {
	for _, tt := range []struct {
		name  string
		mac   flow.MAC
		addr  netip.Addr
		iface string
		known bool
		addrs []netip.Addr
	}{
		{"IPv4", mac(1), ip("10.77.0.10"), "lan0", true, ips("10.77.0.10")},
		{"IPv4 in IPv6 form", mac(1), ip("::ffff:10.77.0.10"), "lan0", true, ips("10.77.0.10")},
		{"IPv6", mac(1), ip("fd77::10"), "lan0", true, ips("fd77::10")},
		{"link-local with a zone", mac(1), ip("fe80::10%lan0"), "lan0", true, ips("fe80::10")},
		{"address of another network: behind the device", mac(1), ip("192.168.5.5"), "lan0", true, nil},
		{"no address yet", mac(1), ip("0.0.0.0"), "lan0", true, nil},
		{"the router's address claimed", mac(1), ip("10.77.0.1"), "lan0", true, nil},
		{"WAN", mac(1), ip("100.64.0.9"), "wan1", false, nil},
		{"the router itself", flow.MAC{2, 9, 9, 9, 9, 9}, ip("10.77.0.1"), "lan0", false, nil},
		{"no MAC", flow.MAC{}, ip("10.77.0.10"), "lan0", false, nil},
		{"group MAC", flow.MAC{1, 0, 0x5e, 0, 0, 1}, ip("10.77.0.10"), "lan0", false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegistry()
			d, ok := r.Observe(tt.mac, tt.addr, tt.iface, start)
			if ok != tt.known || len(r.Devices()) != map[bool]int{true: 1}[tt.known] {
				t.Fatalf("known %v, %d devices", ok, len(r.Devices()))
			}
			if ok {
				diff(t, d, Device{Number: 1, ID: "device-020000000001", Name: "02:00:00:00:00:01", Vendor: PrivateVendor, MACs: []flow.MAC{mac(1)},
					Addrs: tt.addrs, Interface: "lan0", FirstSeen: start, LastSeen: start})
			}
		})
	}
}

func TestLookups(t *testing.T) {
	r := newRegistry()
	r.Lease(Lease{MAC: mac(1), Addr: ip("10.77.0.10"), Hostname: "Anna's Laptop!"}, start)
	r.Observe(mac(1), ip("fd77::aa"), "lan0", start.Add(time.Second))
	want := Device{Number: 1, ID: "annaslaptop", Name: "AnnasLaptop", Hostname: "AnnasLaptop", Vendor: PrivateVendor, MACs: []flow.MAC{mac(1)},
		Addrs: ips("10.77.0.10", "fd77::aa"), Interface: "lan0", FirstSeen: start, LastSeen: start.Add(time.Second)}
	for name, f := range map[string]func() (Device, bool){
		"MAC":     func() (Device, bool) { return r.ByMAC(mac(1)) },
		"address": func() (Device, bool) { return r.ByAddr(ip("fd77::aa%lan0")) },
		"id":      func() (Device, bool) { return r.ByID("annaslaptop") },
		"number":  func() (Device, bool) { return r.ByNumber(1) },
		"typed":   func() (Device, bool) { return r.Find(" ANNASLAPTOP ") },
		"typed 2": func() (Device, bool) { return r.Find("02-00-00-00-00-01") },
		"typed 3": func() (Device, bool) { return r.Find("10.77.0.10") },
	} {
		d, ok := f()
		if !ok {
			t.Fatalf("not found by %s", name)
		}
		diff(t, d, want)
	}
	for _, text := range []string{"", "nobody", "10.77.0.11", "02:00:00:00:00:02"} {
		if d, ok := r.Find(text); ok {
			t.Fatalf("%q found %+v", text, d)
		}
	}
}

func TestNewDeviceIsToldAtOnce(t *testing.T) {
	r := newRegistry()
	var got []string
	cancel := r.OnChange(func(list []Change) {
		for _, c := range list {
			got = append(got, fmt.Sprint(c.Kind, " ", c.Device.ID, " ", c.Device.Addrs, " was ", c.Old.Addrs))
		}
		r.Devices() // reading is allowed
	})
	r.Observe(mac(1), ip("10.77.0.10"), "lan0", start)
	r.Observe(mac(1), ip("10.77.0.10"), "lan0", start.Add(time.Second))
	r.Observe(mac(2), ip("10.77.0.10"), "lan0", start.Add(time.Hour)) // nothing but packets speaks for either
	cancel()
	r.Observe(mac(3), ip("10.77.0.11"), "lan0", start)
	diff(t, got, []string{
		"0 device-020000000001 [] was []", "1 device-020000000001 [10.77.0.10] was []",
		"0 device-020000000002 [] was []", "1 device-020000000001 [] was [10.77.0.10]", "1 device-020000000002 [10.77.0.10] was []"})
}

func TestAddressCannotBeStolenByPackets(t *testing.T) {
	r := newRegistry()
	r.Lease(Lease{MAC: mac(1), Addr: ip("10.77.0.10")}, start)
	owner := func(want flow.MAC) {
		t.Helper()
		if d, _ := r.ByAddr(ip("10.77.0.10")); !slices.Contains(d.MACs, want) {
			t.Fatalf("the address belongs to %+v", d)
		}
	}
	r.Observe(mac(2), ip("10.77.0.10"), "lan0", start.Add(time.Minute))
	owner(mac(1))
	r.neighbour(hal.Neighbour{Interface: "lan0", Addr: ip("10.77.0.10"), MAC: mac(1), State: hal.NeighbourReachable}, start.Add(20*time.Minute))
	r.Observe(mac(2), ip("10.77.0.10"), "lan0", start.Add(22*time.Minute))
	owner(mac(1))
	r.Lease(Lease{MAC: mac(3), Addr: ip("10.77.0.10")}, start.Add(23*time.Minute)) // the server gave it to another
	owner(mac(3))
	r.Observe(mac(2), ip("10.77.0.10"), "lan0", start.Add(time.Hour))
	owner(mac(2))
}

func TestPrivacyAddressesOfOneMAC(t *testing.T) {
	r := newRegistry()
	for i := range 1000 { // an address a minute: far more than are kept
		a := ip("fd77::").As16()
		a[14], a[15] = byte(i>>8), byte(i)
		r.Observe(mac(1), netip.AddrFrom16(a), "lan0", start.Add(time.Duration(i)*time.Minute))
	}
	d, _ := r.ByMAC(mac(1))
	if len(r.Devices()) != 1 || len(d.Addrs) != MaxAddrs || len(r.addr) != MaxAddrs || d.Addrs[MaxAddrs-1] != ip("fd77::3e7") {
		t.Fatalf("%d devices, %d addresses, index of %d, last %s", len(r.Devices()), len(d.Addrs), len(r.addr), d.Addrs[len(d.Addrs)-1])
	}
	r.Observe(mac(1), ip("10.77.0.1"), "lan0", start.Add(100*time.Hour))
	r.Observe(mac(1), ip("10.77.0.2"), "lan0", start.Add(100*time.Hour))
	if d, _ := r.ByMAC(mac(1)); len(d.Addrs) != 1 {
		t.Fatalf("old addresses stay: %v", d.Addrs)
	}
}

func TestFloodsAreBounded(t *testing.T) {
	r := newRegistry()
	changes := 0
	r.OnChange(func(l []Change) { changes += len(l) })
	r.Observe(mac(0), net4(5), "lan0", start)
	for i := range 20_000 { // 20 s of a thousand new addresses each second from one MAC, and of as many MACs
		now := start.Add(time.Duration(i) * time.Millisecond)
		r.Observe(mac(0), net4(256+i), "lan0", now)
		r.Observe(mac(1000+i), net4(30000+i), "lan0", now)
	}
	if n := len(r.Devices()); n > 1+newDevices+11 {
		t.Fatalf("%d devices", n)
	}
	if changes > 200 {
		t.Fatalf("%d changes would each make a plan", changes)
	}
	if _, ok := r.ByMAC(mac(1_000_000)); ok {
		t.Fatal("unexpected")
	}
	r.Lease(Lease{MAC: mac(1_000_000), Addr: net4(7), Hostname: "phone"}, start.Add(20*time.Second))
	if _, ok := r.ByMAC(mac(1_000_000)); !ok {
		t.Fatal("a device with a lease finds no place")
	}
}

func TestNumbersAreRecycled(t *testing.T) {
	r := newRegistry()
	for i := range int(flow.MaxDevice) {
		now := start.Add(time.Duration(i) * time.Minute)
		if i%2 == 0 {
			r.Lease(Lease{MAC: mac(i), Addr: net4(256 + i)}, now)
		} else if _, ok := r.Observe(mac(i), net4(256+i), "lan0", now); !ok {
			t.Fatal("device", i)
		}
	}
	must(t, r.SetNamed([]policy.Device{{ID: "tv", MACs: []flow.MAC{mac(1)}}}, start))
	soon := start.Add(time.Duration(flow.MaxDevice) * time.Minute)
	d, ok := r.Observe(mac(1000), net4(5000), "lan0", soon)
	if !ok || d.Number != 4 { // device 3 is the longest unseen of those without lease or name
		t.Fatalf("%+v", d)
	}
	if _, ok := r.ByMAC(mac(3)); ok {
		t.Fatal("the forgotten device is still there")
	}
	if _, ok := r.ByAddr(net4(256 + 3)); ok {
		t.Fatal("its address is still there")
	}
	// Everybody was seen lately: a stranger has to wait, a lease has not.
	for _, d := range r.Devices() {
		r.Observe(d.MACs[0], net4(1), "lan0", soon.Add(time.Hour))
	}
	if d, ok := r.Observe(mac(1001), net4(5001), "lan0", soon.Add(time.Hour)); ok {
		t.Fatalf("%+v", d)
	}
	r.Lease(Lease{MAC: mac(1002), Addr: net4(5002)}, soon.Add(time.Hour+3*time.Minute))
	if _, ok := r.ByMAC(mac(1002)); !ok || len(r.Devices()) != int(flow.MaxDevice) {
		t.Fatal("a lease finds no number")
	}
	if d, ok := r.ByID("tv"); !ok || d.Number != 2 {
		t.Fatalf("the policy's device lost its number: %+v", d)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPolicyTakesPrecedence(t *testing.T) {
	r := newRegistry()
	r.Lease(Lease{MAC: mac(1), Addr: net4(11), Hostname: "SAMSUNG"}, start)
	r.Observe(mac(2), net4(12), "lan0", start)                         // the same set's WiFi card
	r.Lease(Lease{MAC: mac(3), Addr: net4(13), Hostname: "tv"}, start) // a stranger with the policy's id
	r.Observe(mac(4), ip("192.168.9.1"), "lan0", start)                // another router
	tv := policy.Device{ID: "tv", Name: "Living room", MACs: []flow.MAC{mac(1), mac(2)}, Owner: "anna"}
	camera := policy.Device{ID: "camera", Addrs: ips("192.168.9.20")}
	unseen := policy.Device{ID: "new-phone", MACs: []flow.MAC{mac(9)}}
	nothing := policy.Device{ID: "ghost"}
	must(t, r.SetNamed([]policy.Device{tv, camera, unseen, nothing}, start))
	ids := func() (l []string) {
		for _, d := range r.Devices() {
			l = append(l, fmt.Sprintf("%d %s %q %v %v %s", d.Number, d.ID, d.Name, d.MACs, d.Addrs, d.Owner))
		}
		return l
	}
	want := []string{
		`1 tv "Living room" [02:00:00:00:00:01 02:00:00:00:00:02] [10.77.0.11 10.77.0.12] anna`,
		`2 camera "camera" [] [192.168.9.20] `,
		`3 tv-2 "tv" [02:00:00:00:00:03] [10.77.0.13] `,
		`4 device-020000000004 "02:00:00:00:00:04" [02:00:00:00:00:04] [] `,
		`5 new-phone "new-phone" [02:00:00:00:00:09] [] `,
	}
	diff(t, ids(), want)
	changes := 0
	r.OnChange(func([]Change) { changes++ })
	must(t, r.SetNamed([]policy.Device{camera, unseen, tv, nothing}, start))
	diff(t, ids(), want)
	diff(t, changes, 0)

	if d, ok := r.Observe(mac(4), ip("192.168.9.20"), "lan0", start.Add(time.Hour)); !ok || d.ID != "camera" {
		t.Fatalf("a routed client: %+v", d)
	}
	if d, ok := r.Observe(mac(9), net4(9), "lan0", start.Add(time.Hour)); !ok || d.ID != "new-phone" || !d.FirstSeen.Equal(start.Add(time.Hour)) {
		t.Fatalf("%+v", d)
	}
	// No longer named: found devices with the same numbers and ids.
	must(t, r.SetNamed(nil, start))
	diff(t, ids(), []string{
		`1 tv "SAMSUNG" [02:00:00:00:00:01 02:00:00:00:00:02] [10.77.0.11 10.77.0.12] `,
		`2 camera "camera" [] [] `, want[2], want[3],
		`5 new-phone "02:00:00:00:00:09" [02:00:00:00:00:09] [10.77.0.9] `,
	})
	// A replaced network card.
	tv.MACs = []flow.MAC{mac(7)}
	must(t, r.SetNamed([]policy.Device{tv}, start))
	if d, _ := r.ByID("tv"); d.Number != 1 || len(d.Addrs) != 0 {
		t.Fatalf("%+v", d)
	}
	if _, ok := r.ByMAC(mac(1)); ok {
		t.Fatal("the old card still belongs to somebody")
	}
}

func TestTooManyNamed(t *testing.T) {
	r := newRegistry()
	var list []policy.Device
	for i := range int(flow.MaxDevice) + 3 {
		list = append(list, policy.Device{ID: fmt.Sprint("d", i), MACs: []flow.MAC{mac(i)}})
	}
	err := r.SetNamed(list, start)
	if err == nil || err.Error() != "3 devices of the policy got no number (d510, d511, d512): at most 510 devices can be told apart; remove some that are gone" {
		t.Fatal(err)
	}
	if d, ok := r.ByID("d509"); !ok || d.Number != 510 {
		t.Fatal(d)
	}
}

func TestNumbersSurviveRestart(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Path: t.TempDir() + "/x.db"})
	must(t, err)
	defer s.Close()
	r := newRegistry()
	r.keeper = s
	for i := range 5 {
		r.Observe(mac(i+1), net4(20+i), "lan0", start)
	}
	r.Lease(Lease{MAC: mac(3), Addr: net4(22), Hostname: "printer"}, start)
	must(t, r.SetNamed([]policy.Device{{ID: "tv", MACs: []flow.MAC{mac(4), mac(5)}}}, start))
	must(t, r.Save(t.Context()))
	if len(r.unsaved) != 0 {
		t.Fatal("still unsaved")
	}
	r.Observe(mac(1), net4(99), "lan0", start.Add(time.Hour))
	if len(r.unsaved) != 0 {
		t.Fatal("an address is not worth a write")
	}
	r.noteSeen()
	must(t, s.Flush(t.Context()))
	before := r.Devices()
	known, err := s.Devices(t.Context())
	must(t, err)
	r = newRegistry(known...)
	must(t, r.SetNamed([]policy.Device{{ID: "tv", MACs: []flow.MAC{mac(4), mac(5)}}}, start))
	diff2 := cmp.Diff(before, r.Devices(), cmpopts.IgnoreFields(Device{}, "Addrs"), cmpopts.EquateEmpty())
	if diff2 != "" {
		t.Fatal(diff2)
	}
	if d, ok := r.Observe(mac(5), net4(24), "lan0", start); !ok || d.Number != 4 {
		t.Fatalf("%+v", d)
	}
	if d, ok := r.Observe(mac(77), net4(77), "lan0", start); !ok || d.Number != 5 { // freed when the set's cards were joined
		t.Fatalf("%+v", d)
	}
}

func TestSaveIsTriedAgain(t *testing.T) {
	r := newRegistry()
	k := &failing{err: errors.New("disk full")}
	r.keeper = k
	r.Observe(mac(1), net4(1000), "lan0", start)
	if r.Save(t.Context()) == nil {
		t.Fatal("no error")
	}
	k.err = nil
	must(t, r.Save(t.Context()))
	if len(k.put) != 1 || k.put[0].Number != 1 {
		t.Fatalf("%+v", k.put)
	}
}

// Whatever comes, the indexes agree with the devices, ids and numbers are unique and bounds hold.
func TestInvariantsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRegistry()
		now := start
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(-10, 4000).Draw(t, "seconds")) * time.Second)
			m, a := mac(rapid.IntRange(1, 6).Draw(t, "mac")), net4(rapid.IntRange(2, 12).Draw(t, "addr"))
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				r.Observe(m, a, "lan0", now)
			case 1:
				r.Lease(Lease{MAC: m, Addr: a, Hostname: rapid.SampledFrom([]string{"", "tv", "pc", "tv-2"}).Draw(t, "name")}, now)
			case 2:
				r.neighbour(hal.Neighbour{Interface: "lan0", Addr: a, MAC: m, State: hal.NeighbourState(rapid.IntRange(0, 2).Draw(t, "state"))}, now)
			case 3:
				var list []policy.Device
				taken := map[flow.MAC]bool{}
				for _, id := range []string{"tv", "pc"} {
					d := policy.Device{ID: id}
					for range rapid.IntRange(0, 2).Draw(t, "macs") {
						if m := mac(rapid.IntRange(1, 6).Draw(t, "named mac")); !taken[m] {
							taken[m], d.MACs = true, append(d.MACs, m)
						}
					}
					if rapid.Bool().Draw(t, "pinned") {
						d.Addrs = []netip.Addr{net4(len(list) + 2)}
					}
					list = append(list, d)
				}
				if err := r.SetNamed(list, now); err != nil {
					t.Fatal(err)
				}
				for _, d := range list {
					got, ok := r.ByID(d.ID)
					if len(d.MACs)+len(d.Addrs) > 0 && (!ok || !got.Named || !slices.Equal(got.MACs, d.MACs)) {
						t.Fatalf("%+v became %+v", d, got)
					}
				}
			}
			checkIndexes(t, r)
		}
	})
}

func checkIndexes(t *rapid.T, r *Registry) {
	macs, addrs, ids := 0, 0, map[string]bool{}
	for _, d := range r.Devices() {
		if ids[d.ID] || d.ID == "" || d.Number < 1 {
			t.Fatalf("id %q number %d", d.ID, d.Number)
		}
		ids[d.ID] = true
		macs, addrs = macs+len(d.MACs), addrs+len(d.Addrs)
		for _, m := range d.MACs {
			if o, ok := r.ByMAC(m); !ok || o.Number != d.Number {
				t.Fatalf("%s of %s leads to %s", m, d.ID, o.ID)
			}
		}
		for _, a := range d.Addrs {
			if o, ok := r.ByAddr(a); !ok || o.Number != d.Number {
				t.Fatalf("%s of %s leads to %s", a, d.ID, o.ID)
			}
		}
		if o, ok := r.ByID(d.ID); !ok || o.Number != d.Number {
			t.Fatalf("id %s leads to %d", d.ID, o.Number)
		}
	}
	if len(r.mac) != macs || len(r.addr) != addrs || len(r.id) != len(ids) || len(r.number) != len(ids) {
		t.Fatalf("indexes hold %d MACs, %d addresses, %d ids; devices %d, %d, %d", len(r.mac), len(r.addr), len(r.id), macs, addrs, len(ids))
	}
}
