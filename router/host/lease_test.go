package host

import (
	"strings"
	"testing"
	"time"

	"github.com/trenza-router/trenza/router/flow"
)

func TestParseLeases(t *testing.T) {
	expiry := time.Unix(1800000000, 0)
	for _, tt := range []struct {
		name, file string
		want       []Lease
	}{
		{"dnsmasq IPv4", "1800000000 02:00:00:00:00:01 10.77.0.10 laptop ff:00:01\n0 02:00:00:00:00:02 10.77.0.11 * *\n",
			[]Lease{{MAC: mac(1), Addr: ip("10.77.0.10"), Hostname: "laptop", Expires: expiry}, {MAC: mac(2), Addr: ip("10.77.0.11")}}},
		{"dnsmasq with a type of hardware", "0 06-02:00:00:00:00:01 10.77.0.10 * *\n", []Lease{{MAC: mac(1), Addr: ip("10.77.0.10")}}},
		{"dnsmasq IPv6", "duid 00:01:00:01:2e:00:00:00:02:00:00:00:00:ff\n1800000000 16777216 fd77::10 laptop 00:01:00:01:2d:aa:bb:cc:02:00:00:00:00:01\n1800000000 T5 fd77::11 * 00:03:00:01:02:00:00:00:00:02\n",
			[]Lease{{Client: mac(1), Addr: ip("fd77::10"), Hostname: "laptop", Expires: expiry}, {Client: mac(2), Addr: ip("fd77::11"), Expires: expiry}}},
		{"odhcpd", "# br-lan 020000000001 ipv4 laptop 1800000000 c0a80102 32 10.77.0.10/32\n" +
			"# br-lan 000100012daabbcc020000000001 1a2b laptop 1800000000 10 128 fd77::10/128 fd78::10/128\n" +
			"# br-lan 00030001020000000002 1 - -1 20 60 fd77:0:0:10::/60\nfd77::10 laptop\n",
			[]Lease{{MAC: mac(1), Addr: ip("10.77.0.10"), Hostname: "laptop", Expires: expiry},
				{Client: mac(1), Addr: ip("fd77::10"), Hostname: "laptop", Expires: expiry}, {Client: mac(1), Addr: ip("fd78::10"), Hostname: "laptop", Expires: expiry}}},
		{"half a line", "1800000000 02:00:00:00:00:01 10.77.0.10 laptop *\n18000000", []Lease{{MAC: mac(1), Addr: ip("10.77.0.10"), Hostname: "laptop", Expires: expiry}}},
		{"rubbish", "x y z w\n1 2 3\n\x00\xff\n99999999999999999999 02:00:00:00:00:01 10.77.0.10 a *\n1 nomac 10.77.0.10 a *\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) { diff(t, ParseLeases([]byte(tt.file)), tt.want) })
	}
	if n := len(ParseLeases([]byte(strings.Repeat("0 02:00:00:00:00:02 10.77.0.11 * *\n", 50_000)))); n != maxLeases {
		t.Fatalf("%d leases", n)
	}
}

func FuzzParseLeases(f *testing.F) {
	f.Add([]byte("1800000000 02:00:00:00:00:01 10.77.0.10 laptop ff:00:01\n"))
	f.Add([]byte("1800000000 16777216 fd77::10 laptop 00:01:00:01:2d:aa:bb:cc:02:00:00:00:00:01\n"))
	f.Add([]byte("# br-lan 020000000001 ipv4 laptop 1800000000 c0a80102 32 10.77.0.10/32\n"))
	f.Add([]byte("# br-lan 00030001020000000002 1 - -1 20 60 fd77:0:0:10::/60\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newRegistry()
		for _, l := range ParseLeases(b) {
			if !l.Addr.IsValid() {
				t.Fatalf("%+v", l)
			}
			r.Lease(l, start)
		}
		for _, d := range r.Devices() {
			if d.ID == "" || strings.Trim(d.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(d.Hostname) > 63 {
				t.Fatalf("%+v", d)
			}
		}
	})
}

func TestLeases(t *testing.T) {
	r := newRegistry()
	r.Lease(Lease{MAC: mac(1), Addr: ip("10.77.0.10"), Expires: start.Add(-time.Hour)}, start) // over
	r.Lease(Lease{MAC: mac(1), Addr: ip("192.0.2.1")}, start)                                  // not on the LAN
	r.Lease(Lease{Client: mac(1), Addr: ip("fd77::10"), Hostname: "laptop"}, start)            // whose?
	if n := len(r.Devices()); n != 0 {
		t.Fatalf("%d devices", n)
	}
	r.Observe(mac(1), ip("10.77.0.10"), "lan0", start)
	r.Lease(Lease{Client: mac(1), Addr: ip("fd77::10"), Hostname: "laptop"}, start)
	r.Observe(mac(2), ip("fd77::20"), "lan0", start)
	r.Lease(Lease{Addr: ip("fd77::20"), Hostname: "laptop"}, start)
	for addr, want := range map[string]string{"fd77::10": "laptop", "fd77::20": "laptop-2"} {
		if d, ok := r.ByAddr(ip(addr)); !ok || d.ID != want {
			t.Fatalf("%s: %+v", addr, d)
		}
	}
	// An id once made of a name stays when the name changes.
	r.Lease(Lease{MAC: mac(1), Addr: ip("10.77.0.10"), Hostname: "new name"}, start)
	if d, _ := r.ByMAC(mac(1)); d.ID != "laptop" || d.Name != "newname" {
		t.Fatalf("%+v", d)
	}
}

// A file read at start tells names, not that the devices are here now.
func TestOldLeasesAreNoSign(t *testing.T) {
	r := newRegistry()
	r.Observe(mac(1), ip("10.77.0.10"), "lan0", start)
	l := Lease{MAC: mac(1), Addr: ip("10.77.0.10"), Hostname: "laptop", Expires: start.Add(24 * time.Hour)}
	known := r.takeLeases([]Lease{l}, nil, start.Add(time.Hour))
	if d, _ := r.ByMAC(mac(1)); !d.LastSeen.Equal(start) || d.ID != "laptop" {
		t.Fatalf("%+v", d)
	}
	l.Expires = l.Expires.Add(time.Hour)
	r.takeLeases([]Lease{l}, known, start.Add(2*time.Hour))
	if d, _ := r.ByMAC(mac(1)); !d.LastSeen.Equal(start.Add(2 * time.Hour)) {
		t.Fatalf("%+v", d)
	}
}

func TestSlug(t *testing.T) {
	for in, want := range map[string]string{
		"Annas-MacBook-Pro.local": "annas-macbook-pro", "": "", "---": "", "ÄÖ": "", "a_b c": "a-b-c", "x" + strings.Repeat("y", 100): "x" + strings.Repeat("y", 39),
	} {
		if got := slug(in); got != want {
			t.Errorf("%q: %q instead of %q", in, got, want)
		}
	}
}

func TestVendors(t *testing.T) {
	v := newVendors()
	for text, want := range map[string]string{
		"b8:27:eb:01:02:03": "Raspberry Pi", "00:1b:63:00:00:00": "Apple", "02:00:00:00:00:01": PrivateVendor, "00:00:00:00:00:00": "", "fc:ff:ff:00:00:00": "",
	} {
		m, err := flow.ParseMAC(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.of(m); got != want {
			t.Errorf("%s: %q instead of %q", m, got, want)
		}
	}
	entries := 0
	for line := range strings.Lines(vendorTable) {
		if _, list, ok := strings.Cut(line, ":"); ok {
			entries += len(strings.Fields(list))
			for _, p := range strings.Fields(list) {
				if len(p) != 6 {
					t.Errorf("%q is not a prefix of three bytes", p)
				}
			}
		}
	}
	if len(v) != entries || entries < 150 {
		t.Fatalf("%d vendors of %d entries: one is malformed or stands twice", len(v), entries)
	}
}
