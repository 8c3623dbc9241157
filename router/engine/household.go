package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/observe"
)

// household is the router's part on the LAN side: its devices and addresses, where the configuration gives them to us, and what hosts are given.
type household struct {
	ports     hal.LANPorts
	addresses hal.AddressServer
	radios    hal.AccessPoints
	wake      chan struct{}   // capacity 1: something that it follows from has changed
	members   map[string]bool // the ports of bridges of ours

	mu        sync.Mutex
	delegated []netip.Prefix // by providers, in the order of the links
	trouble   map[string]string
	serving   hal.AddressService
	refused   string // why hosts are not given addresses as they should; "" when they are
}

func newHousehold(o Options) *household {
	h := &household{ports: o.Ports, addresses: o.Addresses, radios: o.Radios, wake: make(chan struct{}, 1), members: map[string]bool{}, trouble: map[string]string{}}
	for _, l := range o.Config.LAN {
		for _, p := range l.Bridge {
			h.members[p] = true
		}
	}
	return h
}

// checkHousehold refuses a LAN that nobody here could make or serve.
func checkHousehold(o Options) error {
	for _, l := range o.Config.LAN {
		if l.Managed() && o.Ports == nil || l.Served() && o.Addresses == nil {
			return fmt.Errorf("lan %s: a LAN that is made or served by the router: %w: leave out bridge, address, ula, dhcp and ipv6", l.Device, hal.ErrUnsupported)
		}
		if len(l.WiFi) > 0 && o.Radios == nil {
			return fmt.Errorf("lan %s: a WiFi network that is run by the router: %w: leave out wifi", l.Device, hal.ErrUnsupported)
		}
	}
	return nil
}

// leaseFile is where the addresses stand that we give to hosts.
func leaseFile(c config.Config) string { return filepath.Join(c.State, "dnsmasq.leases") }

// leaseFiles are the files that tell names and addresses of devices.
func leaseFiles(c config.Config) []string {
	if !slices.ContainsFunc(c.LAN, config.LAN.Served) || slices.Contains(c.Leases, leaseFile(c)) {
		return c.Leases
	}
	return append(slices.Clone(c.Leases), leaseFile(c))
}

// houseDomain is the domain of devices (RFC 8375).
const houseDomain = "home.arpa"

// Pauses between attempts to make or serve the LAN, each twice the one before.
const (
	firstLANRetry = time.Second
	lastLANRetry  = time.Minute
)

// addressServing is a running service.
type addressServing struct {
	service hal.AddressService
	stop    func() // ends it and waits for that
	ended   chan error
}

// runHousehold is the task that makes the LAN's devices and gives hosts their addresses.
func (e *Engine) runHousehold(ctx context.Context) error {
	var running addressServing
	defer func() { running.end() }()
	made := map[string]portMade{}
	pause := firstLANRetry
	for {
		err := errors.Join(e.makePorts(ctx, made), e.serveAddresses(ctx, &running))
		if ctx.Err() != nil {
			return nil //nolint:nilerr // whatever is said while the router is being stopped
		}
		var again <-chan time.Time
		if err != nil {
			e.log.Warn("the LAN is not as it should be", "error", err, "again", pause)
			again, pause = time.After(pause), min(2*pause, lastLANRetry)
		} else {
			pause = firstLANRetry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.household.wake:
		case <-again:
		case err := <-running.ended:
			running.end()
			running = addressServing{}
			e.addressesRefused(err)
			again := time.NewTimer(pause)
			pause = min(2*pause, lastLANRetry)
			select {
			case <-ctx.Done():
				again.Stop()
				return nil
			case <-again.C:
			}
		}
	}
}

// portMade is a LAN device as it was made, with the kernel's numbers of what it is made of: what is plugged in again has another one.
type portMade struct {
	port  hal.LANPort
	index map[string]int
}

// makePorts makes what does not stand as it should. Devices that are not there yet are waited for.
func (e *Engine) makePorts(ctx context.Context, made map[string]portMade) error {
	all, err := e.machine.Interfaces(ctx)
	if err != nil {
		return fmt.Errorf("reading the machine's interfaces: %w", err)
	}
	var failed []error
	for n, l := range e.config.LAN {
		if !l.Managed() {
			continue
		}
		port := l.Port(e.delegatedTo(n))
		if now := parts(port, all); made[l.Device].port.Equal(port) && maps.Equal(now, made[l.Device].index) && stands(port, all) {
			continue
		}
		err := e.household.ports.SetLANPort(ctx, port)
		e.portTrouble(l.Device, err)
		if err != nil {
			delete(made, l.Device)
			if len(l.Bridge) > 0 || !errors.Is(err, hal.ErrNotFound) {
				failed = append(failed, err)
			}
			continue
		}
		if all, err = e.machine.Interfaces(ctx); err != nil {
			return fmt.Errorf("reading the machine's interfaces: %w", err)
		}
		made[l.Device] = portMade{port, parts(port, all)}
	}
	return errors.Join(failed...)
}

// parts are the kernel's numbers of a port's devices, as far as they are there.
func parts(p hal.LANPort, all []hal.Interface) map[string]int {
	out := map[string]int{}
	for _, i := range all {
		if i.Name == p.Device || slices.Contains(p.Ports, i.Name) {
			out[i.Name] = i.Index
		}
	}
	return out
}

// stands tells whether nobody took away what was made.
func stands(p hal.LANPort, all []hal.Interface) bool {
	for _, i := range all {
		switch {
		case i.Name == p.Device:
			if !i.Up || slices.ContainsFunc(p.Addrs, func(a netip.Prefix) bool { return !slices.Contains(i.Addrs, a) }) {
				return false
			}
		case slices.Contains(p.Ports, i.Name) && !i.Up:
			return false
		}
	}
	return true
}

// portTrouble notes and tells why a LAN device is not as it should be; nil: it is.
func (e *Engine) portTrouble(device string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	e.household.mu.Lock()
	e.household.trouble[device] = text
	e.household.mu.Unlock()
	e.health.Put(err != nil, observe.Warning{Code: "lan-port", Subject: device, Severity: observe.Serious,
		Text: fmt.Sprintf("The LAN's device %s is not as the configuration wants it: %v.", device, err), Fix: "Correct lan: in the configuration."})
}

// delegatedTo are the router's addresses on the n-th LAN in the networks that providers delegated: the n-th /64 of each.
func (e *Engine) delegatedTo(n int) []netip.Prefix {
	if e.config.LAN[n].IPv6 != config.AdvertiseOn || !e.config.LAN[n].Managed() {
		return nil
	}
	e.household.mu.Lock()
	defer e.household.mu.Unlock()
	var out []netip.Prefix
	for _, p := range e.household.delegated {
		if a, ok := subnet(p, n); ok {
			out = append(out, a)
		}
	}
	return out
}

// subnet is the address ::1 in the n-th /64 of a prefix; false when it has no such.
func subnet(p netip.Prefix, n int) (netip.Prefix, bool) {
	if !p.IsValid() || !p.Addr().Is6() || p.Bits() > 64 || n < 0 || p.Bits() > 48 && n >= 1<<(64-p.Bits()) || n > 0xffff {
		return netip.Prefix{}, false
	}
	b := p.Masked().Addr().As16()
	b[6] |= byte(n >> 8)
	b[7] |= byte(n)
	b[15] = 1
	return netip.PrefixFrom(netip.AddrFrom16(b), 64), true
}

// setDelegated notes the networks that providers delegated to the house.
func (e *Engine) setDelegated(all []netip.Prefix) {
	e.household.mu.Lock()
	same := slices.Equal(e.household.delegated, all)
	e.household.delegated = all
	e.household.mu.Unlock()
	if !same {
		signal(e.household.wake)
	}
}

// addressService is what hosts are to be given, on the LANs whose addresses are known.
func (e *Engine) addressService() hal.AddressService {
	s := hal.AddressService{Leases: leaseFile(e.config), Domain: houseDomain}
	way6 := e.way6()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.config.LAN {
		if !l.Served() {
			continue
		}
		state := e.lan[l.Device]
		n := hal.AddressNetwork{Device: l.Device, Advertise: l.IPv6 == config.AdvertiseOn, Way6: way6, Router6: state.own6()}
		n.Way6 = n.Way6 && n.Advertise
		if !n.Advertise {
			n.Router6 = netip.Addr{}
		}
		if l.DHCP != nil {
			router := l.Address
			if !router.IsValid() {
				router = state.own4()
			}
			if first, last, ok := l.DHCP.Hosts(router); ok {
				n.Router, n.First, n.Last, n.Lease = router, first, last, l.DHCP.LeaseTime()
			}
		}
		if state.present && (n.First.IsValid() || n.Advertise) {
			s.Networks = append(s.Networks, n)
		}
	}
	return s
}

// own4 is the router's own IPv4 address with the length of its network.
func (l *lanState) own4() netip.Prefix {
	for _, p := range l.addrs {
		if p.Addr().Is4() && p.Addr().IsGlobalUnicast() {
			return p
		}
	}
	return netip.Prefix{}
}

// own6 is the router's own IPv6 address; rather that of a network which no provider can take away.
func (l *lanState) own6() netip.Addr {
	var out netip.Addr
	for _, p := range l.addrs {
		if a := p.Addr(); a.Is6() && a.IsGlobalUnicast() && (!out.IsValid() || a.IsPrivate() && !out.IsPrivate()) {
			out = a
		}
	}
	return out
}

// way6 tells whether some link has a way out for IPv6. Whether it works just now is not asked: hosts are not told of every stumble.
func (e *Engine) way6() bool {
	for _, w := range e.wans {
		w.mu.Lock()
		_, v6 := w.gatewaysLocked()
		w.mu.Unlock()
		if v6.IsValid() {
			return true
		}
	}
	return false
}

// serveAddresses makes the running service the one that is wanted. One that is refused leaves what runs as it is.
func (e *Engine) serveAddresses(ctx context.Context, running *addressServing) error {
	want := e.addressService()
	switch {
	case len(want.Networks) == 0:
		running.end()
		*running = addressServing{}
		e.nowServing(hal.AddressService{})
		return nil
	case running.stop != nil && running.service.Equal(want):
		return nil
	}
	if err := e.household.addresses.CheckAddresses(ctx, want); err != nil {
		e.addressesRefused(err)
		return err
	}
	running.end()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- e.household.addresses.ServeAddresses(ctx, want)
	}()
	*running = addressServing{service: want, ended: ended, stop: func() { cancel(); <-done }}
	e.nowServing(want)
	return nil
}

func (s *addressServing) end() {
	if s.stop != nil {
		s.stop()
	}
}

func (e *Engine) nowServing(s hal.AddressService) {
	e.household.mu.Lock()
	e.household.serving, e.household.refused = s, ""
	e.household.mu.Unlock()
	e.health.Clear("addresses", "")
}

func (e *Engine) addressesRefused(err error) {
	e.household.mu.Lock()
	e.household.refused = err.Error()
	e.household.mu.Unlock()
	e.health.Set(observe.Warning{Code: "addresses", Severity: observe.Serious, Text: fmt.Sprintf("Hosts do not get addresses as they should: %v.", err),
		Fix: "Where another DHCP server runs on this machine, stop it or leave out dhcp: in the configuration."})
}

// LANView is an interface towards the household, for people.
type LANView struct {
	Device    string
	Ports     []string // of a bridge of ours
	Present   bool
	Guest     bool
	Addresses []netip.Prefix
	First     netip.Addr // of the addresses for hosts; invalid: we give none
	Last      netip.Addr
	Lease     time.Duration
	Advertise bool   // networks are announced to IPv6 hosts
	Trouble   string // why it is not as it should be; "" when it is
}

// LAN lists the interfaces towards the household.
func (e *Engine) LAN() []LANView {
	e.household.mu.Lock()
	serving, refused, trouble := e.household.serving, e.household.refused, maps.Clone(e.household.trouble)
	e.household.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []LANView
	for _, l := range e.config.LAN {
		state := e.lan[l.Device]
		v := LANView{Device: l.Device, Ports: slices.Clone(l.Bridge), Present: state.present, Guest: l.Guest, Trouble: trouble[l.Device]}
		for _, a := range state.addrs {
			if !a.Addr().IsLinkLocalUnicast() {
				v.Addresses = append(v.Addresses, a)
			}
		}
		for _, n := range serving.Networks {
			if n.Device == l.Device {
				v.First, v.Last, v.Lease, v.Advertise = n.First, n.Last, n.Lease, n.Advertise
			}
		}
		if v.Trouble == "" && l.Served() {
			v.Trouble = refused
		}
		out = append(out, v)
	}
	return out
}
