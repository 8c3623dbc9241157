package wifi

import (
	"net"
	"strconv"
	"strings"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// values reads lines of the form "key=value".
func values(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok {
			out[k] = v
		}
	}
	return out
}

// known is a network that wpa_supplicant remembers.
type known struct {
	id, ssid string
	disabled bool
}

// parseKnown reads the answer of LIST_NETWORKS: id, SSID, BSSID and flags, parted by tabs, below a heading.
func parseKnown(text string) (out []known) {
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if _, err := strconv.Atoi(f[0]); err != nil || len(f) < 3 {
			continue
		}
		out = append(out, known{f[0], plain(f[1]), len(f) > 3 && strings.Contains(f[3], "[DISABLED]")})
	}
	return out
}

// parseScan reads the answer of SCAN_RESULTS: BSSID, frequency, signal, flags and SSID, parted by tabs, below a heading.
func parseScan(text string) []hal.Network {
	var heard []hal.Network
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimRight(line, "\n"), "\t", 5)
		if len(f) < 4 {
			continue
		}
		mac, err := net.ParseMAC(f[0])
		if err != nil || len(mac) != 6 {
			continue
		}
		n := hal.Network{BSSID: flow.MAC(mac), Security: security(f[3])}
		n.Frequency, _ = strconv.Atoi(f[1]) // 0: not said
		level, err := strconv.Atoi(f[2])
		if err == nil {
			n.Signal = quality(level)
		}
		if len(f) == 5 {
			n.SSID = strings.Trim(plain(f[4]), "\x00") // a hidden network's is empty, or as many zeros
		}
		heard = append(heard, n)
	}
	return hal.BestAccessPoints(heard)
}

// security reads the flags of an access point: "[WPA2-PSK+SAE-CCMP][ESS]".
func security(flags string) hal.Security {
	switch {
	case strings.Contains(flags, "EAP"):
		return hal.SecurityEnterprise
	case strings.Contains(flags, "PSK"):
		return hal.SecurityWPA2
	case strings.Contains(flags, "SAE"):
		return hal.SecurityWPA3
	}
	return hal.SecurityOpen
}

// quality makes 0 to 100 of dBm: -50 and more is all, -100 is nothing.
func quality(dBm int) int { return min(100, max(0, 2*(dBm+100))) }

// plain takes back the escapes in which wpa_supplicant writes what is not printable ASCII.
func plain(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'e':
			b.WriteByte(0x1b)
		case 'x':
			v, err := strconv.ParseUint(s[i+1:min(len(s), i+3)], 16, 8)
			if err != nil || i+3 > len(s) {
				b.WriteString(`\x`)
				continue
			}
			b.WriteByte(byte(v))
			i += 2
		default: // the backslash and quotes
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
