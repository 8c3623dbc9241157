package bench

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	wg "golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

// wireguardVar makes this binary an end of a WireGuard tunnel in user space, in the namespace that it was started in.
const wireguardVar = "TRENZA_BENCH_WIREGUARD"

const wireguardPort = 51820

// wireguard runs an end whose configuration (https://www.wireguard.com/xplatform) is the first of in, until in ends.
func wireguard(in io.Reader) error {
	t, err := tun.CreateTUN("wg0", wg.DefaultMTU)
	if err != nil {
		return err
	}
	d := wg.NewDevice(t, conn.NewDefaultBind(), wg.NewLogger(wg.LogLevelError, ""))
	defer d.Close()
	config := make([]byte, 4096)
	n, err := in.Read(config)
	if err != nil {
		return err
	}
	if err := d.IpcSet(string(config[:n])); err != nil {
		return err
	}
	if err := d.Up(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// newWireGuard is a bond's place taken by WireGuard in user space, over a plain cable.
func newWireGuard(b *testing.B) *bonded {
	b.Helper()
	w := &bonded{b: b, router: newMachine(b), far: newMachine(b)}
	w.far.Run("ip address add " + bondServer + "/32 dev lo")
	w.plain()
	var keys [2]*ecdh.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
			b.Fatal(err)
		}
	}
	for i, m := range []*machine{w.far, w.router} {
		text := fmt.Sprintf("private_key=%x\nlisten_port=%d\npublic_key=%x\nallowed_ip=0.0.0.0/0\n", keys[i].Bytes(), wireguardPort, keys[1-i].PublicKey().Bytes())
		if m == w.router {
			text += fmt.Sprintf("endpoint=192.0.2.2:%d\n", wireguardPort)
		}
		self, err := os.Executable()
		if err != nil {
			b.Fatal(err)
		}
		c := m.Command(self)
		c.Env = append(os.Environ(), wireguardVar+"=1")
		c.Stderr = os.Stderr
		in, err := c.StdinPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			in.Close()
			_ = c.Wait()
		})
		if _, err := io.WriteString(in, text+"\n"); err != nil {
			b.Fatal(err)
		}
		w.ends = append(w.ends, c.Process.Pid)
		w.until("WireGuard has its device", func() error {
			return m.Command("ip", "address", "replace", fmt.Sprintf("10.99.0.%d/24", i+1), "dev", "wg0").Run()
		})
		m.Run("ip link set wg0 up")
	}
	w.router.Run("ip route add " + bondServer + "/32 dev wg0")
	w.until("WireGuard carries packets", func() error {
		return w.router.Command("ping", "-c", "1", "-W", "1", bondServer).Run()
	})
	return w
}

// perCore is what a TCP flow carries through the tunnel, in Gbit for each second of processor time of both ends together, and by the clock.
func (w *bonded) perCore() (core, clock float64) {
	w.b.Helper()
	used := func() (sum time.Duration) {
		for _, pid := range w.ends {
			sum += cpuOf(w.b, pid)
		}
		return sum
	}
	begin := time.Now()
	load := w.bulk("cubic", "", 1, false)
	time.Sleep(time.Until(begin.Add(bondRamp)))
	bytes, cpu, from := load.got.Load(), used(), time.Now()
	time.Sleep(time.Until(begin.Add(bondRun)))
	gbit := float64(load.got.Load()-bytes) * 8 / 1e9
	core, clock = gbit/(used()-cpu).Seconds(), gbit/time.Since(from).Seconds()
	load.end()
	return core, clock
}

// BenchmarkBondCore: what a second of a processor carries through a bond of one unlimited path, against WireGuard in user space in turns.
func BenchmarkBondCore(b *testing.B) {
	ours, theirs := newBonded(b), newWireGuard(b)
	for b.Loop() {
		var clockOurs, clockTheirs []float64
		a, c, ratios := duel(bondRounds, func() float64 {
			core, clock := ours.perCore()
			clockOurs = append(clockOurs, clock)
			return core
		}, func() float64 {
			core, clock := theirs.perCore()
			clockTheirs = append(clockTheirs, clock)
			return core
		})
		summarize(ratios).report(b, "ratio")
		b.ReportMetric(summarize(a).median, "Gbit/core-s")
		b.ReportMetric(summarize(c).median, "Gbit/core-s-wireguard")
		b.ReportMetric(summarize(clockOurs).median, "Gbit/s")
		b.ReportMetric(summarize(clockTheirs).median, "Gbit/s-wireguard")
	}
	b.ReportMetric(0, "ns/op")
}
