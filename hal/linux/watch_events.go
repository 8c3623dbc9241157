package linux

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

const (
	// watchBuffer holds some ten thousand announcements: a full conntrack flush or the arrival of a large network's
	// routes must not overrun it while the receiver is busy for a second.
	watchBuffer = 4 << 20

	// The kernel announces a loss of carrier at once only if it announced no link change in the last second, whatever
	// the device or the namespace; else it waits for that second to end (linkwatch_schedule_work in
	// net/core/link_watch.c). The devices' own state is right at once, so it is also looked at: often while an
	// announcement may be held back, seldom otherwise.
	lookOften  = 40 * time.Millisecond
	lookSeldom = 200 * time.Millisecond
	heldBack   = 1500 * time.Millisecond
)

// firstPidNamespace is the inode of the pid namespace in which the kernel counts (PROC_PID_INIT_INO).
const firstPidNamespace = "pid:[4026531836]"

// Watch implements hal.Interfaces. Changes that this process makes to the firewall and to queues are not announced; those of a
// process that it starts (nft) are, so the receiver compares fingerprints.
//
// The kernel does not announce the IPv4 routes that it drops with an address or with a device that is switched
// off: Watch announces a RoutingChanged of table 0 in these cases.
func (m *Machine) Watch(ctx context.Context, f func(hal.Event), lost func()) error {
	return m.keepListening(ctx, "interfaces, routes and the firewall", func(opened func()) error {
		w, err := openWatch(ctx, m.shapers.own)
		if err != nil {
			return err
		}
		defer w.close()
		opened()
		lost()
		return w.run(ctx, f, lost)
	})
}

// watch is one life of Watch's sockets. Two goroutines read them into the channel; run's goroutine does the rest.
type watch struct {
	routing  *kernelSocket // announcements of rtnetlink
	firewall *kernelSocket // announcements of nftables
	requests *kernelSocket // asks for the state
	devices  *deviceView
	own      *ports // of sockets whose changes of queues are not announced
	threads  string // directory of this process's threads; "" when their numbers are not comparable
	lastLink time.Time
}

// openWatch subscribes first and reads the state second, so that nothing falls between.
func openWatch(ctx context.Context, own *ports) (w *watch, err error) {
	w = &watch{devices: newDeviceView(), own: own, lastLink: time.Now()}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil && ns == firstPidNamespace {
		w.threads = "/proc/self/task/"
	}
	w.routing, err = openKernelSocket(unix.NETLINK_ROUTE, kernelSocketOptions{buffer: watchBuffer, groups: []uint32{
		unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_TC,
	}})
	if err != nil {
		return w, fmt.Errorf("listen to changes of interfaces and routes: %w", err)
	}
	w.firewall, err = openKernelSocket(unix.NETLINK_NETFILTER, kernelSocketOptions{
		buffer: watchBuffer, groups: []uint32{unix.NFNLGRP_NFTABLES}, filter: onlyGenerations(),
	})
	if err != nil {
		return w, fmt.Errorf("listen to changes of the firewall: %w", err)
	}
	if w.requests, err = openKernelSocket(unix.NETLINK_ROUTE, kernelSocketOptions{}); err != nil {
		return w, err
	}
	return w, w.devices.read(ctx, w.requests)
}

func (w *watch) close() {
	for _, s := range []*kernelSocket{w.routing, w.firewall, w.requests} {
		if s != nil {
			s.close()
		}
	}
}

// newGeneration is the message type that ends each transaction of nftables.
const newGeneration = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN

// onlyGenerations is a socket filter that lets the one message through that ends a transaction, and none of those
// about its single chains, rules and elements. BPF loads in network order what stands there in host order.
func onlyGenerations() []bpf.RawInstruction {
	kind := uint32(net16(hostOrder16(newGeneration)))
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: kind, SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 18},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		panic("the constant filter program does not assemble: " + err.Error())
	}
	return raw
}

// announced is a message copied out of a socket's buffer, or the news that some were lost.
type announced struct {
	message
	firewall, lost bool
}

// run hands out events until the context ends or a socket fails.
func (w *watch) run(ctx context.Context, f func(hal.Event), lost func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	news := make(chan announced, 256)
	var readers sync.WaitGroup
	read := func(s *kernelSocket, firewall bool) {
		send := func(a announced) {
			select {
			case news <- a:
			case <-ctx.Done():
			}
		}
		cancel(s.listen(ctx, func(m message) {
			m.payload = append([]byte(nil), m.payload...)
			send(announced{message: m, firewall: firewall})
		}, func() { send(announced{lost: true}) }))
	}
	readers.Go(func() { read(w.routing, false) })
	readers.Go(func() { read(w.firewall, true) })
	defer readers.Wait()
	defer cancel(nil)

	look := time.NewTimer(lookOften)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case a := <-news:
			switch {
			case a.lost:
				if err := w.devices.read(ctx, w.requests); err != nil {
					return err
				}
				lost()
			case a.firewall:
				w.firewallNews(a.message, f)
			default:
				w.routingNews(a.message, f)
			}
		case <-look.C:
			// What is still queued is older than what a look would show.
			if len(news) == 0 {
				if err := w.look(ctx, f); err != nil {
					return err
				}
			}
			next := lookSeldom
			if time.Since(w.lastLink) < heldBack {
				next = lookOften
			}
			look.Reset(next)
		}
	}
}

// look compares the devices' state with what is known.
func (w *watch) look(ctx context.Context, f func(hal.Event)) error {
	var seen []hal.Interface
	err := w.devices.readLinks(ctx, w.requests, func(i hal.Interface) { seen = append(seen, i) })
	for _, i := range seen {
		w.linkNews(i, f)
	}
	if errors.Is(err, errChangedMeanwhile) {
		return nil // the next look is near
	}
	return kernelError(err, "look at the network interfaces")
}

// firewallNews announces a transaction unless a thread of this process committed it.
func (w *watch) firewallNews(m message, f func(hal.Event)) {
	if m.kind != newGeneration {
		return
	}
	if thread := decodeGeneration(m.payload); w.threads != "" && thread > 0 {
		if _, err := os.Stat(w.threads + strconv.Itoa(thread)); err == nil {
			return
		}
	}
	f(hal.Event{Kind: hal.FirewallChanged})
}

func (w *watch) routingNews(m message, f func(hal.Event)) {
	switch m.kind {
	case unix.RTM_NEWLINK:
		if i, ok := decodeLink(m.payload); ok {
			w.lastLink = time.Now()
			w.linkNews(i, f)
		}
	case unix.RTM_DELLINK:
		w.lastLink = time.Now()
		w.linkGone(m, f)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		index, changed := w.devices.applyAddress(m)
		if !changed {
			return
		}
		f(hal.Event{Kind: hal.InterfaceChanged, Interface: w.devices.get(index)})
		if m.kind == unix.RTM_DELADDR {
			f(hal.Event{Kind: hal.RoutingChanged})
		}
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		if index, n, ok := decodeNeighbour(m.payload); ok {
			n.Interface, n.Deleted = w.devices.name(index), m.kind == unix.RTM_DELNEIGH
			if n.Interface != "" {
				f(hal.Event{Kind: hal.NeighbourChanged, Neighbour: n, Deleted: n.Deleted})
			}
		}
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if table, ok := decodeRouteTable(m.payload); ok {
			f(hal.Event{Kind: hal.RoutingChanged, Table: table, Deleted: m.kind == unix.RTM_DELROUTE})
		}
	case unix.RTM_NEWQDISC, unix.RTM_DELQDISC, unix.RTM_NEWTCLASS, unix.RTM_DELTCLASS, unix.RTM_NEWTFILTER, unix.RTM_DELTFILTER:
		if !w.own.has(m.pid) {
			f(hal.Event{Kind: hal.ShapingChanged})
		}
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		f(hal.Event{Kind: hal.RoutingChanged, Deleted: m.kind == unix.RTM_DELRULE})
	}
}

// linkNews announces a device's new state if it is new.
func (w *watch) linkNews(i hal.Interface, f func(hal.Event)) {
	before, changed := w.devices.applyLink(i)
	if !changed {
		return
	}
	w.lastLink = time.Now()
	if before.Name != "" && before.Name != i.Name { // renamed: nothing of the old name is left
		f(hal.Event{Kind: hal.InterfaceChanged, Interface: before, Deleted: true})
	}
	f(hal.Event{Kind: hal.InterfaceChanged, Interface: w.devices.get(i.Index)})
	if before.Up && !i.Up {
		f(hal.Event{Kind: hal.RoutingChanged})
	}
}

func (w *watch) linkGone(m message, f func(hal.Event)) {
	i, ok := decodeLink(m.payload)
	if !ok {
		return
	}
	i = w.devices.get(i.Index)
	if i.Name == "" {
		return
	}
	delete(w.devices.devices, i.Index)
	i.Up, i.Carrier = false, false
	f(hal.Event{Kind: hal.InterfaceChanged, Interface: i, Deleted: true})
	f(hal.Event{Kind: hal.RoutingChanged})
}
