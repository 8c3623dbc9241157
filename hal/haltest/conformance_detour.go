package haltest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trenza-router/trenza/hal"
)

func wantDetour(t *testing.T, m Surface, want hal.Detour) {
	t.Helper()
	got, err := m.Detour(t.Context())
	must(t, err)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the detour that stands (-want +got):\n%s", diff)
	}
}

func detourFrom(devices ...string) hal.Detour {
	return hal.Detour{Device: hal.DownloadDevice, From: devices}
}

func conformDetour(t *testing.T, m Surface) {
	wantDetour(t, m, hal.Detour{})
	for _, d := range []hal.Detour{
		{}, // nothing to remove
		detourFrom(Devices[0]), detourFrom(Devices[0], Devices[1]), detourFrom(Devices[1]),
		{}, detourFrom(Devices[0], Devices[1]),
	} {
		for range 2 { // the second time there is nothing to do
			must(t, m.SetDetour(t.Context(), d))
			wantDetour(t, m, d)
		}
	}
	// Its device is shaped as any other, and the tree goes with it.
	s := someShaping()
	s.Device = hal.DownloadDevice
	must(t, m.SetShaping(t.Context(), s))
	must(t, m.SetDetour(t.Context(), detourFrom(Devices[1])))
	wantShaping(t, m, s)
	wantShaping(t, m, hal.Shaping{Device: Devices[1]})
	must(t, m.SetDetour(t.Context(), hal.Detour{}))
	_, err := m.Shaping(t.Context(), hal.DownloadDevice)
	wantError(t, err, hal.ErrNotFound)
}

func conformDetourErrors(t *testing.T, m Surface) {
	stands := detourFrom(Devices[0])
	must(t, m.SetDetour(t.Context(), stands))
	wantError(t, m.SetDetour(t.Context(), detourFrom("gone0", Devices[1])), hal.ErrNotFound)
	for name, bad := range map[string]hal.Detour{
		"another name":          {Device: "ifb0", From: []string{Devices[0]}},
		"no name":               {From: []string{Devices[0]}},
		"from nowhere":          {Device: hal.DownloadDevice},
		"twice the same device": detourFrom(Devices[0], Devices[0]),
		"in disorder":           detourFrom(Devices[1], Devices[0]),
		"a circle":              detourFrom(hal.DownloadDevice),
		"a broken one":          {Device: hal.DownloadDevice, From: []string{Devices[0]}, Broken: true},
	} {
		if err := m.SetDetour(t.Context(), bad); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, m.SetDetour(ended, hal.Detour{}), context.Canceled)
	_, err := m.Detour(ended)
	wantError(t, err, context.Canceled)
	wantDetour(t, m, stands)
}
