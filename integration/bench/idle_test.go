package bench

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/home"
)

const (
	mebibyte = 1 << 20
	settling = 20 * time.Second // the start's garbage is returned, hosts and leases are known
	resting  = 60 * time.Second
)

// BenchmarkIdle: what the daemon needs while nobody uses the house of the lab: three links probed each second, five
// devices, the family's policy.
func BenchmarkIdle(b *testing.B) {
	rules := filepath.Join(b.TempDir(), "policy.yaml")
	if err := os.WriteFile(rules, []byte(home.Policy()), 0o600); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	h, err := home.Start(ctx, home.Options{Binary: binary(), Policy: rules, Config: "log_level: warn\n"})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := h.Close(); err != nil {
			b.Error(err)
		}
	}()
	pid := h.Router().PID()
	time.Sleep(settling)
	for b.Loop() {
		var rss, pss, anonymous []float64
		before, began := cpuOf(b, pid), time.Now()
		for time.Since(began) < resting {
			time.Sleep(time.Second)
			r, p, a := memoryOf(b, pid)
			rss, pss, anonymous = append(rss, r/mebibyte), append(pss, p/mebibyte), append(anonymous, a/mebibyte)
		}
		spent := (cpuOf(b, pid) - before).Seconds() / time.Since(began).Seconds()
		summarize(rss).report(b, "MiB-RSS")
		b.ReportMetric(summarize(pss).median, "MiB-PSS")
		b.ReportMetric(summarize(anonymous).median, "MiB-anonymous")
		b.ReportMetric(spent*100, "%-of-a-core")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkStart: from the program's start to its first plan in the kernel, with the family's policy.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		const rounds = 5
		var took []float64
		for range rounds {
			p := newPath(b).trenza(family(b))
			took = append(took, milliseconds(p.daemon.planned.Sub(p.daemon.begun))...)
		}
		summarize(took).report(b, "ms")
	}
	b.ReportMetric(0, "ns/op")
}
