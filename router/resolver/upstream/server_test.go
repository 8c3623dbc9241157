package upstream

import (
	"net/netip"
	"testing"
)

func TestParseServer(t *testing.T) {
	at := netip.MustParseAddrPort
	for in, want := range map[string]Server{
		"9.9.9.9":                                 {Addr: at("9.9.9.9:53")},
		"2620:fe::fe":                             {Addr: at("[2620:fe::fe]:53")},
		"fe80::1%eth1":                            {Addr: at("[fe80::1%eth1]:53")},
		"tls://9.9.9.9":                           {Proto: TLS, Addr: at("9.9.9.9:853")},
		"tls://[2620:fe::fe]":                     {Proto: TLS, Addr: at("[2620:fe::fe]:853")},
		"tls://dns.quad9.net@9.9.9.9":             {Proto: TLS, Addr: at("9.9.9.9:853"), Name: "dns.quad9.net"},
		"tls://dns.quad9.net@[2620:fe::fe]:8853":  {Proto: TLS, Addr: at("[2620:fe::fe]:8853"), Name: "dns.quad9.net"},
		"https://9.9.9.9":                         {Proto: HTTPS, Addr: at("9.9.9.9:443"), Path: "/dns-query"},
		"https://DNS.quad9.net@9.9.9.9/dns-query": {Proto: HTTPS, Addr: at("9.9.9.9:443"), Name: "dns.quad9.net", Path: "/dns-query"},
		"https://a.example@192.0.2.1:8443/x/y":    {Proto: HTTPS, Addr: at("192.0.2.1:8443"), Name: "a.example", Path: "/x/y"},
	} {
		got, err := ParseServer(in)
		if err != nil || got != want {
			t.Errorf("ParseServer(%q) = %+v, %v; want %+v", in, got, err, want)
		}
		again, err := ParseServer(got.String())
		if err != nil || again != got {
			t.Errorf("%q is written as %q, which reads as %+v, %v", in, got, again, err)
		}
	}
}

func TestParseServerRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"dns.example":                       errForm.Error(),
		"udp://9.9.9.9":                     errForm.Error(),
		"tls://":                            errForm.Error(),
		"tls://9.9.9.9/dns-query":           errForm.Error(),
		"tls://2620:fe::fe":                 errForm.Error(),
		"tls://[9.9.9.9]":                   errForm.Error(),
		"tls://9.9.9.9:0":                   `port "0": use 1 to 65535`,
		"tls://-a.example@9.9.9.9":          `"-a.example" is not the name of a server`,
		"tls://user:pass@9.9.9.9":           `"user:pass" is not the name of a server`,
		"https://dns.quad9.net/dns-query":   "state its address behind the name, as in https://dns.quad9.net@192.0.2.1: it cannot be looked up before a server is known",
		"https://9.9.9.9/dns-query?dns=AAA": `"/dns-query?dns=AAA" is not the path of a name server: most have /dns-query`,
	} {
		got, err := ParseServer(in)
		if err == nil || err.Error() != `name server "`+in+`": `+want {
			t.Errorf("ParseServer(%q) = %+v, %v; want %s", in, got, err, want)
		}
	}
}

// FuzzParseServer: what is taken can be asked, and is written so that it reads the same.
func FuzzParseServer(f *testing.F) {
	for _, s := range []string{"9.9.9.9", "::ffff:9.9.9.9", "tls://a.example@[2001:db8::1%x]:853", "https://a.example@192.0.2.1/%41", "https://192.0.2.1/a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ParseServer(in)
		if err != nil {
			return
		}
		again, err := ParseServer(s.String())
		if err != nil || again != s {
			t.Fatalf("%q is %+v, written as %q, which reads as %+v, %v", in, s, s, again, err)
		}
		if s.Encrypted() {
			c := NewClient(Options{})
			defer c.Close()
			if _, err := c.peer(way{server: s}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
