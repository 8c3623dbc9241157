package relay_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/hal/haltest"
)

// TestFit: one link carries less than the other. Both ends find out how much; what is longer is refused to its sender, or cut where that is
// allowed, in both directions and families.
func TestFit(t *testing.T) {
	haltest.InNamespace(t, func(t *testing.T) {
		const mtu = 1400
		w := newWorld(t, reference()...)
		w.home.Run(fmt.Sprintf("ip link set wan1 mtu %d", mtu))
		w.ip(fmt.Sprintf("link set isp1 mtu %d", mtu))
		w.join(w.invite("home"))
		w.home.Run("ip -6 route add fd74:7265:6e7a::1 dev trenza-bond")
		const most = mtu - 20 - 8 - 24 - 14
		size := 0
		w.until("the tunnel fits the narrower link", func() error {
			s, err := w.status()
			if err == nil && (s.MTU > most || s.MTU < most-8) {
				err = fmt.Errorf("the tunnel's MTU is %d, want %d: %+v", s.MTU, most, s.Paths)
			}
			size = s.MTU
			return err
		})
		w.until("the relay's route fits it", func() error {
			out, err := exec.Command("ip", "route", "get", "10.91.0.2").CombinedOutput()
			if err == nil && !strings.Contains(string(out), fmt.Sprintf(" mtu %d", size)) {
				err = fmt.Errorf("the route is %s; want mtu %d", out, size)
			}
			return err
		})
		type way struct {
			name, to string
			headers  int
			ping     func(args ...string) *exec.Cmd
		}
		near := func(args ...string) *exec.Cmd { return w.home.Command(append([]string{"ping"}, args...)...) }
		far := func(args ...string) *exec.Cmd { return exec.Command("ping", args...) }
		for _, x := range []way{
			{"up, IPv4", "10.91.0.1", 28, near}, {"up, IPv6", "fd74:7265:6e7a::1", 48, near},
			{"down, IPv4", "10.91.0.2", 28, far}, {"down, IPv6", "fd74:7265:6e7a::2", 48, far},
		} {
			ping := func(bytes int, rule string) error {
				out, err := x.ping("-c", "1", "-W", "1", "-M", rule, "-s", fmt.Sprint(bytes-x.headers), x.to).CombinedOutput()
				if err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
				return nil
			}
			w.until(x.name+": the longest packet passes", func() error { return ping(size, "do") })
			if err := ping(size+1, "do"); err == nil || !strings.Contains(strings.ToLower(err.Error()), "too long") && !strings.Contains(err.Error(), "mtu") {
				t.Errorf("%s: a longer one: %v; want it refused with the MTU", x.name, err)
			}
			w.until(x.name+": what may be cut passes", func() error { return ping(3000, "dont") })
		}
	})
}
