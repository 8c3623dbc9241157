package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
)

func TestHardware(t *testing.T) {
	c, err := Parse("trenza.yaml", []byte(slot+`    hardware: {kind: modem, port: usb-1-1.2, apn: internet, pin: "0123", user: me, password: "7777"}
  - {name: wifi, hardware: {kind: wifi}}
  - {name: dsl, hardware: {kind: ppp, parent: eth1, user: house, password: secret}}
  - {name: iptv, hardware: {kind: vlan, parent: eth1, tag: 20}}
  - {name: stick, hardware: {kind: stick}}
  - {name: stick2, hardware: {kind: stick}}
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []Hardware
	for _, l := range c.Links {
		if !l.ByHardware() {
			t.Errorf("%s is not by hardware", l.Name)
		}
		got = append(got, l.Hardware)
	}
	want := []Hardware{
		{Kind: hal.LinkModem, Port: "usb-1-1.2", APN: "internet", PIN: "0123", User: "me", Password: "7777"},
		{Kind: hal.LinkWiFi}, {Kind: hal.LinkPPP, Parent: "eth1", User: "house", Password: "secret"},
		{Kind: hal.LinkVLAN, Parent: "eth1", Tag: 20}, {Kind: hal.LinkStick}, {Kind: hal.LinkStick},
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: %s", i, cmp.Diff(want[i], got[i]))
		}
	}
}

// TestSecretsHide: whoever prints a configuration shows no password.
func TestSecretsHide(t *testing.T) {
	h := Hardware{PIN: "48151623", Password: "hunter2"}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "hardware", h, "pin", h.PIN)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "hardware", h, "pin", h.PIN)
	for _, shown := range []string{string(text), log.String(), fmt.Sprint(h), fmt.Sprintf("%+v", h), fmt.Sprintf("%#v", h), fmt.Sprintf("%q", h.PIN)} {
		if strings.Contains(shown, "48151623") || strings.Contains(shown, "hunter2") {
			t.Errorf("a secret is shown: %s", shown)
		}
	}
}
