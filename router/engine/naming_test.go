package engine

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/resolver/upstream"
)

// What is stated nearest counts alone: encrypted servers are never mixed with those of a lease.
func TestNameServersOfALink(t *testing.T) {
	servers := func(list ...string) (out []upstream.Server) {
		for _, s := range list {
			server, err := upstream.ParseServer(s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, server)
		}
		return out
	}
	lease := hal.Lease{DNS: []netip.Addr{netip.MustParseAddr("192.168.8.1")}}
	own, all := servers("tls://dns.example@192.0.2.1"), servers("https://dns.example@192.0.2.2")
	for _, tt := range []struct {
		name  string
		own   []upstream.Server
		all   []upstream.Server
		lease hal.Lease
		want  []string
	}{
		{"of the link", own, all, lease, []string{"tls://dns.example@192.0.2.1"}},
		{"of all links", nil, all, lease, []string{"https://dns.example@192.0.2.2/dns-query"}},
		{"of the lease", nil, nil, lease, []string{"192.168.8.1"}},
		{"none known", nil, nil, hal.Lease{}, []string{"9.9.9.9", "1.1.1.1"}},
	} {
		w := &wan{config: config.Link{DNS: tt.own}, lease: tt.lease}
		var got []string
		for _, s := range w.nameServers(tt.all) {
			got = append(got, s.String())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}
