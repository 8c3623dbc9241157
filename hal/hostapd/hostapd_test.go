package hostapd

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
)

var update = flag.Bool("update", false, "write the golden files anew")

var home = hal.AccessPoint{Device: "wlan0", SSID: "Casa Añil", Passphrase: "correct horse", Security: hal.WPA2, Band: hal.Band2, Channel: 6, Country: "ES"}

func TestConfig(t *testing.T) {
	for name, change := range map[string]func(*hal.AccessPoint){
		"wpa2": func(*hal.AccessPoint) {},
		"wpa3": func(a *hal.AccessPoint) {
			a.Security, a.Band, a.Channel, a.Bridge = hal.WPA3, hal.Band5, 36, "br-lan"
		},
		"mixed": func(a *hal.AccessPoint) {
			a.Security, a.Hidden, a.Isolated, a.SSID, a.Passphrase = hal.WPA2WPA3, true, true, "two\nlines", `  #"$|mac=x\ `
		},
	} {
		a := home
		change(&a)
		if err := a.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		path := filepath.Join("testdata", name+".conf")
		if *update {
			if err := os.WriteFile(path, []byte(Config(a)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), Config(a)); diff != "" {
			t.Errorf("differs from %s (run with -update if it should):\n%s", path, diff)
		}
	}
}

// FuzzConfig: whatever a person calls a network and its passphrase, each line of the file is one that we wrote.
func FuzzConfig(f *testing.F) {
	f.Add("Casa", "correct horse")
	f.Add("a\nwpa=0", "12345678\nssid=b")
	f.Fuzz(func(t *testing.T, ssid, passphrase string) {
		a := home
		a.SSID, a.Passphrase = ssid, passphrase
		if a.Validate() != nil {
			return
		}
		plain := strings.Split(Config(home), "\n")
		for i, line := range strings.Split(Config(a), "\n") {
			key, _, _ := strings.Cut(line, "=")
			if want, _, _ := strings.Cut(plain[i], "="); key != want {
				t.Fatalf("line %d is of %q, want %q", i, key, want)
			}
		}
	})
}

// TestServe: the program gets a file that nobody else can read; a radio that was switched off is on.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	shown := filepath.Join(dir, "shown")
	fake := filepath.Join(dir, "hostapd")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\nstat -c %a \"$1\" > "+shown+"\necho wlan0: no such radio\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	off := filepath.Join(dir, "sys/class/net/wlan0/phy80211/rfkill3/soft")
	if err := os.MkdirAll(filepath.Dir(off), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(off, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(dir, "run")
	if err := os.MkdirAll(run, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run, "hostapd-wlan0.conf"), nil, 0o644); err != nil { // of somebody who was careless
		t.Fatal(err)
	}
	s := New(Options{Program: fake, Dir: run, Sysfs: filepath.Join(dir, "sys")})
	if err := s.ServeAccessPoint(t.Context(), home); err == nil || !strings.Contains(err.Error(), "wlan0: no such radio") {
		t.Errorf("got %v", err)
	}
	if mode, err := os.ReadFile(shown); err != nil || string(mode) != "600\n" {
		t.Errorf("the file's rights are %q, %v", mode, err)
	}
	if state, err := os.ReadFile(off); err != nil || string(state) != "0" {
		t.Errorf("the switch is at %q, %v", state, err)
	}
	bad := home
	bad.Passphrase = "short"
	if err := s.ServeAccessPoint(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "8 to 63") {
		t.Errorf("a short passphrase: %v", err)
	}
	if err := New(Options{Program: "no-such-program", Dir: run}).ServeAccessPoint(context.Background(), home); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("without the program: %v", err)
	}
}
