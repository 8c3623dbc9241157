package netlab

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/integration/netlab/internet"
	"github.com/trenza-router/trenza/router/config"
)

func TestRouterConfig(t *testing.T) {
	lab := &Lab{dir: "/x", specs: Home()}
	text := lab.RouterConfig("/y/policy.yaml")
	got, err := config.Parse("lab.yaml", []byte(text))
	if err != nil {
		t.Fatalf("the daemon refuses it: %v\n%s", err, text)
	}
	if got.Platform != config.Static || len(got.LAN) != 1 || got.LAN[0].Device != "lan0" || got.LAN[0].Managed() || got.Policy != "/y/policy.yaml" ||
		!cmp.Equal(got.Leases, []string{"/x/lan.leases"}) || got.Web.Listen != RouterWeb {
		t.Errorf("%+v from\n%s", got, text)
	}
	var links []string
	for _, l := range got.Links {
		links = append(links, fmt.Sprint(l.Name, " ", l.Device, " ", l.IPv4.Mode, " ", l.IPv6.Mode, " ", l.Role, " ", l.Rate.Down, "/", l.Rate.Up))
		if len(l.Probes.Targets) != 4 || l.Metered != (l.Name == "lte") {
			t.Errorf("link %+v", l)
		}
	}
	want := []string{
		"fiber wan1 dhcp auto primary 100000000/20000000",
		"wifi wan2 dhcp auto secondary 30000000/10000000",
		"lte wan3 dhcp auto backup 20000000/8000000",
	}
	if d := cmp.Diff(want, links); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if text := lab.RouterConfig(""); strings.Contains(text, "policy") {
		t.Errorf("a policy that nobody gave:\n%s", text)
	}
	lab.kept = "/disk/state"
	if got, err := config.Parse("lab.yaml", []byte(lab.RouterConfig(""))); err != nil || got.State != "/disk/state" {
		t.Errorf("the state is kept in %q: %v", got.State, err)
	}
}

// TestAddressPlan checks that no two networks of the lab overlap: a server would
// not know from which link a packet came.
func TestAddressPlan(t *testing.T) {
	type named struct {
		name   string
		prefix netip.Prefix
	}
	all := []named{{"LAN", lanPrefix4.Masked()}, {"LAN", lanPrefix6.Masked()}, {"rented server", serverTransit4.Masked()}, {"rented server", serverTransit6.Masked()}}
	for _, p := range internet.Networks() {
		all = append(all, named{"servers", p})
	}
	for _, l := range Home() {
		if err := l.Params.Check(); err != nil {
			t.Errorf("%s: %v", l.Name, err)
		}
		for _, p := range []netip.Prefix{l.Gateway4.Masked(), l.Gateway6.Masked(), l.Transit4.Masked(), l.Transit6.Masked()} {
			all = append(all, named{l.Name, p})
		}
		if l.NAT4.IsValid() {
			all = append(all, named{l.Name + " NAT", netip.PrefixFrom(l.NAT4, 32)})
		}
	}
	for i, a := range all {
		for _, b := range all[:i] {
			if a.prefix.Overlaps(b.prefix) {
				t.Errorf("%s %v overlaps %s %v", a.name, a.prefix, b.name, b.prefix)
			}
		}
	}
}
