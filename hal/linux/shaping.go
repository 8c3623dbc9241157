package linux

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// shapers reads and edits HTB trees by raw rtnetlink messages (shaping_wire.go). All that it remembers is which of the
// announced changes were its own.
//
// The messages are our own because a class is only what it should be if all of it is sent each time, overhead included, and read
// back as it stands: libraries leave out the one or misread the other.
type shapers struct{ own *ports }

// undoTime is for putting back what stood before: a few thousand messages of some 20 µs.
const undoTime = 10 * time.Second

// deviceQueues is a device's queueing disciplines, over one socket.
type deviceQueues struct {
	*kernelSocket
	name  string
	index int32
	ours  bool // as far as is known, the root is a shaper of ours
}

func (sh shapers) openQueues(device string) (*deviceQueues, error) {
	i, err := net.InterfaceByName(device)
	if err != nil {
		return nil, fmt.Errorf("find device %s: %w", device, hal.ErrNotFound)
	}
	s, err := openKernelSocket(unix.NETLINK_ROUTE, kernelSocketOptions{})
	if err != nil {
		return nil, err
	}
	sh.own.add(s)
	return &deviceQueues{kernelSocket: s, name: device, index: int32(i.Index)}, nil
}

// Shaping reads what stands on a device.
func (sh shapers) Shaping(ctx context.Context, device string) (hal.Shaping, error) {
	q, err := sh.openQueues(device)
	if err != nil {
		return hal.Shaping{Device: device}, err
	}
	defer q.close()
	s, _, err := q.read(ctx)
	return s, err
}

// SetShaping makes the device's tree equal to s.
func (sh shapers) SetShaping(ctx context.Context, s hal.Shaping) error {
	if err := s.Validate(); err != nil {
		return err
	}
	q, err := sh.openQueues(s.Device)
	if err != nil {
		return err
	}
	defer q.close()
	before, _, err := q.read(ctx)
	if err != nil {
		return err
	}
	err = q.change(ctx, before, s)
	if err == nil {
		return nil
	}
	// Also when the caller has no more time: half a tree is worse than a late answer. The socket of a call whose context ended is closed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if lost := sh.restore(ctx, before); lost != nil {
		return fmt.Errorf("shape %s: %w; %w: %w", s.Device, err, hal.ErrUnshaped, lost)
	}
	return fmt.Errorf("shape %s: %w", s.Device, err)
}

// restore brings back what stood before a change failed; when it cannot, it removes all and says why.
func (sh shapers) restore(ctx context.Context, before hal.Shaping) error {
	q, err := sh.openQueues(before.Device)
	if err != nil {
		return err
	}
	defer q.close()
	now, _, err := q.read(ctx)
	if err == nil {
		err = q.change(ctx, now, before)
	}
	if err != nil {
		_ = q.removeRoot(ctx) // the error is told already
	}
	return err
}

// ChangeClass changes one class.
func (sh shapers) ChangeClass(ctx context.Context, device string, c hal.Class) error {
	q, err := sh.openQueues(device)
	if err != nil {
		return err
	}
	defer q.close()
	// Without NLM_F_CREATE a class that is gone stays so.
	return q.edit(ctx, unix.RTM_NEWTCLASS, 0, classMessage(q.index, c), "change class %x of %s", c.ID, device)
}

// ClassCounters reads what the classes of a device did.
func (sh shapers) ClassCounters(ctx context.Context, device string) (map[uint16]hal.ClassCounter, error) {
	q, err := sh.openQueues(device)
	if err != nil {
		return nil, err
	}
	defer q.close()
	_, counters, err := q.read(ctx)
	return counters, err
}

// Shaped lists the devices that have a tree of the router's.
func (shapers) Shaped(ctx context.Context) ([]string, error) {
	s, err := openKernelSocket(unix.NETLINK_ROUTE, kernelSocketOptions{})
	if err != nil {
		return nil, err
	}
	defer s.close()
	owned := map[int32]bool{}
	if err := s.dump(ctx, unix.RTM_GETQDISC, queueRequest(0, 0, 0), func() func(message) {
		clear(owned)
		return func(m message) {
			if index, ok := ownRoot(m); ok {
				owned[index] = true
			}
		}
	}); err != nil {
		return nil, kernelError(err, "list the queues of all devices")
	}
	var out []string
	for index := range owned {
		if i, err := net.InterfaceByIndex(int(index)); err == nil { // else it went meanwhile
			out = append(out, i.Name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// read lists the device's tree and what its classes did. It reads anew when the tree changes meanwhile.
func (q *deviceQueues) read(ctx context.Context) (hal.Shaping, map[uint16]hal.ClassCounter, error) {
	for attempt := 0; ; attempt++ {
		var d dumpedTree
		err := q.ask(ctx, unix.RTM_GETQDISC, unix.NLM_F_DUMP, queueRequest(q.index, 0, 0), d.addQueue(q.index))
		if err == nil && d.ours {
			err = q.ask(ctx, unix.RTM_GETTCLASS, unix.NLM_F_DUMP, queueRequest(q.index, 0, 0), d.addClass(q.index))
		}
		if errors.Is(err, errChangedMeanwhile) && attempt < dumpAttempts {
			continue
		}
		if err != nil {
			return hal.Shaping{Device: q.name}, nil, kernelError(err, "read the queues of %s", q.name)
		}
		q.ours = d.ours
		return d.shaping(q.name), d.counters, nil
	}
}

// change goes from one tree to another: what is new or different first, parents before children, then what is gone, children first.
func (q *deviceQueues) change(ctx context.Context, from, to hal.Shaping) error {
	// An HTB root takes no change, and a class neither another parent nor another kind: begin anew.
	if q.ours && (len(from.Classes) == 0 || len(to.Classes) == 0 || from.Default != to.Default || moved(from, to)) {
		if err := q.removeRoot(ctx); err != nil {
			return err
		}
		from.Classes = nil
	}
	if len(to.Classes) == 0 {
		return nil
	}
	if len(from.Classes) == 0 {
		if err := q.addRoot(ctx, to.Default); err != nil {
			return err
		}
	}
	standing := map[uint16]hal.Class{}
	for _, c := range from.Classes {
		standing[c.ID] = c
	}
	for _, c := range to.Classes {
		old, there := standing[c.ID]
		delete(standing, c.ID)
		if !there || !c.Same(old) {
			if err := q.setClass(ctx, c); err != nil {
				return err
			}
		}
		if there && old.Leaf() && old.Queue.Kind != c.Queue.Kind {
			// A queue's handle belongs to its kind. What waits in it is lost, in this case alone.
			if err := q.removeQueue(ctx, old); err != nil {
				return err
			}
		}
		if c.Leaf() && (!there || old.Queue != c.Queue) {
			if err := q.setQueue(ctx, c); err != nil {
				return err
			}
		}
	}
	for _, c := range slices.Backward(from.Classes) {
		if _, gone := standing[c.ID]; gone {
			if err := q.removeClass(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// moved tells whether a class has another parent or turned from a leaf into an inner class, or back.
func moved(from, to hal.Shaping) bool {
	old := map[uint16]hal.Class{}
	for _, c := range from.Classes {
		old[c.ID] = c
	}
	return slices.ContainsFunc(to.Classes, func(c hal.Class) bool {
		o, there := old[c.ID]
		return there && (o.Parent != c.Parent || o.Leaf() != c.Leaf())
	})
}

func (q *deviceQueues) edit(ctx context.Context, kind, flags uint16, payload []byte, doing string, args ...any) error {
	err := q.ask(ctx, kind, flags|unix.NLM_F_ACK, payload, func(message) {})
	if kind == unix.RTM_NEWQDISC && errors.Is(err, unix.ENOENT) {
		err = fmt.Errorf("%w (%w)", hal.ErrUnsupported, err) // the kernel's word for a discipline that it does not have
		return fmt.Errorf(doing+": %w", append(args, err)...)
	}
	return kernelError(err, doing, args...)
}

func (q *deviceQueues) addRoot(ctx context.Context, fallback uint16) error {
	return q.edit(ctx, unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, rootMessage(q.index, fallback), "add the shaper's root")
}

func (q *deviceQueues) removeRoot(ctx context.Context) error {
	return q.edit(ctx, unix.RTM_DELQDISC, 0, queueRequest(q.index, 0, tcRoot), "remove the shaper")
}

func (q *deviceQueues) setClass(ctx context.Context, c hal.Class) error {
	return q.edit(ctx, unix.RTM_NEWTCLASS, unix.NLM_F_CREATE, classMessage(q.index, c), "set class %x", c.ID)
}

func (q *deviceQueues) setQueue(ctx context.Context, c hal.Class) error {
	return q.edit(ctx, unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, queueMessage(q.index, c), "set the queue of class %x (%s)", c.ID, c.Queue)
}

func (q *deviceQueues) removeQueue(ctx context.Context, c hal.Class) error {
	return q.edit(ctx, unix.RTM_DELQDISC, 0, queueRequest(q.index, uint32(c.Handle())<<16, classHandle(c.ID)), "remove the queue of class %x", c.ID)
}

func (q *deviceQueues) removeClass(ctx context.Context, c hal.Class) error {
	return q.edit(ctx, unix.RTM_DELTCLASS, 0, queueRequest(q.index, classHandle(c.ID), 0), "remove class %x", c.ID)
}
