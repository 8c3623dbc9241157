package seal

import "testing"

func benchmark(b *testing.B, run func(b *testing.B, h *home, frame, buf []byte)) {
	for name, costs := range map[string]Costs{"ChaCha20Poly1305": {ChaCha: 1}, "AES256GCM": {AES: 1}} {
		b.Run(name, func(b *testing.B) {
			h := joined(b, costs)
			b.SetBytes(1400)
			b.ReportAllocs()
			run(b, h, make([]byte, 1400), make([]byte, 0, 1400+Overhead))
		})
	}
}

func BenchmarkSeal(b *testing.B) {
	benchmark(b, func(b *testing.B, h *home, frame, buf []byte) {
		for n := uint64(1); b.Loop(); n++ {
			if _, err := h.toRelay.Seal(buf, 0, n, frame, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSealAndOpen is both ends together.
func BenchmarkSealAndOpen(b *testing.B) {
	benchmark(b, func(b *testing.B, h *home, frame, buf []byte) {
		for n := uint64(1); b.Loop(); n++ {
			d, err := h.toRelay.Seal(buf, 0, n, frame, 0)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := h.relay.Receive(nil, d, from, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkHandshake is both ends together.
func BenchmarkHandshake(b *testing.B) {
	h := newHome(b, Costs{1, 1})
	for b.Loop() {
		h.relay.door.unproved.left = unprovedRate
		h.shake(b, 0)
	}
}

// BenchmarkStranger is what a first message costs whose sender does not know the relay.
func BenchmarkStranger(b *testing.B) {
	h := newHome(b, Costs{1, 1})
	hello := h.hello(b, 0)
	hello[20] ^= 1
	for b.Loop() {
		if r, _ := h.relay.Receive(nil, hello, from, 0); r.Reply != nil {
			b.Fatal("an answer")
		}
	}
}
