package api_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/haltest"
	"github.com/trenza-router/trenza/router/engine/enginetest"
	"github.com/trenza-router/trenza/webui/api"
)

// furnish plugs a station and a locked modem in.
func furnish(s *site) {
	s.house.Hardware.Plug(hal.LinkDevice{ID: "usb-1-1", Kind: hal.LinkWiFi, Name: "wlan0", State: hal.LinkOff}, nil)
	s.house.Hardware.Plug(hal.LinkDevice{
		ID: "usb-1-2", Kind: hal.LinkModem, Model: "E3372", MTU: 1500, Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/30")},
		Modem: hal.ModemLink{Operator: "Testnet", Technology: "lte", Signal: hal.Signal{Quality: 60, RSRP: -95}},
	}, &haltest.Card{PIN: "1234", Tries: 3})
	s.house.Hardware.SetAir(
		haltest.Air{Network: hal.Network{SSID: "Neighbour", Security: hal.SecurityWPA2, Signal: 50, Frequency: 2412}, Password: "correct horse"},
		haltest.Air{Network: hal.Network{SSID: "Cafe", Security: hal.SecurityOpen, Signal: 80, Frequency: 5180}})
}

func TestHardware(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	furnish(s)
	for _, c := range []struct {
		method, path, body string
		code               int
		says               string
	}{
		{"GET", "/hardware", "", 200, `"rsrp":-95`},
		{"POST", "/hardware/wifi/scan", "{}", 200, `"ssid":"Cafe"`},
		{"POST", "/hardware/wifi/scan", `{"device": "usb-1-1"}`, 200, `"ssid":"Neighbour"`},
		{"POST", "/hardware/wifi/scan", `{"device": "usb-1-2"}`, 404, "there are usb-1-1"},
		{"POST", "/hardware/wifi/join", `{"ssid": "Neighbour", "password": "wrong horse"}`, 422, "wrong password"},
		{"POST", "/hardware/wifi/join", `{"ssid": "Nowhere", "password": "wrong horse"}`, 404, "no such network is heard"},
		{"POST", "/hardware/wifi/join", `{"ssid": "Neighbour", "password": "short", "security": "wpa2"}`, 400, "8 to 63"},
		{"POST", "/hardware/wifi/join", `{"ssid": "Neighbour", "security": "wep"}`, 400, "open"},
		{"POST", "/hardware/wifi/join", `{"ssid": ""}`, 400, "ssid"},
		{"POST", "/hardware/wifi/join", `{"ssid": "Neighbour", "hidden": true}`, 400, "hidden"},
		{"POST", "/hardware/wifi/join", `{"ssid": "Neighbour", "security": "enterprise", "password": "x"}`, 400, "user"},
		{"POST", "/hardware/wifi/join", `{`, 400, ""},
		{"POST", "/hardware/wifi/forget", `{"ssid": "Neighbour"}`, 404, "not found"},
		{"POST", "/hardware/wifi/join", `{"ssid": "Neighbour", "password": "correct horse"}`, 200, `"ssid":"Neighbour"`},
		{"POST", "/hardware/wifi/forget", `{"ssid": "Neighbour"}`, 200, `"state":"off"`},
		{"POST", "/hardware/modem/unlock", `{"pin": "12ab"}`, 400, "[0-9]"},
		{"POST", "/hardware/modem/connect", `{"apn": "internet"}`, 422, "locked"},
		{"POST", "/hardware/modem/unlock", `{"pin": "0000"}`, 422, "wrong PIN, 2 attempts left"},
		{"POST", "/hardware/modem/unlock", `{"pin": "0001"}`, 422, "wrong PIN, 1 attempts left"},
		{"POST", "/hardware/modem/unlock", `{"pin": "1234"}`, 409, "one try is left"},
		{"POST", "/hardware/modem/unlock", `{"pin": "1234", "last_try": true}`, 200, `"lock":""`},
		{"POST", "/hardware/modem/connect", `{"apn": "internet"}`, 200, `"state":"connected"`},
		{"POST", "/hardware/modem/messages", `{"number": "abc", "text": "x"}`, 400, "[0-9*#]"},
		{"POST", "/hardware/modem/messages", `{"number": "+49123", "text": ""}`, 400, "text"},
		{"POST", "/hardware/modem/messages", `{"number": "+49123", "text": "hello"}`, 200, `"text":"hello"`},
		{"GET", "/hardware/modem/messages?device=usb-1-2", "", 200, `"number":"+49123"`},
		{"DELETE", "/hardware/modem/messages?id=7", "", 404, "not found"},
		{"DELETE", "/hardware/modem/messages?id=1", "", 200, "[]"},
		{"POST", "/hardware/modem/reset", "{}", 200, `"lock":"sim-pin"`},
	} {
		code, data := s.do(t, c.method, c.path, c.body)
		if code != c.code || !strings.Contains(string(data), c.says) {
			t.Errorf("%s %s %s: %d %s; want %d and %q", c.method, c.path, c.body, code, data, c.code, c.says)
		}
		if strings.Contains(string(data), "horse") || strings.Contains(string(data), "1234") {
			t.Errorf("%s %s tells a secret: %s", c.method, c.path, data)
		}
	}
}

// TestHardwareEmpty: a machine without anything lists nothing and says so.
func TestHardwareEmpty(t *testing.T) {
	s := start(t, enginetest.Policy, nil)
	if code, data := s.do(t, http.MethodGet, "/hardware", ""); code != 200 || len(decode[[]api.Hardware](t, data)) != 0 {
		t.Errorf("%d %s", code, data)
	}
	if code, data := s.do(t, http.MethodPost, "/hardware/modem/unlock", `{"pin": "1234"}`); code != 404 || !strings.Contains(string(data), "no modem is plugged in") {
		t.Errorf("%d %s", code, data)
	}
}
