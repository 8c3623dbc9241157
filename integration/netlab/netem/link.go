package netem

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/integration/netlab/emulator"
)

// Link is a cable with two ends. All methods may be called from any goroutine.
type Link struct {
	handle *netlink.Handle
	ends   [2]netlink.Link // by the direction in which frames leave there: far, near

	mu     sync.Mutex
	params emulator.Params
	blind  [2]bool // by Direction
	unplug bool
	past   [2]emulator.Counters // what disciplines and filters had counted that are gone
	last   [2]emulator.Counters // what was read last
}

// New makes a cable of the devices near (towards the customer) and far (towards the provider), which must exist in the network
// namespace of the calling thread, and switches them on. Without netem in the kernel the error says so.
func New(near, far string, p emulator.Params) (*Link, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("link %s to %s: %w", near, far, err)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	l := &Link{handle: h, params: p}
	if err := l.lay(near, far); err != nil {
		h.Close()
		return nil, fmt.Errorf("link %s to %s: %w", near, far, err)
	}
	return l, nil
}

func (l *Link) lay(near, far string) error {
	for d, name := range [2]string{emulator.Up: far, emulator.Down: near} {
		end, err := l.handle.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find device %s: %w", name, err)
		}
		l.ends[d] = end
	}
	for d := range directions {
		if err := l.handle.QdiscAdd(l.discipline(d)); err != nil {
			return fmt.Errorf("add netem (a kernel module: modprobe sch_netem): %w", err)
		}
		hook := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: l.from(d), Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
		}}
		if err := l.handle.QdiscAdd(hook); err != nil {
			return fmt.Errorf("add the ingress hook: %w", err)
		}
		if err := l.handle.FilterAdd(l.filter(d, passing, netlink.NewMirredAction(l.to(d)))); err != nil {
			return fmt.Errorf("redirect frames: %w", err)
		}
	}
	return l.setCarrier(true)
}

// directions are the two ways, to range over.
const directions = emulator.Direction(2)

// from and to are the devices at which frames of a direction come in and leave.
func (l *Link) from(d emulator.Direction) int { return l.ends[1-d].Attrs().Index }
func (l *Link) to(d emulator.Direction) int   { return l.ends[d].Attrs().Index }

// Close lets the devices be. They go with their namespace.
func (l *Link) Close() error {
	l.handle.Close()
	return nil
}

// Params returns the settings in force.
func (l *Link) Params() emulator.Params {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.params
}

// Set replaces the settings of both directions. Frames on their way are not dropped. An impossible value changes nothing.
func (l *Link) Set(p emulator.Params) error {
	if err := p.Check(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.params = p
	for d := range directions {
		if err := l.handle.QdiscChange(l.discipline(d)); err != nil {
			return fmt.Errorf("change netem on %s: %w", l.ends[d].Attrs().Name, err)
		}
	}
	return nil
}

// Blackhole makes one direction swallow every frame, those on their way too, or ends that. The ends notice nothing but the silence.
func (l *Link) Blackhole(d emulator.Direction, on bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.setBlind(d, on)
}

// Cut breaks the link both ways: silently, or with loss of carrier at both ends.
func (l *Link) Cut(silent bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.setCarrier(silent), l.setBlind(emulator.Up, true), l.setBlind(emulator.Down, true))
}

// Heal undoes Cut and Blackhole. The settings are as they were.
func (l *Link) Heal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.setBlind(emulator.Up, false), l.setBlind(emulator.Down, false), l.setCarrier(true))
}

// State returns what Cut, Blackhole and Heal left.
func (l *Link) State() emulator.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.unplug:
		return emulator.Unplugged
	case l.blind[emulator.Up] || l.blind[emulator.Down]:
		return emulator.Silent
	}
	return emulator.Whole
}

// setBlind needs l.mu.
func (l *Link) setBlind(d emulator.Direction, on bool) error {
	if l.blind[d] == on {
		return nil
	}
	swallow := l.filter(d, swallowing, &netlink.GenericAction{ActionAttrs: netlink.ActionAttrs{Action: netlink.TC_ACT_SHOT}})
	if !on {
		l.past[d].Cut = l.read(d).Cut
		if err := l.handle.FilterDel(swallow); err != nil {
			return fmt.Errorf("let frames pass again: %w", err)
		}
		l.blind[d] = false
		return nil
	}
	if err := l.handle.FilterAdd(swallow); err != nil {
		return fmt.Errorf("swallow frames: %w", err)
	}
	l.blind[d] = true
	// What is on its way goes with the discipline.
	l.past[d].Lost = l.read(d).Lost
	q := l.discipline(d)
	if err := errors.Join(l.handle.QdiscDel(q), l.handle.QdiscAdd(q)); err != nil {
		return fmt.Errorf("drop the frames on their way: %w", err)
	}
	return nil
}

// setCarrier needs l.mu. A veth device has carrier while its peer is on.
func (l *Link) setCarrier(on bool) error {
	l.unplug = !on
	set := l.handle.LinkSetUp
	if !on {
		set = l.handle.LinkSetDown
	}
	for _, end := range l.ends {
		if err := set(end); err != nil {
			return fmt.Errorf("switch %s: %w", end.Attrs().Name, err)
		}
	}
	return nil
}

// Priorities of the two filters of an end.
const (
	swallowing = 1 // only while the direction is blind
	passing    = 2
)

// filter sends every frame that comes in through an action.
func (l *Link) filter(d emulator.Direction, priority uint16, action netlink.Action) *netlink.MatchAll {
	return &netlink.MatchAll{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: l.from(d), Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Priority: priority, Protocol: unix.ETH_P_ALL},
		Actions:     []netlink.Action{action},
	}
}

// fullFrame is what a queue is counted in, bytes.
const fullFrame = 1514

// orderly is the rate, bit/s, of a link without one: netem keeps the order of frames with jitter only when there is a rate.
const orderly = emulator.MaxRate

// discipline is netem with the settings of a direction.
func (l *Link) discipline(d emulator.Direction) *netlink.Netem {
	s := l.params.Up
	if d == emulator.Down {
		s = l.params.Down
	}
	at := netlink.QdiscAttrs{LinkIndex: l.to(d), Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}
	return netlink.NewNetem(at, attributes(s))
}

// attributes says a direction's settings in netem's words. Its jitter is to both sides of the delay; ours is added. Its limit counts
// packets, and those on their way, too.
func attributes(s emulator.Settings) netlink.NetemQdiscAttrs {
	rate, limit := s.Rate, int64(math.MaxInt32)
	if rate == 0 {
		rate = orderly
	} else {
		held := (s.Queue + s.Delay + s.Jitter).Seconds()
		// One more: the frame that is being sent does not wait.
		limit = int64(math.Ceil(held*float64(rate)/8/fullFrame)) + 1
	}
	return netlink.NetemQdiscAttrs{
		Latency: max(1, uint32((s.Delay + s.Jitter/2).Microseconds())),
		Jitter:  uint32(s.Jitter.Microseconds() / 2),
		Loss:    float32(s.Loss * 100),
		Limit:   uint32(limit),
		Rate64:  uint64(rate / 8),
	}
}
