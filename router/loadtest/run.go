package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/trenza-router/trenza/hal"
)

const (
	// pingEvery is how often the server is pinged.
	pingEvery = 50 * time.Millisecond
	// pingTimeout is after when a ping is given up.
	pingTimeout = 2 * time.Second
	// pointEvery is the time of a Point.
	pointEvery = 250 * time.Millisecond
	// settled is the part of a phase after which it counts.
	settled = 0.25
)

// Options say what to test and how.
type Options struct {
	Sockets hal.Sockets
	Via     hal.Via // the link
	// Carried are the bytes that the link's device has received and sent.
	Carried func() (received, sent uint64, err error)
	// Lookup finds the addresses of a host, the one to use first, and refuses those that may not be asked.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Server is what is downloaded again and again. Uploads are posted to Upload, or, where it is nil, to Server when it says that it takes them.
	Server, Upload *url.URL
	Idle, Load     time.Duration // the phases' lengths
	Streams        int           // connections at a time
	Progress       func(Point)   // called from one goroutine; may be nil
}

// ErrNoAnswer: the server answers neither pings nor connections.
var ErrNoAnswer = errors.New("the server answers neither pings nor connections over this link")

// Run tests a link until all phases are over or the context ends, which is an error. The server's own errors are told with its address.
func Run(ctx context.Context, o Options) (Result, error) {
	r := &runner{Options: o, began: time.Now(), client: newTransfers(o)}
	defer r.client.close()
	if err := r.chooseProbe(ctx); err != nil {
		return Result{}, fmt.Errorf("testing against %s: %w", o.Server.Host, err)
	}
	out := Result{Probes: r.probes}
	var err error
	if out.Idle, err = r.phase(ctx, Idle, o.Idle, nil); err != nil {
		return Result{}, err
	}
	if out.Down, err = r.phase(ctx, Down, o.Load, r.client.download); err != nil {
		return Result{}, fmt.Errorf("downloading from %s: %w", o.Server.Redacted(), err)
	}
	if to := r.client.uploadTo(); to != nil {
		if out.Up, err = r.phase(ctx, Up, o.Load, r.client.upload); err != nil {
			return Result{}, fmt.Errorf("uploading to %s: %w", to.Redacted(), err)
		}
	}
	out.Points, out.Grade = r.points, Grade(out.Added())
	return out, nil
}

type runner struct {
	Options
	began  time.Time
	client *transfers
	probes string
	ping   func(ctx context.Context) (time.Duration, error)
	points []Point
}

// chooseProbe takes pings where the server answers one of three, else the time that a connection takes.
func (r *runner) chooseProbe(ctx context.Context) error {
	addrs, err := r.Lookup(ctx, r.Server.Hostname())
	if err != nil {
		return err
	}
	try := func(ping func(context.Context) (time.Duration, error)) bool {
		for range 3 {
			once, cancel := context.WithTimeout(ctx, pingTimeout)
			_, err := ping(once)
			cancel()
			if err == nil {
				return true
			}
		}
		return false
	}
	for _, a := range addrs {
		echo := func(ctx context.Context) (time.Duration, error) { return r.Sockets.Ping(ctx, r.Via, a) }
		connect := func(ctx context.Context) (time.Duration, error) {
			began := time.Now()
			c, err := r.Sockets.Dial(ctx, r.Via, "tcp", netip.AddrPortFrom(a, port(r.Server)))
			if err != nil {
				return 0, err
			}
			took := time.Since(began)
			return took, c.Close()
		}
		switch {
		case try(echo):
			r.probes, r.ping = "icmp", echo
		case try(connect):
			r.probes, r.ping = "tcp", connect
		default:
			continue
		}
		r.client.prefer = a
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return ErrNoAnswer
}

// answers are the fates of pings, as they come.
type answers struct {
	mu    sync.Mutex
	fresh []time.Duration // since the last Point
	lost  int
}

func (a *answers) add(rtt time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.lost++
	} else {
		a.fresh = append(a.fresh, rtt)
	}
}

func (a *answers) take() ([]time.Duration, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh, lost := a.fresh, a.lost
	a.fresh, a.lost = nil, 0
	return fresh, lost
}

// phase loads the link by transfers (nil: by none) for a time. The error is that of the transfers, or the context's.
func (r *runner) phase(ctx context.Context, name Phase, length time.Duration, transfer func(context.Context) error) (Load, error) {
	work, stop := context.WithTimeout(ctx, length)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	failed := make(chan error, r.Streams)
	if transfer != nil {
		for range r.Streams {
			wg.Go(func() {
				if err := transfer(work); err != nil && work.Err() == nil {
					failed <- err
					stop()
				}
			})
		}
	}
	s := phaseSum{name: name, began: time.Now(), length: length}
	if err := s.start(r.Carried); err != nil {
		return Load{}, err
	}
	// A ping outlives the phase's load for as long as its answer may take.
	pings, endPings := context.WithTimeout(ctx, length+pingTimeout)
	defer endPings()
	var sent sync.WaitGroup
	a := &answers{}
	send := func() {
		sent.Go(func() {
			once, cancel := context.WithTimeout(pings, pingTimeout)
			defer cancel()
			rtt, err := r.ping(once)
			a.add(rtt, err)
		})
	}
	tick, point := time.NewTicker(pingEvery), time.NewTicker(pointEvery)
	defer tick.Stop()
	defer point.Stop()
	send()
	note := func() error {
		p, err := s.point(r.Carried, a, r.began)
		if err != nil {
			return err
		}
		r.points = append(r.points, p)
		if r.Progress != nil {
			r.Progress(p)
		}
		return nil
	}
	for work.Err() == nil {
		select {
		case <-work.Done():
		case <-tick.C:
			send()
		case <-point.C:
			if err := note(); err != nil {
				return Load{}, err
			}
		}
	}
	wg.Wait()
	sent.Wait()
	select {
	case err := <-failed:
		return Load{}, err
	default:
	}
	if err := ctx.Err(); err != nil {
		return Load{}, err
	}
	if err := note(); err != nil {
		return Load{}, err
	}
	return s.load(), nil
}

// phaseSum adds up a phase.
type phaseSum struct {
	name   Phase
	began  time.Time
	length time.Duration

	at          time.Time // of the point before
	bytes       uint64
	firstAt     time.Time // of the first point that counts
	firstBytes  uint64
	lastAt      time.Time // of the last point in which the load ran
	lastBytes   uint64
	early, late []time.Duration
	lost, all   int
}

func (s *phaseSum) count(carried func() (uint64, uint64, error)) (uint64, error) {
	received, sent, err := carried()
	if s.name == Up {
		return sent, err
	}
	return received, err
}

func (s *phaseSum) start(carried func() (uint64, uint64, error)) (err error) {
	s.bytes, err = s.count(carried)
	s.at = s.began
	s.firstAt, s.firstBytes = s.at, s.bytes
	return err
}

func (s *phaseSum) point(carried func() (uint64, uint64, error), a *answers, test time.Time) (Point, error) {
	now := time.Now()
	bytes, err := s.count(carried)
	if err != nil {
		return Point{}, fmt.Errorf("counting what the link carries: %w", err)
	}
	fresh, lost := a.take()
	p := Point{At: now.Sub(test).Round(time.Millisecond), Phase: s.name, Delay: percentile(fresh, 0.5), Worst: percentile(fresh, 1), Lost: lost}
	if span := now.Sub(s.at).Seconds(); span > 0 && bytes >= s.bytes {
		p.Rate = uint64(float64(bytes-s.bytes) * 8 / span)
	}
	s.all += len(fresh) + lost
	s.lost += lost
	if float64(now.Sub(s.began)) < settled*float64(s.length) {
		s.early = append(s.early, fresh...)
		s.firstAt, s.firstBytes = now, bytes
	} else {
		s.late = append(s.late, fresh...)
	}
	if now.Sub(s.began) <= s.length || s.lastAt.IsZero() {
		s.lastAt, s.lastBytes = now, bytes
	}
	s.at, s.bytes = now, bytes
	return p, nil
}

func (s *phaseSum) load() Load {
	delays := s.late
	if len(delays) == 0 {
		delays = s.early
	}
	l := Load{Median: percentile(delays, 0.5), P95: percentile(delays, 0.95), Pings: len(delays)}
	if s.all > 0 {
		l.LostPart = float64(s.lost) / float64(s.all)
	}
	if !s.lastAt.After(s.firstAt) { // the machine stood still: what came after the load is better than nothing
		s.lastAt, s.lastBytes = s.at, s.bytes
	}
	if span := s.lastAt.Sub(s.firstAt).Seconds(); span > 0 && s.lastBytes >= s.firstBytes {
		l.Rate = uint64(float64(s.lastBytes-s.firstBytes) * 8 / span)
	}
	return l
}
