package haltest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/trenza-router/trenza/hal"
)

// HardwareBench is a machine's hardware and what a hand can do to it, for ConformHardware.
type HardwareBench struct {
	Hardware hal.Hardware
	// Plug puts a stick into the machine, always the same one in the same place; Unplug pulls it out.
	Plug, Unplug func()
	// Station is a WiFi device that hears the network Air and nothing of the name "nowhere".
	Station string
	Air     Air
	// Patience bounds what services may take.
	Patience time.Duration
}

// ConformHardware tests that link devices come, go and join networks as package hal promises.
func ConformHardware(t *testing.T, b HardwareBench) {
	t.Run("plugged and pulled out", b.conformPlugging)
	t.Run("networks", b.conformNetworks)
	t.Run("nothing of the name", b.conformAbsence)
}

// devices lists what is plugged in.
func (b HardwareBench) devices(t *testing.T) []hal.LinkDevice {
	t.Helper()
	all, err := b.Hardware.LinkDevices(t.Context())
	if err != nil {
		t.Fatalf("listing the devices: %v", err)
	}
	return all
}

// until waits for a condition.
func (b HardwareBench) until(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(b.Patience); !ready(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s; there are %+v", b.Patience, what, b.devices(t))
		}
	}
}

// conformPlugging: a watcher is told at the start and of what comes and goes, and a place keeps its name.
func (b HardwareBench) conformPlugging(t *testing.T) {
	told := make(chan struct{}, 1)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- b.Hardware.WatchLinkDevices(ctx, func() {
			select {
			case told <- struct{}{}:
			default: // that there was something is enough
			}
		})
	}()
	stick := func() (d hal.LinkDevice, there bool) {
		all := b.devices(t)
		i := slices.IndexFunc(all, func(d hal.LinkDevice) bool { return d.Kind == hal.LinkStick })
		if i < 0 {
			return d, false
		}
		return all[i], true
	}
	// Whoever lists at each call of the watch, and at no other time, must come to know.
	awaitTold := func(what string, ready func() bool) {
		t.Helper()
		for end := time.After(b.Patience); ; {
			select {
			case <-told:
				if ready() {
					return
				}
			case <-end:
				t.Fatalf("not told within %v: %s; there are %+v", b.Patience, what, b.devices(t))
			}
		}
	}
	awaitTold("the start", func() bool { return true })
	place := ""
	for range 2 {
		b.Plug()
		awaitTold("a stick is there", func() bool { d, there := stick(); return there && d.Name != "" && d.ID != "" })
		d, _ := stick()
		if place != "" && d.ID != place {
			t.Errorf("the stick is at %s, and was at %s before it was pulled out", d.ID, place)
		}
		place = d.ID
		for range 2 { // it may be set up again
			if err := b.Hardware.SetupLink(t.Context(), d.Name, hal.LinkSetup{Link: "spare"}); err != nil {
				t.Errorf("setting up %s: %v", d.Name, err)
			}
		}
		b.Unplug()
		awaitTold("the stick is gone", func() bool { _, there := stick(); return !there })
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
}

// network is what the station hears of the air's name; zero for nothing.
func (b HardwareBench) network(t *testing.T) hal.Network {
	t.Helper()
	all, err := b.Hardware.ScanWiFi(t.Context(), b.Station)
	if err != nil {
		t.Fatalf("scanning: %v", err)
	}
	if !slices.IsSortedFunc(all, func(a, b hal.Network) int { return b.Signal - a.Signal }) {
		t.Errorf("not the strongest first: %+v", all)
	}
	for _, n := range all {
		if n.SSID == b.Air.SSID {
			return n
		}
	}
	return hal.Network{}
}

func (b HardwareBench) joined(t *testing.T) string {
	t.Helper()
	for _, d := range b.devices(t) {
		if d.Name == b.Station {
			return d.WiFi.SSID
		}
	}
	return ""
}

// conformNetworks: a network is heard, refused with a wrong password, which leaves nothing behind, joined, and forgotten.
func (b HardwareBench) conformNetworks(t *testing.T) {
	b.until(t, "the network is heard", func() bool { return b.network(t).SSID != "" })
	if n := b.network(t); n.Security != b.Air.Security || n.Known || n.Joined || n.Signal <= 0 || n.Frequency == 0 {
		t.Errorf("the network is %+v, want %s, not known", n, b.Air.Security)
	}
	request := hal.JoinRequest{SSID: b.Air.SSID, Password: "not " + b.Air.Password}
	if err := b.Hardware.JoinWiFi(t.Context(), b.Station, request); !errors.Is(err, hal.ErrWrongPassword) {
		t.Errorf("with a wrong password: %v", err)
	}
	if n := b.network(t); n.Known || b.joined(t) != "" {
		t.Errorf("after a wrong password the network is %+v, joined is %q", n, b.joined(t))
	}
	if err := b.Hardware.JoinWiFi(t.Context(), b.Station, hal.JoinRequest{SSID: "nowhere", Password: b.Air.Password}); !errors.Is(err, hal.ErrOutOfRange) {
		t.Errorf("a network that is not there: %v", err)
	}
	request.Password = b.Air.Password
	if err := b.Hardware.JoinWiFi(t.Context(), b.Station, request); err != nil {
		t.Fatalf("joining: %v", err)
	}
	b.until(t, "the station says that it has joined", func() bool { return b.joined(t) == b.Air.SSID })
	if n := b.network(t); !n.Known || !n.Joined {
		t.Errorf("joined, the network is %+v", n)
	}
	if err := b.Hardware.ForgetWiFi(t.Context(), b.Station, b.Air.SSID); err != nil {
		t.Errorf("forgetting: %v", err)
	}
	b.until(t, "the station has left", func() bool { return b.joined(t) == "" })
	if err := b.Hardware.ForgetWiFi(t.Context(), b.Station, b.Air.SSID); !errors.Is(err, hal.ErrNotFound) {
		t.Errorf("forgetting again: %v", err)
	}
}

// conformAbsence: what is not there is said to be.
func (b HardwareBench) conformAbsence(t *testing.T) {
	if _, err := b.Hardware.ScanWiFi(t.Context(), "none"); err == nil {
		t.Error("a device that is not there scans")
	}
	if err := b.Hardware.JoinWiFi(t.Context(), "none", hal.JoinRequest{SSID: b.Air.SSID, Password: b.Air.Password}); err == nil {
		t.Error("a device that is not there joins")
	}
	if err := b.Hardware.UnlockModem(t.Context(), "none", "0000", false); !errors.Is(err, hal.ErrNotFound) {
		t.Errorf("unlocking a modem that is not there: %v", err)
	}
	if err := b.Hardware.Dial(t.Context(), hal.DialSetup{LinkSetup: hal.LinkSetup{Link: "dsl"}, Parent: "none"}); !errors.Is(err, hal.ErrNotFound) {
		t.Errorf("dialling over a device that is not there: %v", err)
	}
}
