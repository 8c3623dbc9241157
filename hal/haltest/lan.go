package haltest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/trenza-router/trenza/hal"
)

// LAN is a hal.LANPorts, a hal.AddressServer and hal.AccessPoints in memory, on a Fake.
type LAN struct {
	Machine *Fake

	mu      sync.Mutex // guards all below
	made    map[string]bool
	serving *hal.AddressService
	starts  int
	refused error
	fail    chan error // of what serves
	radios  map[string]*onAir
}

// onAir is an access point that runs.
type onAir struct {
	point hal.AccessPoint
	fail  chan error
}

var (
	_ hal.LANPorts      = (*LAN)(nil)
	_ hal.AddressServer = (*LAN)(nil)
	_ hal.AccessPoints  = (*LAN)(nil)
)

// SetLANPort implements hal.LANPorts.
func (l *LAN) SetLANPort(ctx context.Context, p hal.LANPort) error {
	all, err := l.Machine.Interfaces(ctx)
	if err != nil {
		return err
	}
	known := map[string]hal.Interface{}
	for _, i := range all {
		known[i.Name] = i
	}
	d, there := known[p.Device]
	l.mu.Lock()
	ours := l.made[p.Device]
	if len(p.Ports) > 0 && !there {
		if l.made == nil {
			l.made = map[string]bool{}
		}
		l.made[p.Device] = true
	}
	l.mu.Unlock()
	switch {
	case len(p.Ports) > 0 && there && !ours:
		return fmt.Errorf("make bridge %s: %w", p.Device, hal.ErrExists)
	case len(p.Ports) == 0 && !there:
		return fmt.Errorf("set up %s: %w", p.Device, hal.ErrNotFound)
	}
	for _, name := range p.Ports {
		if i, ok := known[name]; ok && !i.Up {
			i.Up = true
			l.Machine.SetInterface(i)
		}
	}
	d.Name, d.Kind, d.Up, d.Carrier, d.Addrs = p.Device, "bridge", true, true, append(Addresses("fe80::77/64"), p.Addrs...)
	l.Machine.SetInterface(d)
	return nil
}

// RemoveLANPorts implements hal.LANPorts.
func (l *LAN) RemoveLANPorts(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.made {
		l.Machine.RemoveInterface(name)
	}
	l.made = nil
	return nil
}

// CheckAddresses implements hal.AddressServer.
func (l *LAN) CheckAddresses(_ context.Context, s hal.AddressService) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(s.Validate(), l.refused)
}

// ServeAddresses implements hal.AddressServer.
func (l *LAN) ServeAddresses(ctx context.Context, s hal.AddressService) error {
	l.mu.Lock()
	l.serving = &s
	l.starts++
	l.fail = make(chan error, 1)
	fail := l.fail
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.serving = nil
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-fail:
		return err
	}
}

// Serving is what hosts are given now, and how often a service was started; zero: nothing.
func (l *LAN) Serving() (s hal.AddressService, starts int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.serving != nil {
		s = *l.serving
	}
	return s, l.starts
}

// Refuse has every check fail from now on; nil: none.
func (l *LAN) Refuse(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = err
}

// Fail ends what serves now, as a program that crashes does.
func (l *LAN) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.serving == nil {
		return
	}
	select {
	case l.fail <- err:
	default: // it is ending
	}
}

// ServeAccessPoint implements hal.AccessPoints.
func (l *LAN) ServeAccessPoint(ctx context.Context, a hal.AccessPoint) error {
	if err := a.Validate(); err != nil {
		return err
	}
	air := &onAir{a, make(chan error, 1)}
	l.mu.Lock()
	if l.radios == nil {
		l.radios = map[string]*onAir{}
	}
	l.radios[a.Device] = air
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.radios, a.Device)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-air.fail:
		return err
	}
}

// OnAir is the access point that runs on a radio; zero: none does.
func (l *LAN) OnAir(device string) hal.AccessPoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	if air := l.radios[device]; air != nil {
		return air.point
	}
	return hal.AccessPoint{}
}

// FailRadio ends the access point of a radio, as a program that crashes does.
func (l *LAN) FailRadio(device string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if air := l.radios[device]; air != nil {
		select {
		case air.fail <- err:
		default: // it is ending
		}
	}
}
