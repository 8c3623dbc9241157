package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/trenza-router/trenza/integration/netlab/internet/wire"
)

// open finds a target and connects to it over TCP within a timeout.
func (c *Client) open(ctx context.Context, t Target, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addrs, err := c.addresses(ctx, t)
	if err != nil {
		return nil, err
	}
	return dialTCP(ctx, t, addrs)
}

// Connect opens one connection or sends one datagram. Silence of a server is not an error; no connection is.
func (c *Client) Connect(ctx context.Context, job Connect) (Connected, error) {
	job.Wait = orDefault(job.Wait, 2*time.Second)
	job.Timeout = orDefault(job.Timeout, 10*time.Second)
	start := time.Now()
	var conn net.Conn
	var err error
	switch job.Network {
	case "", "tcp":
		job.Port = orDefault(job.Port, 7)
		conn, err = c.open(ctx, job.Target, job.Timeout)
	case "udp":
		var addrs []netip.Addr
		if addrs, err = c.addresses(ctx, job.Target); err != nil {
			return Connected{}, err
		}
		conn, err = firstUDP(ctx, job.Target, addrs)
	default:
		return Connected{}, badJob("network %q: want tcp or udp", job.Network)
	}
	if err != nil {
		return Connected{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	out := Connected{Local: addrPort(conn.LocalAddr()), Addr: addrPort(conn.RemoteAddr()), DialTime: time.Since(start)}
	if job.Network == "udp" {
		return c.datagram(conn, job, out)
	}
	r := bufio.NewReaderSize(conn, maxBody)
	if job.Wait > 0 {
		_ = conn.SetReadDeadline(time.Now().Add(job.Wait))
		// The greeting is a line that starts like JSON; any other first bytes are kept.
		if first, err := r.Peek(1); err == nil && first[0] == '{' {
			if line, err := wire.ReadText(r); err == nil && json.Unmarshal(line, &out.Seen) != nil {
				out.Received = string(line)
			}
		} else if err != nil && !isSilence(err) {
			return out, fmt.Errorf("read from %s: %w", out.Addr, err)
		}
	}
	if job.Send != "" {
		if _, err := conn.Write([]byte(job.Send)); err != nil {
			return out, fmt.Errorf("write to %s: %w", out.Addr, err)
		}
	}
	if job.Wait > 0 && (job.Send != "" || r.Buffered() > 0) {
		_ = conn.SetReadDeadline(time.Now().Add(job.Wait))
		_, err := r.Peek(1)
		if err != nil && !isSilence(err) {
			return out, fmt.Errorf("read from %s: %w", out.Addr, err)
		}
		rest, _ := r.Peek(r.Buffered())
		out.Received += string(rest)
	}
	return out, ctx.Err()
}

func (c *Client) datagram(conn net.Conn, job Connect, out Connected) (Connected, error) {
	if _, err := conn.Write([]byte(job.Send)); err != nil {
		return out, fmt.Errorf("send to %s: %w", out.Addr, err)
	}
	if job.Wait < 0 {
		return out, nil
	}
	_ = conn.SetReadDeadline(time.Now().Add(job.Wait))
	buf := make([]byte, maxBody)
	n, err := conn.Read(buf)
	if err != nil {
		return out, fmt.Errorf("no answer from %s: %w", out.Addr, err)
	}
	out.Received = string(buf[:n])
	return out, nil
}

func isSilence(err error) bool { return CauseOf(err) == Timeout }

// Transfer moves one checked stream. An error comes with what was reached.
func (c *Client) Transfer(ctx context.Context, job Transfer, progress func(Moved)) (Transferred, error) {
	job.Port = orDefault(job.Port, 9000)
	job.Timeout = orDefault(job.Timeout, 30*time.Second)
	if err := job.Check(); err != nil {
		return Transferred{}, badJob("transfer: %v", err)
	}
	conn, err := c.open(ctx, job.Target, job.Timeout)
	if err != nil {
		return Transferred{Broken: true}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	out := Transferred{Addr: addrPort(conn.RemoteAddr()), Local: addrPort(conn.LocalAddr())}
	alive := func() { _ = conn.SetDeadline(time.Now().Add(job.Timeout)) }
	alive()
	fail := func(err error) (Transferred, error) {
		out.Broken = !errors.Is(err, wire.ErrCorrupt)
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		out.Outcome.Error = err.Error()
		return out, err
	}
	if err := wire.WriteLine(conn, job.Order); err != nil {
		return fail(fmt.Errorf("order the stream: %w", err))
	}
	r := bufio.NewReader(conn)
	if err := wire.ReadLine(r, &out.Seen); err != nil {
		return fail(fmt.Errorf("read what the server saw: %w", err))
	}
	watched := meter(progress, alive)
	if job.Direction == wire.Down {
		out.Outcome, err = wire.Receive(r, watched)
		if err != nil {
			return fail(err)
		}
		return out, nil
	}
	start := time.Now()
	out.Outcome.Bytes, err = wire.Send(ctx, conn, job.Order, watched)
	out.Outcome.Elapsed = time.Since(start)
	if err != nil {
		return fail(err)
	}
	alive()
	var theirs wire.Outcome
	if err := wire.ReadLine(r, &theirs); err != nil {
		return fail(fmt.Errorf("read the server's outcome: %w", err))
	}
	out.Outcome = theirs
	if !theirs.Intact {
		return out, fmt.Errorf("%w: the server says: %s", wire.ErrCorrupt, theirs.Error)
	}
	return out, nil
}

// Flood opens Count connections and counts what the servers saw. Failed connections are counted, not an error.
func (c *Client) Flood(ctx context.Context, job Flood, progress func(Flooded)) (Flooded, error) {
	job.Port = orDefault(job.Port, 7)
	job.Parallel = orDefault(job.Parallel, 16)
	job.Timeout = orDefault(job.Timeout, 10*time.Second)
	hosts := job.Hosts
	if len(hosts) == 0 {
		hosts = []string{job.Host}
	}
	if job.Count < 1 || job.Parallel < 1 {
		return Flooded{}, badJob("flood of %d connections, %d at once: want 1 or more", job.Count, job.Parallel)
	}
	targets := make([]Target, len(hosts))
	addrs := make([][]netip.Addr, len(hosts))
	for i, h := range hosts {
		targets[i] = job.Target
		targets[i].Host = h
		var err error
		if addrs[i], err = c.addresses(ctx, targets[i]); err != nil {
			return Flooded{}, err
		}
	}
	out := Flooded{Sources: make(map[netip.Addr]int), ByHost: make(map[string]map[netip.Addr]int), Errors: make(map[Cause]int)}
	start := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(job.Parallel, job.Count) {
		wg.Go(func() {
			for i := range next {
				host := i % len(hosts)
				seen, err := greet(ctx, targets[host], addrs[host], job.Tag, job.Timeout)
				mu.Lock()
				if err != nil {
					out.Failed++
					out.Errors[CauseOf(err)]++
				} else {
					source := seen.Remote.Addr()
					out.Sources[source]++
					if out.ByHost[hosts[host]] == nil {
						out.ByHost[hosts[host]] = make(map[netip.Addr]int)
					}
					out.ByHost[hosts[host]][source]++
				}
				mu.Unlock()
			}
		})
	}
	lastReport := start
feed:
	for i := range job.Count {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
		if progress != nil && time.Since(lastReport) >= time.Second {
			lastReport = time.Now()
			mu.Lock()
			part := Flooded{Sources: maps.Clone(out.Sources), Failed: out.Failed, Took: time.Since(start)}
			mu.Unlock()
			progress(part)
		}
	}
	close(next)
	wg.Wait()
	out.Took = time.Since(start)
	return out, ctx.Err()
}

// greet opens one connection, reads the greeting, leaves its tag and closes.
func greet(ctx context.Context, t Target, addrs []netip.Addr, tag string, timeout time.Duration) (wire.Seen, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var seen wire.Seen
	conn, err := dialTCP(ctx, t, addrs)
	if err != nil {
		return seen, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	r := bufio.NewReader(conn)
	if err := wire.ReadLine(r, &seen); err != nil {
		return seen, fmt.Errorf("read the greeting: %w", err)
	}
	if tag == "" {
		return seen, nil
	}
	if _, err := conn.Write([]byte(tag + "\n")); err != nil {
		return seen, fmt.Errorf("send the tag: %w", err)
	}
	_, err = wire.ReadText(r) // its echo: the server has recorded it
	return seen, err
}
