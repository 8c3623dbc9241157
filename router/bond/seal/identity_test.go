package seal

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIdentity(t *testing.T) {
	id := identity(t, rand.NewChaCha8([32]byte{5}))
	again, err := IdentityOf(id.Private())
	if err != nil || again != id {
		t.Errorf("restored as %v: %v", again, err)
	}
	key, err := ParseKey(id.Public().String())
	if err != nil || key != id.Public() {
		t.Errorf("parsed as %v: %v", key, err)
	}
	for _, bad := range []string{"", "AAAA", id.String()[:43], id.String() + "A", strings.Repeat("!", 44)} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("%q is a key", bad)
		}
	}
}

// TestNothingSecretInLogs: whatever verb prints an identity or a secret, the private half stays out.
func TestNothingSecretInLogs(t *testing.T) {
	id, secret := identity(t, rand.NewChaCha8([32]byte{5})), Secret{1, 2, 3}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		got := []string{fmt.Sprintf(verb, id), fmt.Sprintf(verb, secret)}
		if d := cmp.Diff([]string{id.Public().String(), "secret"}, got); d != "" {
			t.Errorf("%s:\n%s", verb, d)
		}
	}
}

// TestMeasure: the cost is the least of several rounds, and stays within its range however slow the clock says the machine is.
func TestMeasure(t *testing.T) {
	for _, c := range []struct {
		step time.Duration
		want Costs
	}{{0, Costs{1, 1}}, {512 * time.Microsecond, Costs{1000, 1000}}, {time.Hour, Costs{65535, 65535}}} {
		var at time.Duration
		got := Measure(func() time.Duration { at += c.step; return at })
		if got != c.want {
			t.Errorf("step %v: %+v, want %+v", c.step, got, c.want)
		}
	}
}
