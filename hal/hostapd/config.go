package hostapd

import (
	"fmt"
	"strings"

	"github.com/trenza-router/trenza/hal"
)

// Config is the program's file for an access point, which must be valid. A line is a key, "=", and all that follows: a passphrase of printable
// characters needs no quotes, and a name of any bytes is given as hexadecimal digits.
func Config(a hal.AccessPoint) string {
	lines := []string{"interface=" + a.Device}
	if a.Bridge != "" {
		lines = append(lines, "bridge="+a.Bridge)
	}
	lines = append(lines, "driver=nl80211", "logger_syslog=0", "logger_stdout=-1", "logger_stdout_level=2",
		fmt.Sprintf("ssid2=%x", a.SSID), "utf8_ssid=1", "country_code="+a.Country, "ieee80211d=1", "wmm_enabled=1", "ieee80211n=1")
	if a.Band == hal.Band5 {
		lines = append(lines, "hw_mode=a", "ieee80211ac=1")
	} else {
		lines = append(lines, "hw_mode=g")
	}
	lines = append(lines, fmt.Sprint("channel=", a.Channel), "wpa=2", "rsn_pairwise=CCMP", "wpa_passphrase="+a.Passphrase)
	switch a.Security {
	case hal.WPA2:
		lines = append(lines, "wpa_key_mgmt=WPA-PSK")
	case hal.WPA3:
		lines = append(lines, "wpa_key_mgmt=SAE", "ieee80211w=2", "sae_pwe=2")
	case hal.WPA2WPA3:
		// Stations that speak SAE must protect management frames; the others need not (WPA3 specification, transition mode).
		lines = append(lines, "wpa_key_mgmt=WPA-PSK SAE", "ieee80211w=1", "sae_require_mfp=1", "sae_pwe=2")
	}
	if a.Hidden {
		lines = append(lines, "ignore_broadcast_ssid=1")
	}
	if a.Isolated {
		lines = append(lines, "ap_isolate=1")
	}
	return strings.Join(lines, "\n") + "\n"
}
