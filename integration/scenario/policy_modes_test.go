package scenario

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/client"
	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
	"github.com/trenza-router/trenza/webui/api"
)

// The far ends that the modes are tried on, IPv4 and IPv6.
var (
	ownBlocked   = [2]string{"203.0.113.201", "2001:db8:100:bb::1"} // by the person's rule
	houseAllowed = [2]string{"203.0.113.202", "2001:db8:100:bb::2"}
	houseBlocked = [2]string{"203.0.113.203", "2001:db8:100:bb::3"}
	unmentioned  = [2]string{"203.0.113.204", "2001:db8:100:bb::4"}
)

// experimental is a protocol without ports and without a name (RFC 3692, section 2.1): what else a host may send.
const experimental = 253

// fragmented is a packet's size that no link of the lab carries in one piece, in bytes.
const fragmented = 3000

func modePolicy(mode string) string {
	list := func(a [2]string) string { return fmt.Sprintf("[%q, %q]", a[0], a[1]) }
	return people + fmt.Sprintf(`
house:
  - {id: usual, force: default, steer: {use: [fiber, wifi]}}
  - {id: mode, force: must, who: {devices: [laptop]}, filter: {mode: %s}}
  - {id: good, force: must, what: {addresses: %s}, filter: {allow: true}}
  - {id: bad, force: must, what: {addresses: %s}, filter: {block: true}}
personal:
  ana:
    - {id: not-for-me, what: {addresses: %s}, filter: {block: true}}
`, mode, list(houseAllowed), list(houseBlocked), list(ownBlocked))
}

// TestPolicyModes: each filter mode lets pass and refuses what it says, for TCP, UDP, ICMP and any other protocol, whole and in
// fragments, over IPv4 and IPv6, and so does "why".
func TestPolicyModes(t *testing.T) {
	h := newHouse(t, people, lossless)
	pings, raw := h.watchPings(t), h.watchRaw(t)
	for _, c := range []struct {
		mode string
		pass [][2]string
		stop [][2]string
	}{
		{"allow-all", [][2]string{ownBlocked, houseAllowed, unmentioned}, [][2]string{houseBlocked}},
		{"filter", [][2]string{houseAllowed, unmentioned}, [][2]string{ownBlocked, houseBlocked}},
		{"deny-all", [][2]string{houseAllowed}, [][2]string{ownBlocked, unmentioned, houseBlocked}},
	} {
		t.Run(c.mode, func(t *testing.T) {
			h.setPolicy(t, modePolicy(c.mode))
			for n, list := range [][][2]string{c.pass, c.stop} {
				for _, pair := range list {
					for _, to := range pair {
						h.allKinds(t, pings, raw, to, n == 1)
					}
				}
			}
		})
	}
	// The log has each refusal with whose it was and by which rule of whom.
	for _, c := range []struct {
		rule, tier string
		to         [2]string
	}{{"bad", "main", houseBlocked}, {"not-for-me", "user", ownBlocked}} {
		for _, to := range c.to {
			h.eventually(fmt.Sprintf("refusals of flows to %s by rule %s in the log", to, c.rule), func() bool {
				return slices.ContainsFunc(h.log(t, c.rule), func(b api.Blocked) bool {
					return b.To == net.JoinHostPort(to, "7") && b.Proto == "tcp" && b.Device == "laptop" && b.Tier == c.tier && b.How == api.BlockedHowFlow
				})
			})
		}
	}
	// A device that the mode does not name is not under it.
	h.setPolicy(t, modePolicy("deny-all"))
	h.goes(t, "tv", unmentioned[0], []string{"fiber"}, "under a mode for another device")
}

// allKinds tries a flow of each protocol from the laptop to an address.
func (h *house) allKinds(t *testing.T, pings *pingWitness, raw *rawWitness, to string, refused bool) {
	t.Helper()
	const host = "laptop"
	for _, e := range []errand{{kind: "tcp", to: to, port: 7}, {kind: "udp", to: to, port: 7}, {kind: "ping", to: to}} {
		e.tag = fmt.Sprintf("%s-%s-%d", e.kind, to, time.Now().UnixNano())
		answer := h.why(t, e.question(host))
		if answer.Blocked != refused {
			t.Errorf("%v: why says blocked = %v: %s", e, answer.Blocked, answer.Sentence)
		}
		r := h.try(t.Context(), pings, host, e, refused)
		// The kernel answers only a few refusals a second (icmp_ratelimit): one that came silently is tried again.
		for n := 0; refused && e.kind != "tcp" && r.cause == client.Timeout && n < 5; n++ {
			r = h.try(t.Context(), pings, host, e, refused)
		}
		if refused && (len(r.seen) > 0 || h.reached(t, e.tag) || !slices.Contains(refusal(e.kind, false), r.cause)) {
			t.Errorf("%v: seen %v, ended with %q (%v), want it refused", e, r.seen, r.cause, r.err)
		}
		if !refused && (len(r.seen) != 1 || h.linkOf(r.seen[0]) != "fiber") {
			t.Errorf("%v: seen %v (%v), want it to pass over fiber", e, r.seen, r.err)
		}
	}
	answer := h.why(t, question{device: host, to: to, proto: fmt.Sprint(experimental)})
	if answer.Blocked != refused {
		t.Errorf("protocol %d to %s: why says blocked = %v: %s", experimental, to, answer.Blocked, answer.Sentence)
	}
	for _, size := range []int{100, fragmented} {
		if got := raw.send(t, h.Lab.Host(host), to, size, refused); got.IsValid() == refused || got.IsValid() && h.linkOf(got) != "fiber" {
			t.Errorf("%d bytes of protocol %d to %s: seen from %v, want it refused = %v", size, experimental, to, got, refused)
		}
	}
}

// TestPolicyPathMTU: the errors by which a host learns that a way takes only small packets reach it in every mode, when they are about a flow that may pass: without
// them its large packets would be lost for good.
func TestPolicyPathMTU(t *testing.T) {
	const narrow, size = 1300, 1400
	h := newHouse(t, modePolicy("deny-all"), lossless)
	raw := h.watchRaw(t)
	const outside = "up0" // the provider's device towards the internet
	if out, err := h.Lab.Provider("fiber").Command(t.Context(), "ip", "link", "set", outside, "mtu", fmt.Sprint(narrow)).CombinedOutput(); err != nil {
		t.Fatalf("narrowing the provider's way: %v: %s", err, out)
	}
	for _, to := range houseAllowed {
		if got := raw.send(t, h.Lab.Host("laptop"), to, size, false); !got.IsValid() || h.linkOf(got) != "fiber" {
			t.Errorf("%d bytes to %s over a way of %d: seen from %v", size, to, narrow, got)
		}
		out, err := h.Lab.Host("laptop").Command(t.Context(), "ip", "route", "get", to).CombinedOutput()
		if err != nil || !strings.Contains(string(out), fmt.Sprintf("mtu %d", narrow)) {
			t.Errorf("the laptop has learned of the way to %s: %s (%v), want %d", to, out, err, narrow)
		}
	}
}

// rawWitness sees packets of the experimental protocol that reach the lab's internet.
type rawWitness struct {
	mu   sync.Mutex
	from map[string]netip.Addr // by the packet's content
}

func (h *house) watchRaw(t *testing.T) *rawWitness {
	t.Helper()
	w := &rawWitness{from: map[string]netip.Addr{}}
	for _, network := range []string{"ip4", "ip6"} {
		var c net.PacketConn
		err := h.Lab.Internet().Do(func() (err error) {
			c, err = net.ListenPacket(fmt.Sprintf("%s:%d", network, experimental), "")
			return err
		})
		if err != nil {
			t.Fatalf("watching protocol %d: %v", experimental, err)
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			buf := make([]byte, 2*fragmented)
			for {
				n, src, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				from, _ := netip.AddrFromSlice(src.(*net.IPAddr).IP)
				w.mu.Lock()
				w.from[string(buf[:n])] = from.Unmap()
				w.mu.Unlock()
			}
		}()
	}
	return w
}

// send sends packets of the experimental protocol, of as many bytes, and says where they were seen from; invalid for nowhere. What is
// to be refused is waited for a short time only, and anyway a packet that passes is there within a round trip.
func (w *rawWitness) send(t *testing.T, host interface{ Do(func() error) error }, to string, size int, refused bool) (from netip.Addr) {
	t.Helper()
	network, patience := "ip4", paced(20*time.Second)
	if mustAddr(to).Is6() {
		network = "ip6"
	}
	if refused {
		patience = paced(300 * time.Millisecond)
	}
	var c net.Conn
	err := host.Do(func() (err error) {
		c, err = net.Dial(fmt.Sprintf("%s:%d", network, experimental), to)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text := fmt.Sprintf("packet to %s at %d", to, time.Now().UnixNano())
	text += strings.Repeat(".", size-len(text))
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		_, _ = c.Write([]byte(text)) // an ICMP error of an earlier packet is reported here
		w.mu.Lock()
		from = w.from[text]
		w.mu.Unlock()
		if from.IsValid() {
			break
		}
	}
	return from
}

// TestPolicyRunning: a rule that is added or lifted takes effect on flows that run, within a second: datagrams and pings stop
// and go on, senders are reset and receivers get nothing more, over both families, and other devices lose nothing.
func TestPolicyRunning(t *testing.T) {
	const open = people + "house:\n  - {id: usual, force: default, steer: {use: [fiber, wifi]}}\n"
	h := newHouse(t, open, lossless)
	for _, c := range []struct{ name, closed string }{
		{"block rule", open + "  - {id: no-net, force: must, who: {people: [ana]}, filter: {block: true}}\n"},
		{"mode", open + "  - {id: shut, force: must, who: {devices: [laptop]}, filter: {mode: deny-all}}\n"},
		{"own block", open + "personal:\n  ana:\n    - {id: enough, filter: {block: true}}\n"},
		{"silent block", open + "  - {id: no-net, force: must, who: {people: [ana]}, filter: {block: true, silent: true}}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			steady(t, func() []string { return h.runningFlows(t, open, c.closed, c.name == "silent block") })
		})
	}
}

// The longest time from the change of a rule to its effect on running flows.
var ruleEffect = paced(time.Second)

// runningFlows closes the net for the laptop under load and opens it again, and says what is wrong with what its flows and
// those of the phone did.
func (h *house) runningFlows(t *testing.T, open, closed string, silent bool) (wrong []string) {
	h.setPolicy(t, open)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	both := []string{unmentioned[0], unmentioned[1]}
	type datagrams struct {
		host, to string
		result   func() (client.Ticked, error)
	}
	type stream struct {
		host, to string
		way      wire.Direction
		moved    *sync.Map // bytes so far: when they were there
		ended    func() (time.Time, error)
	}
	var loops []datagrams
	var streams []stream
	var running sync.WaitGroup // until each of them has moved something
	for _, host := range []string{"laptop", "phone"} {
		for i, to := range both {
			running.Add(2)
			loops = append(loops, datagrams{host, to, async(func() (client.Ticked, error) {
				begun := sync.OnceFunc(running.Done)
				defer begun()
				return h.Agent(host).Ticks(ctx, client.Ticks{Target: client.Target{Host: to}, Rate: 50, Duration: 5 * time.Minute, LongGap: 400 * time.Millisecond},
					func(client.Ticked) { begun() })
			})})
			way, moved := []wire.Direction{wire.Up, wire.Down}[i], new(sync.Map)
			streams = append(streams, stream{host, to, way, moved, async(func() (time.Time, error) {
				begun := sync.OnceFunc(running.Done)
				defer begun()
				_, err := h.Agent(host).Transfer(ctx, client.Transfer{Target: client.Target{Host: to}, Order: wire.Order{Direction: way, Duration: 5 * time.Minute, Rate: 400_000}},
					func(m client.Moved) { moved.Store(m.Bytes, time.Now()); begun() })
				return time.Now(), err
			})})
		}
	}
	running.Wait()
	var echoes [2]func() (client.Pinged, error)
	for i, to := range both {
		echoes[i] = async(func() (client.Pinged, error) {
			return h.Agent("laptop").Ping(ctx, client.Ping{Target: client.Target{Host: to}, Count: 6000, Interval: 50 * time.Millisecond})
		})
	}
	hold := ruleEffect + paced(700*time.Millisecond)
	pause := func() { time.Sleep(hold) }
	time.Sleep(300 * time.Millisecond)
	shut := time.Now()
	h.setPolicy(t, closed)
	pause()
	lift := time.Now()
	h.setPolicy(t, open)
	pause()
	end := time.Now()
	cancel()

	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	// stops checks a silence: it begins within the time after the rule came, lasts while it stood, and ends within the time
	// after it went.
	stops := func(what string, gap client.Gap) {
		begin, finish := gap.At, gap.At.Add(gap.Length)
		if begin.After(shut.Add(ruleEffect)) || finish.Before(lift) || finish.After(lift.Add(ruleEffect)) {
			complain("%s was silent from %v to %v; the rule stood from 0s to %v", what, begin.Sub(shut), finish.Sub(shut), lift.Sub(shut))
		}
	}
	for _, l := range loops {
		got, _ := l.result() // canceled
		what := fmt.Sprintf("%s's datagrams to %s", l.host, l.to)
		switch {
		case l.host == "laptop" && len(got.Gaps) != 1:
			complain("%s: silences %v, want one; %v", what, got.Gaps, got)
		case l.host == "laptop":
			stops(what, got.Gaps[0])
		case got.Lost > got.LostTail:
			complain("%s: %v", what, got)
		}
	}
	for i, echo := range echoes {
		got, _ := echo()
		stops("laptop's pings to "+both[i], got.MaxGap)
	}
	for _, s := range streams {
		at, err := s.ended()
		what := fmt.Sprintf("%s's connection to %s", s.host, s.to)
		switch lives := s.host == "phone" || silent; {
		case lives && at.Before(end): // a silence of seconds is for TCP to repair
			complain("%s ended: %v", what, err)
		case s.way == wire.Up && !lives && (at.After(shut.Add(ruleEffect)) || client.CauseOf(err) != client.Reset):
			complain("%s ended %v after the rule came: %v", what, at.Sub(shut), err)
		case s.way == wire.Down && s.host == "laptop":
			// Who only listens is not told, but nothing comes any more. What is sent counts when a buffer takes it, so that
			// the other way says nothing about this.
			s.moved.Range(func(bytes, when any) bool {
				if at := when.(time.Time); at.After(shut.Add(ruleEffect)) && at.Before(lift) {
					complain("%s got its byte %v %v after the rule came", what, bytes, at.Sub(shut))
				}
				return true
			})
		}
	}
	return wrong
}
