package flow_test

import (
	"strings"
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

func TestCleanHost(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	for _, tt := range []struct {
		in, want string
	}{
		{"example.com", "example.com"},
		{"WWW.Example.COM.", "www.example.com"},
		{"localhost", "localhost"},
		{"_dns.resolver.arpa", "_dns.resolver.arpa"},
		{"r3---sn-4g5e6nz7.googlevideo.com", "r3---sn-4g5e6nz7.googlevideo.com"},
		{"1.debian.pool.ntp.org", "1.debian.pool.ntp.org"},
		{label63 + ".com", label63 + ".com"},
		{label63 + "a.com", ""},
		{strings.Repeat(label63+".", 4) + "com", ""},
		{"", ""}, {".", ""}, {"a..b", ""}, {".a", ""}, {"a b", ""}, {"a\x00b", ""}, {"bücher.example", ""},
		{"192.0.2.1", ""}, {"[2001:db8::1]", ""}, {"a.com:80", ""}, {"12345", ""},
	} {
		got, ok := flow.CleanHost(tt.in)
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("CleanHost(%q) = %q, %v; want %q", tt.in, got, ok, tt.want)
		}
		if b := flow.CleanHostBytes([]byte(tt.in)); string(b) != tt.want {
			t.Errorf("CleanHostBytes(%q) = %q; want %q", tt.in, b, tt.want)
		}
	}
}
