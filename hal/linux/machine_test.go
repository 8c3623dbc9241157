package linux

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/trenza-router/trenza/hal/haltest"
)

// run runs a command line of words that hold no spaces, in the test's namespace.
func run(t *testing.T, line string) string {
	t.Helper()
	words := strings.Fields(line)
	out, err := exec.CommandContext(t.Context(), words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// makeDevices makes the devices that haltest.Devices describes. Addresses are set without duplicate detection, so that
// they serve at once.
func makeDevices(t *testing.T) {
	t.Helper()
	for i, net := range [][2]string{{"192.0.2.1/24", "2001:db8:a::1/64"}, {"198.51.100.1/24", "2001:db8:b::1/64"}} {
		dev := haltest.Devices[i]
		run(t, "ip link add "+dev+" type veth peer name p"+dev)
		run(t, "ip link set p"+dev+" up")
		run(t, "ip link set "+dev+" up")
		run(t, "ip addr add "+net[0]+" dev "+dev)
		run(t, "ip addr add "+net[1]+" dev "+dev+" nodad")
	}
}

func newMachine(t *testing.T) *Machine {
	t.Helper()
	m, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestConformance(t *testing.T) {
	haltest.Conformance(t, func(t *testing.T, f func(*testing.T, haltest.Surface)) {
		t.Parallel()
		haltest.InNamespace(t, func(t *testing.T) {
			makeDevices(t)
			f(t, newMachine(t))
		})
	})
}
