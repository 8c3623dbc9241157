package linux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

const (
	// firstWait and mostWait bound the pauses between questions that nobody answers: doubled each time, with a jitter of
	// a fifth, so that a street that gets its power back does not ask in step (RFC 2131 section 4.1). The first is shorter than
	// the RFC's four seconds: a link that comes back should serve at once.
	firstWait = time.Second
	mostWait  = 64 * time.Second
	// rebootTries is how often the old address is asked for, before any address is.
	rebootTries = 2
)

// errLinkChanged ends what is being done on a link that lost its carrier or is another device now.
var errLinkChanged = errors.New("the link went down")

// RunDHCP implements hal.AddressClient (RFC 2131). It waits for the device to exist and for its carrier, asks for the
// address that the device still has or for any, and starts again when the carrier returns. A device that appears
// switched off is switched on once. Renewals begin at T1 with the server that granted the lease and go on from T2 with any.
//
// When the context ends, the lease is not released and the address stays, so that traffic goes on while the daemon is
// stopped; the kernel removes the address when the lease ends. The next run asks for the same address. The client does not
// probe whether the address is in use (ARP), and sends no host name.
func (m *Machine) RunDHCP(ctx context.Context, device string, f func(hal.Lease)) error {
	c := &dhcpClient{device: device, tell: f, log: m.log.With("device", device), began: time.Now()}
	return m.keepListening(ctx, device, func(opened func()) error {
		monitor, err := openLinkMonitor(ctx, device)
		if err != nil {
			return err
		}
		defer monitor.close()
		opened()
		return c.run(ctx, monitor)
	})
}

// dhcpClient keeps the lease of one device. One goroutine uses it.
type dhcpClient struct {
	device string
	tell   func(hal.Lease)
	log    *slog.Logger
	began  time.Time

	index int            // of the device that has the lease, or was switched on
	lease grant          // zero: none
	said  dhcpv4.Options // all that the server said with the lease
	seen  bool           // the monitor has seen the lease's address on the device
	hint  netip.Addr     // the address to ask for: what the device had
}

// run serves the device until the context ends or the monitor fails.
func (c *dhcpClient) run(ctx context.Context, monitor *linkMonitor) error {
	for ctx.Err() == nil {
		link, changed := monitor.state()
		if err := monitor.err(); err != nil {
			return err
		}
		if link.Index != c.index && link.Index != 0 {
			if err := c.adopt(ctx, link); err != nil {
				return err
			}
			continue
		}
		if link.Index == 0 && c.lease.valid() {
			c.drop(ctx, "the device is gone")
		}
		usable := link.Carrier && !link.MAC.IsZero()
		if link.Carrier && !usable {
			c.log.Warn("the device has no Ethernet address: DHCP cannot run on it; state its address or gateway instead")
		}
		if !usable {
			if err := c.waitForChange(ctx, changed); err != nil {
				return err
			}
			continue
		}
		err := c.serve(ctx, link, monitor)
		if errors.Is(err, hal.ErrPermission) {
			return err
		}
		if ctx.Err() == nil && !errors.Is(err, errLinkChanged) {
			c.log.Warn("DHCP met an error; trying again", "error", err, "after", firstWait)
			if err := sleep(ctx, firstWait); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// adopt begins with a device that was not there before, or is another one of that name.
func (c *dhcpClient) adopt(ctx context.Context, link hal.Interface) error {
	if c.lease.valid() {
		c.drop(ctx, "the device was replaced")
	}
	c.index = link.Index
	s, err := openKernelSocket(unix.NETLINK_ROUTE, kernelSocketOptions{})
	if err != nil {
		return err
	}
	defer s.close()
	old, err := leasedAddresses(ctx, s, link.Index)
	if err != nil {
		return err
	}
	if len(old) > 0 {
		c.hint = old[0].Addr()
	}
	if !link.Up {
		if err := switchOn(ctx, link); err != nil {
			c.log.Warn("the device is switched off and cannot be switched on", "error", err)
		}
	}
	return nil
}

// waitForChange waits for the device to change, and gives the lease up when it ends meanwhile.
func (c *dhcpClient) waitForChange(ctx context.Context, changed <-chan struct{}) error {
	var end <-chan time.Time
	if c.lease.valid() {
		t := time.NewTimer(time.Until(c.lease.Expires))
		defer t.Stop()
		end = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-changed:
	case <-end:
		c.drop(ctx, "the lease ended")
	}
	return nil
}

// serve obtains a lease and keeps it for as long as the link is the same and has a carrier.
func (c *dhcpClient) serve(ctx context.Context, link hal.Interface, monitor *linkMonitor) error {
	ctx, cancel := monitor.while(ctx, link)
	defer cancel()
	s, err := openDHCPSocket(link)
	if err != nil {
		return err
	}
	defer s.close()
	if c.lease.valid() {
		c.hint = c.lease.Addr.Addr()
	}
	for {
		if err := c.acquire(ctx, s); err != nil {
			return err
		}
		if err := c.keep(ctx, s, monitor); err != nil {
			return err
		}
	}
}

// acquire asks until there is a lease (RFC 2131 sections 3.1 and 3.2).
func (c *dhcpClient) acquire(ctx context.Context, s *dhcpSocket) error {
	wait := firstWait
	for try := 0; ; try++ {
		c.dropEnded(ctx)
		deadline := time.Now().Add(jitter(wait))
		var err error
		if c.hint.IsValid() && try < rebootTries {
			err = c.ask(ctx, s, c.request(s, dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(c.hint.AsSlice()))), netip.Addr{}, deadline)
		} else {
			err = c.discover(ctx, s, deadline)
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, context.DeadlineExceeded):
			c.log.Debug("no DHCP server answered", "waited", wait)
		default:
			c.log.Warn("the DHCP server's answer cannot be used", "error", err)
			if err := sleepUntil(ctx, deadline); err != nil {
				return err
			}
		}
		wait = min(2*wait, mostWait)
	}
}

// discover asks any server for an offer and takes the first that can be used.
func (c *dhcpClient) discover(ctx context.Context, s *dhcpSocket, deadline time.Time) error {
	question := c.message(s, dhcpv4.MessageTypeDiscover)
	if c.hint.IsValid() {
		question.UpdateOption(dhcpv4.OptRequestedIPAddress(c.hint.AsSlice()))
	}
	if err := s.broadcast(ctx, question); err != nil {
		return err
	}
	var offered grant
	var bad error
	_, err := s.receive(ctx, deadline, question, func(m *dhcpv4.DHCPv4) bool {
		if m.MessageType() != dhcpv4.MessageTypeOffer {
			return false
		}
		g, _, err := readGrant(m, time.Now())
		if err != nil {
			bad = fmt.Errorf("offer from %v: %w", m.ServerIdentifier(), err)
			return false
		}
		offered = g
		return true
	})
	if bad != nil && err != nil && ctx.Err() == nil {
		return bad // worth more than that no good one came
	}
	if err != nil {
		return err
	}
	return c.ask(ctx, s, c.request(s,
		dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(offered.Addr.Addr().AsSlice())),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(offered.Server.AsSlice())),
	), netip.Addr{}, deadline)
}

// ask sends a request, to the server if it is valid and else to all, and takes the lease that is granted in answer. A
// refusal (DHCPNAK) drops the lease and the address that was asked for.
func (c *dhcpClient) ask(ctx context.Context, s *dhcpSocket, request *dhcpv4.DHCPv4, server netip.Addr, deadline time.Time) error {
	asked := time.Now()
	if server.IsValid() {
		conn, err := s.unicast(ctx, c.lease.Addr.Addr(), server, request)
		if err != nil {
			return err
		}
		defer conn.Close()
	} else if err := s.broadcast(ctx, request); err != nil {
		return err
	}
	chosen, _ := unicast(request.ServerIdentifier())
	m, err := s.receive(ctx, deadline, request, func(m *dhcpv4.DHCPv4) bool {
		from, ok := unicast(m.ServerIdentifier())
		if chosen.IsValid() && (!ok || from != chosen) {
			return false // of a server that we did not choose
		}
		return m.MessageType() == dhcpv4.MessageTypeAck || m.MessageType() == dhcpv4.MessageTypeNak
	})
	if err != nil {
		return err
	}
	if m.MessageType() == dhcpv4.MessageTypeNak {
		c.hint = netip.Addr{}
		if c.lease.valid() {
			c.drop(ctx, "the server refused to go on with it")
		}
		return fmt.Errorf("the server %v refused the address: %q", m.ServerIdentifier(), short(m.Message()))
	}
	if renewal := !request.ClientIPAddr.IsUnspecified(); renewal {
		complete(m, c.said)
	}
	g, doubts, err := readGrant(m, asked)
	if err != nil {
		return fmt.Errorf("lease from %v: %w", m.ServerIdentifier(), err)
	}
	for _, d := range doubts {
		c.log.Warn("part of the DHCP server's answer is not used", "server", g.Server, "because", d)
	}
	if err := setLeasedAddress(ctx, s.device.Index, g); err != nil {
		return err
	}
	if g.Addr != c.lease.Addr {
		c.seen = false
		c.log.Info("DHCP lease", "address", g.Addr, "gateway", g.Gateway, "server", g.Server, "until", g.Expires)
	}
	c.lease, c.said, c.hint = g, m.Options, g.Addr.Addr()
	c.tell(g.Lease)
	return nil
}

// keep renews the lease, and puts the address back when someone deletes it. It returns nil when the lease was lost.
func (c *dhcpClient) keep(ctx context.Context, s *dhcpSocket, monitor *linkMonitor) error {
	for {
		now := time.Now()
		if c.dropEnded(ctx) {
			return nil
		}
		if now.Before(c.lease.renew) {
			if err := c.rest(ctx, c.lease.renew, s.device.Index, monitor); err != nil {
				return err
			}
			continue
		}
		// Half of what is left until the next stage (RFC 2131 section 4.4.5). The RFC's least pause of a minute is meant for
		// leases of days; one of two minutes would be asked for once.
		server, next := c.lease.Server, c.lease.rebind
		if !now.Before(next) {
			server, next = netip.Addr{}, c.lease.Expires
		}
		left := next.Sub(now)
		deadline := now.Add(max(left/2, min(left, time.Second)))
		request := c.request(s, dhcpv4.WithClientIP(c.lease.Addr.Addr().AsSlice()))
		err := c.ask(ctx, s, request, server, deadline)
		switch {
		case err == nil, errors.Is(err, context.DeadlineExceeded):
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !c.lease.valid():
			c.log.Warn("the DHCP lease was not renewed", "error", err)
			return nil
		default:
			c.log.Warn("the DHCP lease was not renewed; trying again", "error", err)
			if err := sleepUntil(ctx, deadline); err != nil {
				return err
			}
		}
	}
}

// rest waits until the time, watching that the address stays on the device.
func (c *dhcpClient) rest(ctx context.Context, until time.Time, index int, monitor *linkMonitor) error {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	for {
		link, changed := monitor.state()
		there := slices.Contains(link.Addrs, c.lease.Addr)
		if c.seen && !there && link.Index == index {
			c.log.Warn("another program deleted the leased address; putting it back", "address", c.lease.Addr)
			if err := setLeasedAddress(ctx, index, c.lease); err != nil {
				return err
			}
		}
		c.seen = there // false also until the monitor has noticed what was just set
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
			return nil
		case <-changed:
		}
	}
}

// dropEnded drops the lease if its time is over and tells whether there is none now.
func (c *dhcpClient) dropEnded(ctx context.Context) bool {
	if c.lease.valid() && !time.Now().Before(c.lease.Expires) {
		c.drop(ctx, "the lease ended")
	}
	return !c.lease.valid()
}

// drop gives up the lease: its address leaves the device, and the receiver is told.
func (c *dhcpClient) drop(ctx context.Context, why string) {
	c.log.Warn("the DHCP lease is lost", "address", c.lease.Addr, "because", why)
	if err := removeLeasedAddress(context.WithoutCancel(ctx), c.index, c.lease.Addr); err != nil {
		c.log.Warn("the address of a lost lease stays on the device", "error", err)
	}
	c.lease = grant{}
	c.tell(hal.Lease{})
}

// message starts a message of ours with what all have: who we are, and what we want to know.
func (c *dhcpClient) message(s *dhcpSocket, kind dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	mac := s.device.MAC
	var id dhcpv4.TransactionID
	binary.NativeEndian.PutUint32(id[:], rand.Uint32())
	m := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootRequest,
		HWType:        1, // Ethernet
		TransactionID: id,
		NumSeconds:    uint16(min(time.Since(c.began)/time.Second, 1<<16-1)),
		ClientHWAddr:  net.HardwareAddr(mac[:]),
		ClientIPAddr:  net.IPv4zero, YourIPAddr: net.IPv4zero, ServerIPAddr: net.IPv4zero, GatewayIPAddr: net.IPv4zero,
		Options: dhcpv4.Options{},
	}
	for _, o := range []dhcpv4.Option{
		dhcpv4.OptMessageType(kind),
		dhcpv4.OptClientIdentifier(append([]byte{1}, mac[:]...)),
		dhcpv4.OptMaxMessageSize(dhcpPacketSize),
		dhcpv4.OptParameterRequestList(dhcpv4.OptionSubnetMask, dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionRouter,
			dhcpv4.OptionDomainNameServer, dhcpv4.OptionInterfaceMTU, dhcpv4.OptionIPAddressLeaseTime,
			dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue),
	} {
		m.UpdateOption(o)
	}
	return m
}

func (c *dhcpClient) request(s *dhcpSocket, with ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	m := c.message(s, dhcpv4.MessageTypeRequest)
	for _, w := range with {
		w(m)
	}
	return m
}

// jitter spreads a pause by a fifth to either side.
func jitter(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5) }

// sleepUntil waits for a time; when the context ends before, it returns the cause.
func sleepUntil(ctx context.Context, t time.Time) error {
	if sleep(ctx, time.Until(t)) != nil {
		return context.Cause(ctx)
	}
	return nil
}

// short cuts a stranger's text to what a log line bears.
func short(s string) string { return s[:min(len(s), 80)] }
