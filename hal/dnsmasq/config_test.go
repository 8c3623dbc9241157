package dnsmasq

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
)

var update = flag.Bool("update", false, "write the golden files anew")

func home() hal.AddressService {
	addr := netip.MustParseAddr
	return hal.AddressService{
		Leases: "/var/lib/trenza/dnsmasq.leases", Domain: "home.arpa",
		Networks: []hal.AddressNetwork{
			{Device: "br-lan", First: addr("192.168.83.50"), Last: addr("192.168.83.249"), Router: netip.MustParsePrefix("192.168.83.1/24"), Lease: 12 * time.Hour,
				Advertise: true, Router6: addr("fd12:3456:789a::1"), Way6: true},
			{Device: "br-guest", First: addr("10.40.0.10"), Last: addr("10.40.3.254"), Router: netip.MustParsePrefix("10.40.0.1/22"), Lease: time.Hour},
			{Device: "eth2", Advertise: true},
		},
	}
}

// TestGolden shows a whole file as dnsmasq reads it.
func TestGolden(t *testing.T) {
	const file = "testdata/home.conf"
	got := Config(home())
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s (run with -update if it should):\n%s", file, diff)
	}
	dir := t.TempDir()
	s := New(Options{Dir: dir})
	if err := s.CheckAddresses(t.Context(), home()); err != nil {
		t.Errorf("dnsmasq itself: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "dnsmasq.conf")); err == nil {
		t.Error("a check replaced the file in use")
	}
}

// TestRefused: what cannot be served is told before anything is written.
func TestRefused(t *testing.T) {
	for name, change := range map[string]func(*hal.AddressService){
		"no network":     func(s *hal.AddressService) { s.Networks = nil },
		"no device":      func(s *hal.AddressService) { s.Networks[0].Device = "" },
		"backwards":      func(s *hal.AddressService) { s.Networks[0].Last = netip.MustParseAddr("192.168.83.2") },
		"other network":  func(s *hal.AddressService) { s.Networks[0].Last = netip.MustParseAddr("192.168.84.2") },
		"lease of zero":  func(s *hal.AddressService) { s.Networks[0].Lease = 0 },
		"IPv6 addresses": func(s *hal.AddressService) { s.Networks[0].First = netip.MustParseAddr("fd00::1") },
		"no program":     func(*hal.AddressService) {},
	} {
		t.Run(name, func(t *testing.T) {
			service, dir := home(), t.TempDir()
			change(&service)
			s := New(Options{Program: map[bool]string{true: "no-such-program"}[name == "no program"], Dir: dir})
			if err := s.CheckAddresses(t.Context(), service); err == nil {
				t.Fatal("taken")
			}
			if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
				t.Errorf("left behind: %v, %v", files, err)
			}
		})
	}
}
