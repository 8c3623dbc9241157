package link

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseTarget(t *testing.T) {
	ap := netip.MustParseAddrPort
	tests := []struct {
		text  string
		want  Target
		canon string // "" : as text
	}{
		{"icmp:198.51.100.1", Target{Kind: ICMP, Addr: ap("198.51.100.1:0")}, ""},
		{"icmp:[2001:db8::1]", Target{Kind: ICMP, Addr: ap("[2001:db8::1]:0")}, ""},
		{"icmp:2001:db8::1", Target{Kind: ICMP, Addr: ap("[2001:db8::1]:0")}, "icmp:[2001:db8::1]"},
		{"icmp:[fe80::1%wan1]", Target{Kind: ICMP, Addr: ap("[fe80::1%wan1]:0")}, ""},
		{"icmp:::ffff:198.51.100.1", Target{Kind: ICMP, Addr: ap("198.51.100.1:0")}, "icmp:198.51.100.1"},
		{"dns:198.51.100.53", Target{Kind: DNS, Addr: ap("198.51.100.53:53")}, ""},
		{"dns:198.51.100.53:5353/Example.NET.", Target{Kind: DNS, Addr: ap("198.51.100.53:5353"), Name: "example.net"}, "dns:198.51.100.53:5353/example.net"},
		{"dns:[2001:db8::53]/example.net", Target{Kind: DNS, Addr: ap("[2001:db8::53]:53"), Name: "example.net"}, ""},
		{"tcp:198.51.100.10:443", Target{Kind: TCP, Addr: ap("198.51.100.10:443")}, ""},
		{"tcp:[2001:db8::10]:443", Target{Kind: TCP, Addr: ap("[2001:db8::10]:443")}, ""},
		{"http://198.51.100.11/generate_204", Target{Kind: HTTP, Addr: ap("198.51.100.11:80"), Path: "/generate_204"}, ""},
		{"http://198.51.100.11", Target{Kind: HTTP, Addr: ap("198.51.100.11:80"), Path: "/"}, "http://198.51.100.11/"},
		{"http://portal.example@[2001:db8::11]:8080/ok.txt?a=b#all%20well", Target{Kind: HTTP, Addr: ap("[2001:db8::11]:8080"), Name: "portal.example", Path: "/ok.txt?a=b", Body: "all well"}, ""},
	}
	for _, tt := range tests {
		got, err := ParseTarget(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
		canon := tt.canon
		if canon == "" {
			canon = tt.text
		}
		if got.String() != canon {
			t.Errorf("%s is written %s, want %s", tt.text, got, canon)
		}
	}
}

func TestParseTargetRefuses(t *testing.T) {
	for text, right := range map[string]string{
		"":                                   "use icmp:ADDR",
		"ping:1.2.3.4":                       "use icmp:ADDR",
		"https://198.51.100.1/":              "use icmp:ADDR",
		"icmp:example.net":                   "198.51.100.1",
		"icmp:[198.51.100.1]":                "[2001:db8::1]",
		"dns:198.51.100.1/-_ .x":             "host name",
		"dns:2001:db8::53:53:x":              "dns:ADDR",
		"tcp:198.51.100.1":                   "tcp:ADDR:PORT",
		"tcp:198.51.100.1:0":                 "tcp:ADDR:PORT",
		"http://example.net/x":               "literal address",
		"http://u:p@198.51.100.1/":           "host name and nothing else",
		"http://198.51.100.1:0/":             "1 to 65535",
		"http://198.51.100.1/#a%0d%0ab":      "one line",
		"icmp:" + strings.Repeat("1", 2000):  "longer than",
		"http://198.51.100.1:99999/":         "1 to 65535",
		"http://[2001:db8::1/generate":       "not a web address",
		"http://198.51.100.1\x00/":           "not a web address",
		"tcp:[2001:db8::1%]:1":               "tcp:ADDR:PORT",
		"dns:[2001:db8::1]:70000":            "dns:ADDR",
		"dns:198.51.100.1:53/a..b":           "host name",
		"http://name with space@1.2.3.4/x":   "",
		"http://1.2.3.4:80:80/generate_204":  "",
		"http://[::ffff:1.2.3.4%25a]/x\r\ny": "",
	} {
		got, err := ParseTarget(text)
		if err == nil {
			t.Errorf("%q: read as %+v", text, got)
		} else if !strings.Contains(err.Error(), right) {
			t.Errorf("%q: the message does not say %q: %v", text, right, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{
		"icmp:198.51.100.1", "icmp:[2001:db8::1]", "icmp:fe80::1%eth0", "dns:198.51.100.53/example.net", "dns:[2001:db8::53]:5353",
		"tcp:[2001:db8::10]:443", "http://portal.example@[fe80::1%25wan1]:8080/ok.txt?a=b#all%20well", "http://1.2.3.4?x", "http://1.2.3.4/%zz", "http://1.2.3.4/a#%23",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTarget(s)
		if err != nil {
			return
		}
		if !got.Addr.Addr().IsValid() || got.Addr.Addr().Is4In6() {
			t.Fatalf("%q: address %v", s, got.Addr)
		}
		again, err := ParseTarget(got.String())
		if err != nil || again != got {
			t.Fatalf("%q is %+v, written %q, read back as %+v, %v", s, got, got, again, err)
		}
	})
}
