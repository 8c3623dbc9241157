package modem

import (
	"net/netip"
	"testing"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/bus"
)

func props(kv map[string]any) bus.Properties {
	p := bus.Properties{}
	for k, v := range kv {
		p[k] = bus.V(v)
	}
	return p
}

func client() *Client { return New(nil, func(p string) string { return "at" + p }) }

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name   string
		modem  map[string]any
		state  hal.LinkState
		lock   string
		tries  int
		detail string
	}{
		{"locked", map[string]any{"State": int32(2), "UnlockRequired": uint32(2), "UnlockRetries": map[uint32]uint32{2: 2, 4: 10}}, hal.LinkLocked, "sim-pin", 2, ""},
		{"locked, silent about tries", map[string]any{"State": int32(2), "UnlockRequired": uint32(2)}, hal.LinkLocked, "sim-pin", -1, ""},
		{"PUK", map[string]any{"State": int32(2), "UnlockRequired": uint32(4), "UnlockRetries": map[uint32]uint32{4: 10}}, hal.LinkLocked, "sim-puk", 10, ""},
		{"PIN2 hinders nobody", map[string]any{"State": int32(8), "UnlockRequired": uint32(3), "UnlockRetries": map[uint32]uint32{3: 3}}, hal.LinkOff, "", -1, "not connected"},
		{"no card", map[string]any{"State": int32(-1), "StateFailedReason": uint32(2)}, hal.LinkFailed, "", -1, "there is no SIM card in the modem"},
		{"searching", map[string]any{"State": int32(7)}, hal.LinkOff, "", -1, "the modem looks for a network"},
		{"connecting", map[string]any{"State": int32(10)}, hal.LinkConnecting, "", -1, ""},
		{"connected", map[string]any{"State": int32(11)}, hal.LinkConnected, "", -1, ""},
		{"nonsense", map[string]any{"State": "x", "UnlockRetries": 5, "SignalQuality": []any{"a", 5}, "Ports": 7}, hal.LinkConnecting, "", -1, ""},
	} {
		d := client().read(map[string]bus.Properties{modemOf: props(c.modem)})
		if d.State != c.state || d.Modem.Lock != c.lock || d.Modem.Tries != c.tries || d.Detail != c.detail {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

func TestSignal(t *testing.T) {
	d := client().read(map[string]bus.Properties{
		modemOf: props(map[string]any{"State": int32(11), "Device": "/sys/x", "SignalQuality": []any{uint32(61), true}, "AccessTechnologies": uint32(1<<14 | 1<<5), "Model": "E3372"}),
		signalOf: props(map[string]any{"Umts": bus.Options{"rssi": bus.V(-70.0)},
			"Lte": bus.Options{"rsrp": bus.V(-98.0), "rsrq": bus.V(-11.0), "snr": bus.V(4.2), "rssi": bus.V(-32768.0)}}),
		networkOf: props(map[string]any{"RegistrationState": uint32(5), "OperatorName": "Testnet"}),
	})
	want := hal.Signal{Quality: 61, RSRP: -98, RSRQ: -11, SINR: 4.2}
	if d.Modem.Signal != want || d.Modem.Technology != "lte" || !d.Modem.Roaming || d.Modem.Operator != "Testnet" || d.ID != "at/sys/x" {
		t.Errorf("%+v", d)
	}
}

func TestBearer(t *testing.T) {
	config := func(kv map[string]any) bus.Properties { return props(kv) }
	static := map[string]any{"address": "10.76.0.2", "prefix": uint32(30), "gateway": "10.76.0.1", "dns1": "10.76.0.1", "mtu": uint32(1430)}
	for _, c := range []struct {
		name   string
		b      bearer
		device string
		method hal.BearerMethod
		dhcp   bool
	}{
		{"static", bearer{"wwan0", methodStatic, config(static)}, "wwan0", hal.BearerStatic, false},
		{"static without an address", bearer{"wwan0", methodStatic, config(map[string]any{"address": "x", "prefix": uint32(400)})}, "wwan0", hal.BearerDHCP, true},
		{"dhcp", bearer{"wwan0", methodDHCP, nil}, "wwan0", hal.BearerDHCP, true},
		{"silent", bearer{"wwan0", 0, nil}, "wwan0", hal.BearerDHCP, true},
		{"dialled", bearer{"ttyACM0", methodPPP, nil}, "ppp-ttyACM0", hal.BearerPPP, false},
	} {
		var d hal.LinkDevice
		c.b.describe(&d)
		if d.Name != c.device || d.Modem.Method != c.method || d.OurDHCP != c.dhcp {
			t.Errorf("%s: %+v", c.name, d)
		}
		if c.method == hal.BearerStatic && (d.Addrs[0] != netip.MustParsePrefix("10.76.0.2/30") || d.Gateways[0] != netip.MustParseAddr("10.76.0.1") || d.MTU != 1430) {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

func TestWrongPIN(t *testing.T) {
	for name, want := range map[string]bool{
		service + ".Error.MobileEquipment.IncorrectPassword": true, service + ".Error.MobileEquipment.SimPuk": true,
		service + ".Error.MobileEquipment.NoNetwork": false, service + ".Error.Core.Timeout": false, "": false,
	} {
		if wrongPIN(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func TestTime(t *testing.T) {
	for _, text := range []string{"2026-11-21T20:40:00+01", "2026-11-21T20:40:00+01:00", "2026-11-21T20:40:00+0100"} {
		if at := readTime(text); at.Unix() != 1795290000 {
			t.Errorf("%s is %v (%d)", text, at, at.Unix())
		}
	}
	if !readTime("yesterday").IsZero() {
		t.Error("nonsense is a time")
	}
}
