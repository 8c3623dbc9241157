package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trenza-router/trenza/router/bond/seal"
	"github.com/trenza-router/trenza/router/bond/tunnel"
	"github.com/trenza-router/trenza/router/flow"
)

const twoLines = `
lan: [{device: lan0}]
links:
  - {name: fiber, device: wan1}
  - {name: lte, device: wan2, metered: true}
  - {name: spare, device: wan3, role: never}
`

func TestRelay(t *testing.T) {
	i, err := tunnel.NewInvite(seal.Key{1, 2, 3}, []netip.AddrPort{netip.MustParseAddrPort("198.51.100.1:51900")}, strings.NewReader(strings.Repeat("seed", 4)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse("trenza.yaml", []byte(twoLines+`  - {name: bond, role: backup, relay: {code: `+i.Code()+`}}
  - {name: thin, device: thin0, relay: {over: [lte, spare]}}
`))
	if err != nil {
		t.Fatal(err)
	}
	names := func(l Link) (out []string) {
		for _, s := range c.Strands(l) {
			out = append(out, s.Name)
		}
		return out
	}
	bond, thin := c.Links[3], c.Links[4]
	if bond.Device != "trenza4" || thin.Device != "thin0" || !bond.ByRelay() || c.Links[0].ByRelay() {
		t.Errorf("devices %q and %q", bond.Device, thin.Device)
	}
	if d := cmp.Diff([][]string{{"fiber", "lte"}, {"lte", "spare"}}, [][]string{names(bond), names(thin)}); d != "" {
		t.Error(d)
	}
	if shown := fmt.Sprintf("%+v %#v", bond.Relay, *bond.Relay); strings.Contains(shown, i.Code()) {
		t.Errorf("the code is shown: %s", shown)
	}
}

func TestRelayRefused(t *testing.T) {
	for text, says := range map[string]string{
		`{name: bond, relay: {code: nonsense}}`:                                                     "the code is cut off",
		`{name: bond, relay: {over: [dsl]}}`:                                                        `over "dsl"`,
		`{name: bond, relay: {over: [bond]}}`:                                                       `over "bond"`,
		`{name: bond, relay: {}, hardware: {kind: wifi}}`:                                           "relay and hardware",
		`{name: bond, relay: {}, ipv4: dhcp}`:                                                       "addresses come from the relay",
		`{name: bond, relay: {}, rate: {down: 1mbit, up: 1mbit}, shape: {mode: fixed}}`:             "measures its paths",
		`{name: bond, relay: {key: x}}`:                                                             "key",
		`{name: bond, device: wan1, relay: {}}`:                                                     "already used",
		`{name: a, relay: {}}` + "\n  - " + `{name: b, relay: {over: [a]}}`:                         `over "a"`,
		`{name: bond, relay: {over: [fiber]}, shape: {mode: auto}, rate: {down: 1mbit, up: 1mbit}}`: "measures its paths",
	} {
		if _, err := Parse("trenza.yaml", []byte(twoLines+"  - "+text+"\n")); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want it to say %q", text, err, says)
		}
	}
}

// TestAdded: links that were added are kept beside the file, and one that does not fit is told.
func TestAdded(t *testing.T) {
	c, err := Parse("trenza.yaml", []byte(twoLines))
	if err != nil {
		t.Fatal(err)
	}
	c.State = t.TempDir()
	if none, err := c.Added(); err != nil || len(none) > 0 {
		t.Fatalf("before anything was added: %v, %v", none, err)
	}
	want := []AddedLink{{Name: "bond", ID: c.FreeLinkID(), Role: flow.Backup}, {Name: "thin", ID: 4, Over: []string{"lte"}}}
	if err := c.SaveAdded(want); err != nil {
		t.Fatal(err)
	}
	got, err := c.Added()
	if err != nil || cmp.Diff(want, got) != "" {
		t.Fatalf("%v: %s", err, cmp.Diff(want, got))
	}
	all, err := c.WithAdded(got)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Links) != 3 || len(all.Links) != 5 || all.Links[3].Device != "trenza7" || all.Links[3].Role != flow.Backup || all.Links[4].Weight != 1 {
		t.Errorf("%+v", all.Links[3:])
	}
	for _, a := range []AddedLink{{Name: "fiber", ID: 7}, {Name: "x", ID: 1}, {Name: "x", ID: 6, Over: []string{"gone"}}} {
		if _, err := c.WithAdded([]AddedLink{a}); err == nil {
			t.Errorf("%+v was taken", a)
		}
	}
}
