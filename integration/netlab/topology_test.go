package netlab

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/integration/netlab/internet"
)

func TestRouterConfig(t *testing.T) {
	lab := &Lab{dir: "/x", specs: Home()}
	var got struct {
		Platform string
		LAN      []struct{ Device string }
		Links    []struct {
			Name, Device, IPv4, IPv6, Role string
			Metered                        bool
			Rate                           struct{ Down, Up string }
			Probes                         struct {
				Interval string
				Targets  []string
			}
		}
		Leases []string
		Policy string
	}
	text := lab.RouterConfig("/y/policy.yaml")
	if err := yaml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if got.Platform != "static" || len(got.LAN) != 1 || got.LAN[0].Device != "lan0" || got.Policy != "/y/policy.yaml" ||
		!cmp.Equal(got.Leases, []string{"/x/lan.leases"}) {
		t.Errorf("%+v from\n%s", got, text)
	}
	var links []string
	for _, l := range got.Links {
		links = append(links, strings.Join([]string{l.Name, l.Device, l.IPv4, l.IPv6, l.Role, l.Rate.Down, l.Rate.Up}, " "))
		if len(l.Probes.Targets) != 4 || l.Metered != (l.Name == "lte") {
			t.Errorf("link %+v", l)
		}
	}
	want := []string{
		"fiber wan1 dhcp auto primary 100000kbit 20000kbit",
		"wifi wan2 dhcp auto secondary 30000kbit 10000kbit",
		"lte wan3 dhcp auto backup 20000kbit 8000kbit",
	}
	if d := cmp.Diff(want, links); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if text := lab.RouterConfig(""); strings.Contains(text, "policy") {
		t.Errorf("a policy that nobody gave:\n%s", text)
	}
}

// TestAddressPlan checks that no two networks of the lab overlap: a server would
// not know from which link a packet came.
func TestAddressPlan(t *testing.T) {
	type named struct {
		name   string
		prefix netip.Prefix
	}
	all := []named{{"LAN", lanPrefix4.Masked()}, {"LAN", lanPrefix6.Masked()}}
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
