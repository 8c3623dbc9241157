package haltest

import (
	stdcmp "cmp"
	"net"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInNamespace(t *testing.T) {
	outside, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TRENZA_TEST_OUTSIDE", stdcmp.Or(os.Getenv("TRENZA_TEST_OUTSIDE"), outside))
	t.Run("a subtest (with marks)", func(t *testing.T) {
		InNamespace(t, func(t *testing.T) {
			// On a goroutine of its own, as the code under test may be.
			names := make(chan []string)
			go func() {
				var l []string
				all, _ := net.Interfaces()
				for _, i := range all {
					l = append(l, i.Name+" "+i.Flags.String())
				}
				names <- l
			}()
			if diff := cmp.Diff([]string{"lo up|loopback|running"}, <-names); diff != "" {
				t.Error("interfaces in the namespace:", diff)
			}
			if inside, _ := os.Readlink("/proc/self/ns/net"); inside == os.Getenv("TRENZA_TEST_OUTSIDE") {
				t.Error("the child runs in the parent's namespace", inside)
			}
		})
	})
}
