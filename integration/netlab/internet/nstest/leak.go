package nstest

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// NoLeak fails the test when, at its end, goroutines of the project or of its servers and clients still run that were not
// there at its start. Call it first, so that its check runs after all other clean-up.
func NoLeak(t *testing.T) {
	t.Helper()
	before := len(goroutines())
	t.Cleanup(func() {
		var left []string
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if left = goroutines(); len(left) <= before {
				return
			}
		}
		t.Errorf("%d goroutines, %d at the start:\n%s", len(left), before, strings.Join(left, "\n\n"))
	})
}

// goroutines returns the stacks of all goroutines that are not the test framework's.
func goroutines() []string {
	buf := make([]byte, 4<<20)
	var out []string
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "trenza-router/trenza") && !strings.Contains(g, "testing.tRunner") ||
			strings.Contains(g, "quic-go") || strings.Contains(g, "miekg/dns") || strings.Contains(g, "net/http.") {
			if !strings.Contains(g, "nstest.goroutines") && !strings.Contains(g, "testing.(*M).") {
				out = append(out, g)
			}
		}
	}
	return out
}
