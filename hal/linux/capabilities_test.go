package linux

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/hal/haltest"
)

// TestCapabilities compares the probes with what other programs find in this kernel, and with what is left behind: nothing.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		run(t, "nft add table inet bystander")
		run(t, "nft add chain inet bystander c { type nat hook postrouting priority srcnat; }")
		before := state(t)
		m := newMachine(t)
		caps, err := m.Capabilities(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if after := state(t); after != before {
			t.Errorf("the probe changed the machine from\n%s\nto\n%s", before, after)
		}
		present := make(map[string]bool)
		for _, c := range caps {
			if _, double := present[c.Name]; double || c.Name == "" || c.What == "" {
				t.Errorf("%+v: no name, no words or twice", c)
			}
			present[c.Name] = c.Present
			switch {
			case c.Present && (c.Instead != "" || c.Fix != "" || c.Detail != ""):
				t.Errorf("%s is present and yet %q, %q, %q", c.Name, c.Instead, c.Fix, c.Detail)
			case !c.Present && (c.Fix == "" || c.Detail == "" || !c.Required && c.Instead == "" && !strings.HasPrefix(c.Name, "no-")):
				t.Errorf("%s is absent, and nothing says what helps: %+v", c.Name, c)
			}
			if c.Required && !c.Present {
				t.Errorf("required here and absent: %+v", c)
			}
		}
		for name, command := range map[string]string{
			"fq_codel": "tc qdisc replace dev lo root fq_codel", "cake": "tc qdisc replace dev lo root cake",
			"netem": "tc qdisc replace dev lo root netem", "htb": "tc qdisc replace dev lo root htb",
			"tc-ingress": "tc qdisc add dev lo clsact", "ifb": "ip link add trenzatest type ifb",
			"wireguard": "ip link add trenzawg type wireguard", "tun": "ip tuntap add trenzatun mode tun",
			"nft-queue":     "nft add table inet t ; add chain inet t c ; add rule inet t c queue to 5",
			"nft-flowtable": "nft add table inet t ; add flowtable inet t f { hook ingress priority 0 ; devices = { lo } ; }",
			"nflog":         "nft add table inet t ; add chain inet t c ; add rule inet t c log group 5",
			"nft-numgen":    "nft add table inet t ; add chain inet t c ; add rule inet t c meta mark set numgen inc mod 2",
		} {
			got, known := present[name]
			if worked := try(t, command); !known || got != worked {
				t.Errorf("%s: the probe says %v (listed: %v), %q says %v", name, got, known, command, worked)
			}
		}
	})
}

func state(t *testing.T) string {
	return run(t, "nft list ruleset") + run(t, "ip link") + run(t, "ip rule") + run(t, "ip -6 rule") + run(t, "tc qdisc") + run(t, "ip route show table all")
}

func TestCapabilitiesInUserNamespace(t *testing.T) {
	t.Parallel()
	haltest.InUserNamespace(t, func(t *testing.T) {
		caps, err := newMachine(t).Capabilities(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range caps {
			if c.Required && !c.Present {
				t.Errorf("required, and not there for a user in a namespace: %+v", c)
			}
		}
	})
}

// Without the right to make a namespace, rulesets are checked where the process is, and the rest says that it was not tried.
func TestUntried(t *testing.T) {
	t.Parallel()
	haltest.InNamespace(t, func(t *testing.T) {
		m := newMachine(t)
		before := state(t)
		a := &attempt{ctx: t.Context(), nft: m.firewall, denied: os.ErrPermission}
		for _, p := range probes() {
			err := p.probe(a)
			switch {
			case p.Name == "nft-inet" && err != nil:
				t.Errorf("nft-inet: %v", err)
			case p.Name == "htb" && !errors.Is(err, errUntried):
				t.Errorf("htb: %v", err)
			}
		}
		if after := state(t); after != before {
			t.Errorf("changed:\n%s", after)
		}
	})
}

func TestConflicts(t *testing.T) {
	for rule, want := range map[string]string{
		"ip rule add priority 2001 fwmark 0x100/0x3f00 lookup 1":               "no-mwan3",
		"ip -6 rule add priority 2061 fwmark 0x3d00/0x3f00 blackhole":          "no-mwan3",
		"ip rule add priority 29999 fwmark 0x10000/0xff0000 lookup 256":        "no-pbr",
		"ip rule add priority 5210 fwmark 0x80000/0xff0000 lookup main":        "no-other-marks",
		"ip rule add priority 9001 fwmark 0x2000/0xe000 lookup 1001 proto 116": "", // ours
		"ip rule add priority 100 from 10.0.0.0/8 lookup 100":                  "",
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			haltest.InNamespace(t, func(t *testing.T) {
				run(t, rule)
				caps, err := newMachine(t).Capabilities(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range caps {
					if strings.HasPrefix(c.Name, "no-") && c.Present == (c.Name == want) {
						t.Errorf("beside %q: %+v", rule, c)
					}
				}
			})
		})
	}
}

// try tells whether a command works.
func try(t *testing.T, line string) bool {
	t.Helper()
	words := strings.Fields(line)
	return exec.CommandContext(t.Context(), words[0], words[1:]...).Run() == nil
}
