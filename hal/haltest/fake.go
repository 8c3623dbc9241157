package haltest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trenza-router/trenza/hal"
)

// Fake is a hal.Machine in memory. Make it with New; fill its exported fields before its first use, not later.
type Fake struct {
	// OnDial and OnPing stand for the network; nil means that nothing answers: hal.ErrNotFound.
	OnDial func(ctx context.Context, via hal.Via, network string, to netip.AddrPort) (net.Conn, error)
	OnPing func(ctx context.Context, via hal.Via, to netip.Addr) (time.Duration, error)
	// OnDHCP is called for RunDHCP and plays the server; nil means that no server answers until the context ends.
	OnDHCP func(ctx context.Context, device string, f func(hal.Lease)) error
	// Features is the answer to Capabilities.
	Features []hal.Capability

	mu            sync.Mutex // guards all below
	now           time.Time
	failures      map[string][]error
	broken        map[string]error // by method, until mended
	calls         []string
	rules         []hal.Rule
	routes        map[hal.Family]map[int][]hal.Route
	shapings      map[string]hal.Shaping
	detour        hal.Detour // as it was set; what became of it is read from interfaces
	sysctls       map[string]string
	tables        *ruleset
	loaded        string
	interfaces    map[string]hal.Interface
	received      map[string]uint64
	carried       map[string][2]uint64                   // bytes received and sent, by device
	counted       map[string]map[uint16]hal.ClassCounter // by device and class
	lastIndex     int
	neighbours    map[netip.Addr]hal.Neighbour
	connections   []hal.Connection
	machineEvents listeners[hal.Event]
	flowEvents    listeners[hal.ConnectionEvent]
	packets       listeners[groupPacket]
	held          listeners[groupPacket]
	verdicts      []hal.PacketVerdict
}

// epoch is the time at which a Fake's clock starts: it moves by Advance alone.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var _ hal.Machine = (*Fake)(nil)

// New makes a machine with the rules, sysctls and loopback device of a freshly started Linux.
func New() *Fake {
	f := &Fake{
		now: epoch, failures: make(map[string][]error), broken: make(map[string]error), routes: map[hal.Family]map[int][]hal.Route{hal.IPv4: {}, hal.IPv6: {}},
		sysctls: map[string]string{
			"net/ipv4/ip_forward": "0", "net/ipv4/conf/all/forwarding": "0", "net/ipv4/conf/all/rp_filter": "0",
			"net/ipv4/conf/default/rp_filter": "0", "net/ipv4/conf/all/src_valid_mark": "0",
			"net/ipv6/conf/all/forwarding": "0", "net/ipv6/conf/all/accept_ra": "1", "net/ipv6/conf/default/accept_ra": "1",
			"net/ipv6/conf/all/disable_ipv6": "0", "net/ipv4/fib_multipath_hash_policy": "0",
			"net/netfilter/nf_conntrack_acct": "0", "net/netfilter/nf_conntrack_timestamp": "0",
			"net/netfilter/nf_conntrack_max": "65536", "net/netfilter/nf_conntrack_count": "0",
			"net/netfilter/nf_conntrack_events": "1", "net/netfilter/nf_conntrack_tcp_loose": "1",
			"net/netfilter/nf_conntrack_buckets": "65536",
		},
		shapings: make(map[string]hal.Shaping), tables: &ruleset{}, interfaces: make(map[string]hal.Interface), received: make(map[string]uint64),
		carried: make(map[string][2]uint64), counted: make(map[string]map[uint16]hal.ClassCounter),
		neighbours: make(map[netip.Addr]hal.Neighbour),
	}
	for _, family := range []hal.Family{hal.IPv4, hal.IPv6} {
		f.rules = append(f.rules,
			hal.Rule{Family: family, Priority: 0, Table: 255, SuppressPrefix: -1},
			hal.Rule{Family: family, Priority: 32766, Table: hal.MainTable, SuppressPrefix: -1})
	}
	f.rules = append(f.rules, hal.Rule{Family: hal.IPv4, Priority: 32767, Table: 253, SuppressPrefix: -1})
	sortRules(f.rules)
	f.SetInterface(hal.Interface{
		Name: "lo", Kind: "device", Up: true, Carrier: true, MTU: 65536,
		Addrs: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")},
	})
	return f
}

// FailNext makes the next call of the named method (as in "AddRule") fail with err, before it does anything. Several
// calls of FailNext queue up.
func (f *Fake) FailNext(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures[method] = append(f.failures[method], err)
}

// Fail makes every call of the named method fail with err until mend is called: for a machine that other tasks use, too, of which one could
// meet what FailNext means for another.
func (f *Fake) Fail(method string, err error) (mend func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken[method] = err
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.broken, method)
	}
}

// Calls returns what was called since the last call of Calls: methods that change the machine, with what they were
// given, in their order.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.calls
	f.calls = nil
	return c
}

// Advance moves the clock; elements whose time is over are gone.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
	f.tables.expire(f.now)
}

// Now is the machine's clock.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// enter starts a method: it takes the lock and tells whether the method must fail. A method that changes the machine
// states what it was given in call. The caller unlocks in every case.
func (f *Fake) enter(ctx context.Context, method, call string, args ...any) error {
	f.mu.Lock()
	if call != "" {
		f.calls = append(f.calls, method+" "+fmt.Sprintf(call, args...))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if q := f.failures[method]; len(q) > 0 {
		f.failures[method] = q[1:]
		return q[0]
	}
	return f.broken[method]
}

// change runs a method that changes the machine and, when it succeeded, announces the events. The kernel tells a process of
// its own changes to rules and routes, not of its own nftables transactions.
func (f *Fake) change(ctx context.Context, method, call string, edit func() error, events ...hal.Event) error {
	err := f.enter(ctx, method, "%s", call)
	if err == nil {
		err = edit()
	}
	f.mu.Unlock()
	if err == nil {
		for _, e := range events {
			f.announce(e)
		}
	}
	return err
}

// String prints the whole state: `ip rule`, the routes of all tables, `nft list ruleset`, and the commands of tc if devices are shaped.
func (f *Fake) String() string {
	var b strings.Builder
	for _, part := range []struct{ title, text string }{
		{"rules", f.RuleText()}, {"routes", f.RouteText()}, {"ruleset", f.RulesetText()},
	} {
		fmt.Fprintf(&b, "# %s\n%s", part.title, part.text)
	}
	if text := f.ShapingText(); text != "" {
		fmt.Fprintf(&b, "# shaping\n%s", text)
	}
	return b.String()
}

// RuleText prints as `ip rule` and then `ip -6 rule` do.
func (f *Fake) RuleText() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for i, r := range f.rules {
		if i == 0 || f.rules[i-1].Family != r.Family {
			fmt.Fprintf(&b, "%s:\n", r.Family)
		}
		fmt.Fprintln(&b, r)
	}
	return b.String()
}

// RouteText prints the routes of all tables, IPv4 and then IPv6.
func (f *Fake) RouteText() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for _, family := range []hal.Family{hal.IPv4, hal.IPv6} {
		fmt.Fprintf(&b, "%s:\n", family)
		for _, table := range slices.Sorted(maps.Keys(f.routes[family])) {
			for _, r := range f.routes[family][table] {
				fmt.Fprintln(&b, r)
			}
		}
	}
	return b.String()
}

// Sysctl and SetSysctl know the keys of New and those that PutSysctl added.
func (f *Fake) Sysctl(key string) (string, error) {
	err := f.enter(context.Background(), "Sysctl", "")
	defer f.mu.Unlock()
	if err != nil {
		return "", err
	}
	v, ok := f.sysctls[key]
	if !ok {
		return "", fmt.Errorf("read sysctl %s: %w", key, hal.ErrNotFound)
	}
	return v, nil
}

func (f *Fake) SetSysctl(key, value string) error {
	err := f.enter(context.Background(), "SetSysctl", "%s=%s", key, value)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	if _, ok := f.sysctls[key]; !ok {
		return fmt.Errorf("set sysctl %s: %w", key, hal.ErrNotFound)
	}
	f.sysctls[key] = value
	return nil
}

// PutSysctl adds a key, or removes it with an empty value, as a driver or an administrator would.
func (f *Fake) PutSysctl(key, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if value == "" {
		delete(f.sysctls, key)
		return
	}
	f.sysctls[key] = value
}

// Capabilities returns Features.
func (f *Fake) Capabilities(ctx context.Context) ([]hal.Capability, error) {
	err := f.enter(ctx, "Capabilities", "")
	defer f.mu.Unlock()
	return slices.Clone(f.Features), err
}

// Dial calls OnDial.
func (f *Fake) Dial(ctx context.Context, via hal.Via, network string, to netip.AddrPort) (hal.Conn, error) {
	err := f.enter(ctx, "Dial", "")
	f.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case f.OnDial == nil:
		return nil, fmt.Errorf("connect to %s: nobody answers: %w", to, hal.ErrNotFound)
	}
	return f.OnDial(ctx, via, network, to)
}

// Ping calls OnPing.
func (f *Fake) Ping(ctx context.Context, via hal.Via, to netip.Addr) (time.Duration, error) {
	err := f.enter(ctx, "Ping", "")
	f.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case f.OnPing == nil:
		return 0, fmt.Errorf("ping %s: nobody answers: %w", to, hal.ErrNotFound)
	}
	return f.OnPing(ctx, via, to)
}

// RunDHCP calls OnDHCP.
func (f *Fake) RunDHCP(ctx context.Context, device string, g func(hal.Lease)) error {
	err := f.enter(ctx, "RunDHCP", "%s", device)
	f.mu.Unlock()
	switch {
	case err != nil:
		return err
	case f.OnDHCP == nil:
		<-ctx.Done()
		return ctx.Err()
	}
	return f.OnDHCP(ctx, device, g)
}
