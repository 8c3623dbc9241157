package bench

import (
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/emulator"
)

// BenchmarkBondWeb: what one CUBIC flow gets over a bond of which a link lets no UDP pass, so that its datagrams go over TLS on TCP 443, in the
// median of five runs: on a link that loses against the same flow over the bare link, in turns, and on two links as a share of their sum.
func BenchmarkBondWeb(b *testing.B) {
	b.Run("lossy", func(b *testing.B) {
		w := newBondedAs(b, "https: {}", []int{0}, emulator.Settings{Rate: 50e6, Delay: 20 * time.Millisecond, Queue: 80 * time.Millisecond, Loss: .005})
		for b.Loop() {
			var bare, bonded []float64
			for range bondRounds {
				bare = append(bare, w.goodput("cubic", "wan0", 1, false))
				bonded = append(bonded, w.goodput("cubic", "", 1, false))
			}
			b.ReportMetric(summarize(bare).median/1e6, "bare-Mbit/s")
			b.ReportMetric(summarize(bonded).median/1e6, "bond-Mbit/s")
			b.ReportMetric(summarize(bonded).median/summarize(bare).median, "ratio")
		}
		b.ReportMetric(0, "ns/op")
	})
	b.Run("mixed", func(b *testing.B) {
		w := newBondedAs(b, "https: {}", []int{1}, linkA, linkB)
		for b.Loop() {
			var down []float64
			for range bondRounds {
				down = append(down, w.goodput("cubic", "", 1, false)/w.sum())
			}
			b.ReportMetric(summarize(down).median, "share-down")
		}
		b.ReportMetric(0, "ns/op")
	})
}
