package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/integration/netlab/emulator"
)

// The reference links of docs/BOND.md: the table of PERFORMANCE.md speaks of them.
var (
	linkA = emulator.Settings{Rate: 50e6, Delay: 10 * time.Millisecond, Queue: 80 * time.Millisecond}
	linkB = emulator.Settings{Rate: 20e6, Delay: 40 * time.Millisecond, Queue: 120 * time.Millisecond}
)

const (
	bondRelay  = "198.51.100.1"
	bondServer = "203.0.113.1"
	bondDevice = "trenza-bond" // before it is there the server answers over the first link
	bondRounds = 5
	bondRun    = 8 * time.Second
	bondRamp   = 2 * time.Second // that is not counted
)

// bonded is a router and a relay, with a server behind it, joined by emulated links; both run the program under test.
type bonded struct {
	b           *testing.B
	router, far *machine
	links       []*emulator.Link
	ends        []int // processes at both ends
}

// newBonded joins the two by links of these settings; by a plain cable when there are none.
func newBonded(b *testing.B, settings ...emulator.Settings) *bonded {
	b.Helper()
	return newBondedAs(b, "", nil, settings...)
}

// newBondedAs has further lines in the relay's configuration, and links on which UDP is blocked.
func newBondedAs(b *testing.B, lines string, barred []int, settings ...emulator.Settings) *bonded {
	b.Helper()
	w := &bonded{b: b, router: newMachine(b), far: newMachine(b)}
	dir := folder(b)
	w.far.Run("ip address add " + bondRelay + "/32 dev lo")
	w.far.Run("ip address add " + bondServer + "/32 dev lo")
	var paths []string
	for i, s := range settings {
		w.link(i, s)
		paths = append(paths, fmt.Sprintf("{device: wan%d}", i))
	}
	if len(settings) == 0 {
		w.plain()
		paths = []string{"{device: wan0}"}
	}
	for _, i := range barred {
		w.router.nft(fmt.Sprintf("table inet hotel%d { chain in { type filter hook input priority 0; iifname wan%[1]d meta l4proto udp drop; }; }", i))
	}
	relay := w.file(dir, "relay.yaml", fmt.Sprintf("public: [%s:51900]\nstate: %s/relay\nlog_level: warn\n%s\n", bondRelay, dir, lines))
	w.ends = append(w.ends, w.start(w.far, filepath.Join(dir, "relay.log"), "relay", "--config", relay).Process.Pid)
	var code []byte
	w.until("the relay gives out a code", func() (err error) {
		if _, err = os.Stat(dir + "/relay/relay.sock"); err != nil {
			return err
		}
		code, err = w.far.Command(binary(), "relay", "invite", "--no-qr", "--config", relay).Output()
		return err
	})
	first, _, _ := strings.Cut(string(code), "\n")
	bond := w.file(dir, "bond.yaml", fmt.Sprintf("state: %s/bond\ncode: %s\npaths: [%s]\nlog_level: warn\n", dir, first, strings.Join(paths, ", ")))
	w.ends = append(w.ends, w.start(w.router, filepath.Join(dir, "bond.log"), "bond", "--config", bond).Process.Pid)
	w.until("the bond carries packets", func() error {
		return w.router.Command("ping", "-I", bondDevice, "-c", "1", "-W", "1", bondServer).Run()
	})
	time.Sleep(time.Second) // all paths are known
	return w
}

func (w *bonded) file(dir, name, text string) string {
	w.b.Helper()
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		w.b.Fatal(err)
	}
	return name
}

func (w *bonded) start(m *machine, log string, words ...string) *exec.Cmd {
	w.b.Helper()
	cmd := m.Command(append([]string{binary()}, words...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	f, err := os.Create(log)
	if err != nil {
		w.b.Fatal(err)
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		w.b.Fatal(err)
	}
	w.b.Cleanup(func() { stop(w.b, cmd, log) })
	return cmd
}

func (w *bonded) until(what string, f func() error) {
	w.b.Helper()
	var err error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	w.b.Fatalf("not within half a minute: %s: %v", what, err)
}

// link is the emulated link i.
func (w *bonded) link(i int, s emulator.Settings) {
	w.b.Helper()
	var near, far *emulator.TAP
	w.router.Do(func() (err error) { near, err = emulator.OpenTAP(fmt.Sprintf("wan%d", i)); return err })
	w.far.Do(func() (err error) { far, err = emulator.OpenTAP(fmt.Sprintf("isp%d", i)); return err })
	w.router.Run(fmt.Sprintf("ip address add 192.0.2.%d/28 dev wan%d", 16*i+1, i))
	w.router.Run(fmt.Sprintf("ip link set wan%d up", i))
	w.router.Run(fmt.Sprintf("ip route add default via 192.0.2.%d dev wan%d metric %d", 16*i+2, i, 100+i))
	w.far.Run(fmt.Sprintf("ip address add 192.0.2.%d/28 dev isp%d", 16*i+2, i))
	w.far.Run(fmt.Sprintf("ip link set isp%d up", i))
	l, err := emulator.New(near, far, emulator.Params{Up: s, Down: s}, uint64(i+1))
	if err != nil {
		w.b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	w.b.Cleanup(func() {
		cancel()
		<-done // a device that went with its namespace is no news
		_ = l.Close()
	})
	w.links = append(w.links, l)
}

// plain joins the two by a cable that carries what the processors do.
func (w *bonded) plain() {
	w.b.Helper()
	w.router.cable("wan0", w.far, "isp0")
	w.router.Run("ip address add 192.0.2.1/28 dev wan0")
	w.far.Run("ip address add 192.0.2.2/28 dev isp0")
	w.router.Run("ip route add default via 192.0.2.2 dev wan0 metric 100")
}

// connect makes a TCP connection from the router to the server whose two ends use a congestion control; over a device alone, or over whatever leads
// there when that is "".
func (w *bonded) connect(control, device string) (near, far net.Conn) {
	w.b.Helper()
	set := func(_, _ string, c syscall.RawConn) (err error) {
		if ctl := c.Control(func(fd uintptr) { err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, control) }); ctl != nil {
			return ctl
		}
		return err
	}
	tied := func(network, addr string, c syscall.RawConn) (err error) {
		if ctl := c.Control(func(fd uintptr) { err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, device) }); ctl != nil || err != nil {
			return errors.Join(ctl, err)
		}
		return set(network, addr, c)
	}
	var l net.Listener
	w.far.Do(func() (err error) {
		l, err = (&net.ListenConfig{Control: set}).Listen(w.b.Context(), "tcp4", bondServer+":0")
		return err
	})
	defer l.Close()
	w.router.Do(func() (err error) {
		near, err = (&net.Dialer{Control: tied, Timeout: 20 * time.Second}).DialContext(w.b.Context(), "tcp4", l.Addr().String())
		return err
	})
	far, err := l.Accept()
	if err != nil {
		w.b.Fatal(err)
	}
	return near, far
}

// bulkLoad is flows that send as much as they can.
type bulkLoad struct {
	got   atomic.Int64
	conns []net.Conn

	mu          sync.Mutex // around what reading notes when one flow is watched
	last, stall time.Duration
}

// bulk starts flows; device as for connect.
func (w *bonded) bulk(control, device string, flows int, up bool) *bulkLoad {
	w.b.Helper()
	load, begin := &bulkLoad{}, time.Now()
	for range flows {
		near, far := w.connect(control, device)
		load.conns = append(load.conns, near, far)
		from, to := far, near
		if up {
			from, to = near, far
		}
		go func() {
			for buf := make([]byte, 1<<17); ; {
				if _, err := from.Write(buf); err != nil {
					return
				}
			}
		}()
		go func() {
			for buf := make([]byte, 1<<17); ; {
				n, err := to.Read(buf)
				if err != nil {
					return
				}
				load.got.Add(int64(n))
				load.mu.Lock()
				now := time.Since(begin)
				load.stall = max(load.stall, now-load.last)
				load.last = now
				load.mu.Unlock()
			}
		}()
	}
	return load
}

// stalled is the longest time without a byte since the last call.
func (l *bulkLoad) stalled() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stall
	l.stall = 0
	return s
}

func (l *bulkLoad) end() {
	for _, c := range l.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	time.Sleep(500 * time.Millisecond) // the queues empty themselves
}

// goodput runs flows for a while and returns what their receivers got in bits a second after the ramp.
func (w *bonded) goodput(control, device string, flows int, up bool) (rate float64) {
	w.b.Helper()
	begin := time.Now()
	load := w.bulk(control, device, flows, up)
	time.Sleep(time.Until(begin.Add(bondRamp)))
	before, from := load.got.Load(), time.Now()
	time.Sleep(time.Until(begin.Add(bondRun)))
	rate = float64(load.got.Load()-before) * 8 / time.Since(from).Seconds()
	load.end()
	return rate
}

func (w *bonded) sum() (sum float64) {
	for _, l := range w.links {
		sum += float64(l.Params().Down.Rate)
	}
	return sum
}

// vary changes a link between 4 and 30 Mbit/s every 1.5 s, the same each time, and returns its mean rate.
func (w *bonded) vary(l *emulator.Link) (mean float64) {
	rates := []int64{20e6, 4e6, 30e6, 12e6, 26e6, 7e6}
	for _, r := range rates {
		mean += float64(r) / float64(len(rates))
	}
	tick := time.NewTicker(1500 * time.Millisecond)
	w.b.Cleanup(tick.Stop)
	ctx := w.b.Context()
	go func() {
		for i := 0; ; i++ {
			p := l.Params()
			p.Up.Rate, p.Down.Rate = rates[i%len(rates)], rates[i%len(rates)]
			_ = l.Set(p) // the rates are possible ones
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return mean
}

func change(s emulator.Settings, f func(*emulator.Settings)) emulator.Settings { f(&s); return s }

// BenchmarkBond: what TCP gets of the sum of two links through router and relay, encrypted, in the median of five runs.
func BenchmarkBond(b *testing.B) {
	loss := func(x float64) func(*emulator.Settings) { return func(s *emulator.Settings) { s.Loss = x } }
	jitter := func(d time.Duration) func(*emulator.Settings) { return func(s *emulator.Settings) { s.Jitter = d } }
	for _, shape := range []struct {
		name    string
		links   []emulator.Settings
		control string
		flows   int
		both    bool // up, too
		vary    bool
	}{
		{"cubic", []emulator.Settings{linkA, linkB}, "cubic", 1, true, false},
		{"bbr", []emulator.Settings{linkA, linkB}, "bbr", 1, false, false},
		{"four", []emulator.Settings{linkA, linkB}, "cubic", 4, false, false},
		{"varying", []emulator.Settings{linkA, linkB}, "cubic", 1, false, true},
		{"loss-B", []emulator.Settings{linkA, change(linkB, loss(.02))}, "cubic", 1, false, false},
		{"loss-both", []emulator.Settings{change(linkA, loss(.01)), change(linkB, loss(.01))}, "cubic", 1, false, false},
		{"jitter", []emulator.Settings{change(linkA, jitter(10*time.Millisecond)), change(linkB, jitter(20*time.Millisecond))}, "cubic", 1, false, false},
		{"alone", []emulator.Settings{linkA}, "cubic", 1, false, false},
	} {
		b.Run(shape.name, func(b *testing.B) {
			w := newBonded(b, shape.links...)
			sum := w.sum()
			if shape.vary {
				sum = float64(shape.links[0].Rate) + w.vary(w.links[1])
			}
			for b.Loop() {
				var down, up []float64
				for range bondRounds {
					down = append(down, w.goodput(shape.control, "", shape.flows, false)/sum)
					if shape.both {
						up = append(up, w.goodput(shape.control, "", shape.flows, true)/sum)
					}
				}
				b.ReportMetric(summarize(down).median, "share-down")
				if shape.both {
					b.ReportMetric(summarize(up).median, "share-up")
				}
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
