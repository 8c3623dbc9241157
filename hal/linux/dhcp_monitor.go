package linux

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// linkMonitor follows the state of one device by name, from a goroutine of its own.
type linkMonitor struct {
	device string
	news   *kernelSocket
	ask    *kernelSocket
	done   chan struct{}
	stop   context.CancelFunc

	mu      sync.Mutex
	link    hal.Interface // the last that was seen; zero: there is none of that name
	changed chan struct{} // closed when link changes, and replaced
	failed  error         // why the monitor ended
}

// openLinkMonitor opens its sockets in the namespace of the calling thread.
func openLinkMonitor(ctx context.Context, device string) (*linkMonitor, error) {
	m := &linkMonitor{device: device, changed: make(chan struct{}), done: make(chan struct{})}
	var err error
	m.news, err = openKernelSocket(unix.NETLINK_ROUTE, kernelSocketOptions{
		buffer: watchBuffer, groups: []uint32{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR},
	})
	if err != nil {
		return nil, err
	}
	if m.ask, err = openKernelSocket(unix.NETLINK_ROUTE, kernelSocketOptions{}); err != nil {
		m.news.close()
		return nil, err
	}
	ctx, m.stop = context.WithCancel(ctx)
	if err := m.look(ctx); err != nil {
		m.stop()
		m.news.close()
		m.ask.close()
		return nil, err
	}
	go m.run(ctx)
	return m, nil
}

// close ends the goroutine and waits for it.
func (m *linkMonitor) close() {
	m.stop()
	<-m.done
	m.news.close()
	m.ask.close()
}

func (m *linkMonitor) run(ctx context.Context) {
	defer close(m.done)
	var broken error
	look := func() {
		if err := m.look(ctx); err != nil {
			broken = err
			m.news.close() // ends listen
		}
	}
	err := m.news.listen(ctx, func(a message) {
		if m.concerns(a) {
			look()
		}
	}, look)
	if broken != nil {
		err = broken
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = err
	close(m.changed)
	m.changed = make(chan struct{})
}

// concerns tells whether a message may be about the device.
func (m *linkMonitor) concerns(a message) bool {
	link, _ := m.state()
	switch a.kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		i, ok := decodeLink(a.payload)
		return ok && (i.Name == m.device || i.Index == link.Index)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		index, _, _, ok := decodeAddress(a.payload)
		return ok && index == link.Index
	}
	return false
}

// look reads the device's state anew: a message tells that something changed, and the kernel is the one who knows what.
func (m *linkMonitor) look(ctx context.Context) error {
	v := newDeviceView()
	if err := v.read(ctx, m.ask); err != nil {
		return err
	}
	var link hal.Interface
	for _, i := range v.list() {
		if i.Name == m.device {
			link = i
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	same := slices.Equal(link.Addrs, m.link.Addrs) && sameLink(link, m.link)
	if !same {
		m.link = link
		close(m.changed)
		m.changed = make(chan struct{})
	}
	return nil
}

// sameLink tells whether a lease obtained on the one holds for the other.
func sameLink(a, b hal.Interface) bool {
	return a.Index == b.Index && a.MAC == b.MAC && a.Up == b.Up && a.Carrier == b.Carrier
}

// state is the device as last seen, and a channel that is closed when that changes.
func (m *linkMonitor) state() (hal.Interface, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.link, m.changed
}

// err is why the monitor ended; nil while it runs.
func (m *linkMonitor) err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// while is a context that ends with errLinkChanged when the link is no longer what it was.
func (m *linkMonitor) while(ctx context.Context, link hal.Interface) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		for {
			now, changed := m.state()
			if !sameLink(now, link) || m.err() != nil {
				cancel(errLinkChanged)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}
