package internet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
)

// Run serves the lab's internet in the network namespace of this process until ctx ends, and then returns nil. When a
// server cannot start or fails, it stops all others and returns why. It removes its socket and CA file.
func Run(ctx context.Context, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return fmt.Errorf("internet: %w", err)
	}
	ca, err := newAuthority(cfg.Names)
	if err != nil {
		return fmt.Errorf("internet: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	s := &servers{cfg: cfg, ca: ca, rec: NewRecorder(cfg.Records), listen: ctx}
	if err := s.open(); err != nil {
		return fmt.Errorf("internet: %w", errors.Join(err, s.close()))
	}
	if err := ca.writePEM(cfg.CA); err != nil {
		return fmt.Errorf("internet: %w", errors.Join(err, s.close()))
	}
	defer os.Remove(cfg.CA)
	control, err := listenSocket(cfg.Socket)
	if err != nil {
		return fmt.Errorf("internet: %w", errors.Join(err, s.close()))
	}
	perf := &iperf{ctx: ctx, binary: cfg.Iperf3, running: make(map[netip.AddrPort]bool)}
	defer perf.wg.Wait()
	for _, task := range s.tasks {
		group.Go(func() error { return task(ctx) })
	}
	group.Go(func() error {
		return serveHTTP(ctx, control, controlAPI{rec: s.rec, iperf: perf}.handler(), nil)
	})
	cfg.Log.Info("the lab's internet is up", "names", len(cfg.Names), "socket", cfg.Socket, "ca", cfg.CA)
	if err := group.Wait(); err != nil {
		return fmt.Errorf("internet: %w", err)
	}
	return nil
}

// servers collects the listening sockets and the tasks that serve them: all sockets are open before the first task runs,
// so a port in use is told before any client is served.
type servers struct {
	cfg     Config
	ca      *authority
	rec     *Recorder
	listen  context.Context
	closers []io.Closer
	tasks   []func(context.Context) error
}

func (s *servers) open() error {
	site := web{s.rec}.handler()
	secure := tlsConfig(s.ca, s.rec)
	zone := newZone(s.cfg.Names)
	p := s.cfg.Ports
	for _, addr := range s.cfg.Listen {
		err := errors.Join(
			s.tcp(addr, p.HTTP, func(ctx context.Context, ln net.Listener) error { return serveHTTP(ctx, ln, site, nil) }),
			s.tcp(addr, p.HTTPS, func(ctx context.Context, ln net.Listener) error { return serveHTTP(ctx, ln, site, secure) }),
			s.udp(addr, p.HTTPS, false, func(ctx context.Context, c *net.UDPConn) error {
				return serveHTTP3(ctx, c, site, quicConfig(s.ca))
			}),
			s.tcp(addr, p.DNS, func(ctx context.Context, ln net.Listener) error {
				return serveDNS(ctx, &dns.Server{Listener: ln, Handler: dnsHandler{zone, s.rec},
					IdleTimeout: func() time.Duration { return 10 * time.Second }})
			}),
			s.udp(addr, p.DNS, true, func(ctx context.Context, c *net.UDPConn) error {
				return serveUDP(ctx, c, dnsHandler{zone, s.rec}.datagram)
			}),
			s.tcp(addr, p.TCP, func(ctx context.Context, ln net.Listener) error { return serveTCP(ctx, ln, greeter{s.rec}.handle) }),
			s.tcp(addr, p.Stream, func(ctx context.Context, ln net.Listener) error { return serveTCP(ctx, ln, streamer{s.rec}.handle) }),
			s.udp(addr, p.UDPEcho, true, func(ctx context.Context, c *net.UDPConn) error { return serveUDP(ctx, c, echo{s.rec}.answer) }),
			s.udp(addr, p.Game, true, func(ctx context.Context, c *net.UDPConn) error { return serveUDP(ctx, c, newGame(s.rec).answer) }),
		)
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *servers) tcp(addr netip.Addr, ports []uint16, serve func(context.Context, net.Listener) error) error {
	for _, port := range ports {
		ln, err := listenTCP(s.listen, netip.AddrPortFrom(addr, port))
		if err != nil {
			return err
		}
		s.closers = append(s.closers, ln)
		s.tasks = append(s.tasks, func(ctx context.Context) error { return serve(ctx, ln) })
	}
	return nil
}

func (s *servers) udp(addr netip.Addr, ports []uint16, info bool, serve func(context.Context, *net.UDPConn) error) error {
	for _, port := range ports {
		conn, err := listenUDP(s.listen, netip.AddrPortFrom(addr, port), info)
		if err != nil {
			return err
		}
		s.closers = append(s.closers, conn)
		s.tasks = append(s.tasks, func(ctx context.Context) error { return serve(ctx, conn) })
	}
	return nil
}

// close gives back the sockets when not all could be opened.
func (s *servers) close() error {
	var errs []error
	for _, c := range s.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
