//go:build vm

package devices

import (
	"context"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/integration/vm/fixture"
	"github.com/trenza-router/trenza/integration/vm/fixture/pppoe"
	"github.com/trenza-router/trenza/integration/vm/fixture/provider"
)

// TestPPPoE: a session comes up with the right password, and carries exactly what PPPoE leaves of Ethernet.
func TestPPPoE(t *testing.T) {
	here := fixture.Here(t)
	gateway := netip.MustParseAddr("10.73.0.1")
	pppoe.New(t, pppoe.Options{Name: "dsl", Device: "dsl0", User: "house", Password: "secret", Gateway: gateway, First: netip.MustParseAddr("10.73.0.100")})
	dial := func(password string) *fixture.Process {
		return fixture.Start(t, exec.CommandContext(context.Background(), "pppd", "plugin", "pppoe.so", "nic-dsl0", "user", "house", "password", password,
			"nodetach", "noauth", "noipdefault", "nodefaultroute", "noipv6", "ifname", "dsl-ppp"))
	}
	wrong := dial("guess")
	wrong.Await(t, "authentication failed")
	wrong.Stop()

	t.Logf("session after %v", dial("secret").Await(t, "remote IP address 10.73.0.1"))
	const headers = 20 + 8 // IPv4 and ICMP
	size := func(n int) []string { return []string{"-M", "do", "-s", strconv.Itoa(n - headers)} }
	t.Logf("round trip %v", provider.Ping(t, here, "dsl-ppp", gateway.String(), 3, size(pppoe.MTU)...))
	out, err := here.Command(t.Context(), "ping", append(size(pppoe.MTU+1), "-c", "1", "-W", "2", "-I", "dsl-ppp", gateway.String())...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "mtu="+strconv.Itoa(pppoe.MTU)) {
		t.Errorf("a packet larger than the session: %v: %s", err, out)
	}
	fixture.IP(t, here, "route replace default dev dsl-ppp metric 100")
	if page, err := provider.Fetch(t.Context(), here); err != nil || page != "dsl" {
		t.Errorf("the page is %q, %v", page, err)
	}
}
