package netlab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// build makes the lab from the outside in: namespaces, the internet and its
// providers with their DHCP servers, the links, the router, and at last the
// hosts, so that everyone who asks for an address is answered at once.
func (l *Lab) build(ctx context.Context, o Options) error {
	if err := l.addNamespaces(ctx); err != nil {
		return err
	}
	if err := l.buildInternet(ctx); err != nil {
		return fmt.Errorf("internet: %w", err)
	}
	if err := l.buildServer(ctx); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	for i, s := range l.specs {
		if err := l.buildLink(ctx, o, s, o.Seed+uint64(2*i)); err != nil {
			return fmt.Errorf("link %s: %w", s.Name, err)
		}
	}
	if err := l.buildLAN(ctx, o.Hosts); err != nil {
		return fmt.Errorf("LAN: %w", err)
	}
	if err := l.serve(); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, s := range l.specs {
		g.Go(func() error { return l.router.awaitIPv6(gctx, s.Device, s.Gateway6.Masked()) })
	}
	for _, h := range l.hosts {
		g.Go(func() error { return h.start(gctx) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, h := range l.hosts {
		l.goRun("the DHCP client of "+h.spec.Name, h.renew)
	}
	return nil
}

// addNamespaces makes all namespaces and records their identities.
func (l *Lab) addNamespaces(ctx context.Context) error {
	prefix := "tzl" + l.state.ID + "-"
	for i, r := range l.state.Namespaces {
		n, err := NewNamespace(ctx, r.Name)
		if err != nil {
			return err
		}
		rec := &l.state.Namespaces[i]
		if rec.Device, rec.Inode, err = inodeOf(n.path()); err != nil {
			return fmt.Errorf("identify namespace %s: %w", r.Name, err)
		}
		if err := n.sysctl(sysctlCommon...); err != nil {
			return err
		}
		switch role := strings.TrimPrefix(r.Name, prefix); {
		case role == "internet":
			l.internet = n
		case role == "router":
			l.router = n
		case role == serverRole:
			l.server = n
		case strings.HasPrefix(role, "isp-"):
			l.isps[strings.TrimPrefix(role, "isp-")] = n
		}
	}
	return l.state.save(l.dir)
}

// namespace returns the namespace of a role.
func (l *Lab) namespace(role string) *Namespace {
	return &Namespace{name: "tzl" + l.state.ID + "-" + role}
}

// buildInternet connects the internet with the providers.
func (l *Lab) buildInternet(ctx context.Context) error {
	if err := l.internet.sysctl(sysctlForward...); err != nil {
		return err
	}
	for _, s := range l.specs {
		isp := l.isps[s.Name]
		if err := l.internet.ip(ctx, fmt.Sprintf("link add %s type veth peer name %s netns %s", s.Name, ispUp, isp.name)); err != nil {
			return err
		}
	}
	if err := l.internet.setResolver("127.0.0.1"); err != nil {
		return err
	}
	return l.internet.ip(ctx, internetScript(l.specs)...)
}

// buildLink makes a provider and the link from the router to it.
func (l *Lab) buildLink(ctx context.Context, o Options, s LinkSpec, seed uint64) error {
	isp := l.isps[s.Name]
	lay := l.emulate
	if o.Netem {
		lay = l.wire
	}
	link, err := lay(ctx, s, seed)
	if err != nil {
		return err
	}
	l.links[s.Name] = link

	if err := isp.sysctl(slices.Concat(sysctlForward, sysctlNoDAD(ispCustomer))...); err != nil {
		return err
	}
	if err := isp.ip(ctx, providerScript(s)...); err != nil {
		return err
	}
	if s.NAT4.IsValid() {
		cmd := isp.Command(ctx, tool("nft"), "-f", "-")
		cmd.Stdin = strings.NewReader(carrierNAT(s))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("load the carrier NAT: %w: %s", err, out)
		}
	}
	title := "dhcp-" + s.Name
	return l.startDHCP(ctx, isp, title, providerDHCP(s, filepath.Join(l.dir, title+".leases")))
}

// buildLAN makes the switch, the router and the hosts' cables, and starts the
// router's DHCP server.
func (l *Lab) buildLAN(ctx context.Context, hosts []HostSpec) error {
	sw := l.namespace("switch")
	// Nobody lives in the switch: with addresses, its ports would speak and the router would find devices that nobody owns.
	if err := sw.sysctl(sysctlMute...); err != nil {
		return err
	}
	cables := []string{fmt.Sprintf("link add uplink type veth peer name %s netns %s", LANDevice, l.router.name)}
	for _, spec := range hosts {
		n := l.namespace(spec.Name)
		cables = append(cables, fmt.Sprintf("link add %s type veth peer name %s address %s netns %s",
			port(spec.Name), hostDevice, spec.MAC, n.name))
		l.hosts = append(l.hosts, &Host{Namespace: n, spec: spec})
	}
	if err := sw.ip(ctx, append(cables, switchScript(hosts)...)...); err != nil {
		return err
	}
	settings := slices.Concat(sysctlForward, sysctlNoDAD(LANDevice))
	for _, s := range l.specs {
		settings = append(settings, sysctlWAN(s.Device)...)
	}
	if err := l.router.sysctl(settings...); err != nil {
		return err
	}
	if err := l.router.setResolver("127.0.0.1"); err != nil {
		return err
	}
	if err := l.router.ip(ctx, routerScript(l.specs)...); err != nil {
		return err
	}
	return l.startDHCP(ctx, l.router, "dhcp-lan", lanDHCP(hosts, l.leaseFile()))
}

// leaseFile is where the LAN's DHCP server writes its leases, in the format of
// dnsmasq.
func (l *Lab) leaseFile() string { return filepath.Join(l.dir, "lan.leases") }

// startDHCP starts a dnsmasq in a namespace and returns when it listens.
func (l *Lab) startDHCP(ctx context.Context, n *Namespace, title, config string) error {
	path := filepath.Join(l.dir, title+".conf")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		return fmt.Errorf("write the DHCP server's configuration: %w", err)
	}
	// --no-daemon also keeps the user: in an unprivileged user namespace there is
	// no other.
	p, err := l.Spawn(n, title, tool("dnsmasq"), "--no-daemon", "--conf-file="+path)
	if err != nil {
		return err
	}
	l.goRun(title, func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-p.Done():
			return p.Err()
		}
	})
	const bootps = ":0043 " // port 67 as in /proc/net/udp
	return await(ctx, title+" to listen", func() (bool, error) {
		var sockets []byte
		err := n.Do(func() (err error) {
			sockets, err = os.ReadFile("/proc/thread-self/net/udp")
			return err
		})
		return strings.Contains(string(sockets), bootps), err
	})
}
