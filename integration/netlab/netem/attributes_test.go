package netem

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/trenza-router/trenza/integration/netlab/emulator"
)

// TestAttributes: netem's words for a direction's settings. What they do to frames is tried in a guest, which has netem.
func TestAttributes(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		settings emulator.Settings
		want     netlink.NetemQdiscAttrs
	}{
		"a wire": {emulator.Settings{}, netlink.NetemQdiscAttrs{Latency: 1, Limit: math.MaxInt32, Rate64: 12_500_000_000}},
		"a fiber": {emulator.Settings{Rate: 20e6, Delay: 8 * ms, Queue: 100 * ms},
			// 108 ms of 20 Mbit/s are 270,000 bytes.
			netlink.NetemQdiscAttrs{Latency: 8000, Limit: 180, Rate64: 2_500_000}},
		"jitter is added, never taken off": {emulator.Settings{Rate: 8e6, Delay: 45 * ms, Jitter: 8 * ms, Loss: 0.005, Queue: 100 * ms},
			netlink.NetemQdiscAttrs{Latency: 49000, Jitter: 4000, Loss: 0.5, Limit: 103, Rate64: 1_000_000}},
		"order is kept without a rate": {emulator.Settings{Delay: 10 * ms, Jitter: 10 * ms},
			netlink.NetemQdiscAttrs{Latency: 15000, Jitter: 5000, Limit: math.MaxInt32, Rate64: 12_500_000_000}},
		"no queue still sends": {emulator.Settings{Rate: 1000}, netlink.NetemQdiscAttrs{Latency: 1, Limit: 1, Rate64: 125}},
	} {
		if diff := cmp.Diff(test.want, attributes(test.settings)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestNewRefusesTheImpossible(t *testing.T) {
	for _, p := range []emulator.Params{
		{Up: emulator.Settings{Rate: 5}}, {Down: emulator.Settings{Loss: 2}}, {Up: emulator.Settings{Delay: -1}},
	} {
		if _, err := New("no-such-near", "no-such-far", p); err == nil {
			t.Errorf("%+v was accepted", p)
		}
	}
	if _, err := New("no-such-near", "no-such-far", emulator.Params{}); err == nil {
		t.Error("a link of devices that do not exist was made")
	}
}
