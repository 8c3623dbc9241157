//go:build vm

package smoke

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/hal/linux"
)

// TestGuest is the least that must be true: this is another kernel than the host's, the test runs as root in its package's folder and
// the kernel has what the host's may lack.
func TestGuest(t *testing.T) {
	if os.Getuid() != 0 || os.Getenv("TRENZA_VM") == "" {
		t.Fatalf("uid %d, TRENZA_VM=%q: want root in a guest", os.Getuid(), os.Getenv("TRENZA_VM"))
	}
	if release := output(t, "uname", "-r"); !strings.HasPrefix(release, "6.12.") {
		t.Errorf("kernel %s, want 6.12", release)
	}
	if _, err := os.Stat("guest_test.go"); err != nil {
		t.Errorf("the package's files: %v", err)
	}
	for _, module := range []string{"sch_netem", "sch_cake", "sch_fq_codel", "nft_queue", "nft_flow_offload", "act_ctinfo", "wireguard",
		"mac80211_hwsim", "dummy_hcd", "libcomposite", "usb_f_acm", "usb_f_ecm", "cdc_ether", "rndis_host", "cdc_mbim", "qmi_wwan", "option", "cdc_acm",
		"vrf", "pppoe", "8021q", "ifb", "cls_matchall", "act_mirred", "nfnetlink_queue"} {
		if out, err := exec.CommandContext(t.Context(), "modprobe", module).CombinedOutput(); err != nil {
			t.Errorf("modprobe %s: %v: %s", module, err, out)
		}
	}
}

// TestDoctor: the probe finds every feature on a kernel that has them all, and no other program in the way.
func TestDoctor(t *testing.T) {
	m, err := linux.New(linux.Options{})
	if err != nil {
		t.Fatal(err)
	}
	found, err := m.Capabilities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found {
		if !c.Present {
			t.Errorf("%s is missing here: %s", c.Name, c.Detail)
		}
	}
	for _, name := range []string{"nft-queue", "nft-flowtable", "cake", "fq_codel", "netem", "wireguard", "tun"} {
		if !slices.ContainsFunc(found, func(c hal.Capability) bool { return c.Name == name }) {
			t.Errorf("the probe does not know of %s", name)
		}
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}
