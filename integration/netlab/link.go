package netlab

import (
	"context"
	"fmt"

	"github.com/trenza-router/trenza/integration/netlab/emulator"
	"github.com/trenza-router/trenza/integration/netlab/netem"
)

// Link is a WAN link between the router and a provider, of whatever kind. Its
// methods are those of [emulator.Link].
type Link interface {
	Params() emulator.Params
	Set(emulator.Params) error
	Blackhole(d emulator.Direction, on bool) error
	Cut(silent bool) error
	Heal() error
	State() emulator.State
	Counters(d emulator.Direction) emulator.Counters
}

// cable is a link as its lab has it.
type cable interface {
	Link
	Close() error
}

// emulate makes a link of two TAP devices and frames that pass through this
// process.
func (l *Lab) emulate(_ context.Context, s LinkSpec, seed uint64) (cable, error) {
	near, err := l.router.openTAP(s.Device)
	if err != nil {
		return nil, err
	}
	far, err := l.isps[s.Name].openTAP(ispCustomer)
	if err != nil {
		_ = near.Close() // the first error is the one to tell
		return nil, err
	}
	link, err := emulator.New(near, far, s.Params, seed)
	if err != nil {
		_, _ = near.Close(), far.Close()
		return nil, err
	}
	l.goRun("link "+s.Name, link.Run)
	return link, nil
}

// openTAP makes a TAP device in the namespace.
func (n *Namespace) openTAP(name string) (t *emulator.TAP, err error) {
	err = n.Do(func() error {
		t, err = emulator.OpenTAP(name)
		return err
	})
	return t, err
}

// wires is the role of the namespace in which netem's cables are.
const wires = "wires"

// wire makes a link of two veth pairs that meet in a namespace of their own,
// where netem holds the frames.
func (l *Lab) wire(ctx context.Context, s LinkSpec, _ uint64) (cable, error) {
	middle := l.namespace(wires)
	near, far := s.Device+"-near", s.Device+"-far"
	// Nobody lives on the wire: it has no addresses, and frames pass as they are,
	// so both ends have to cut theirs to size.
	if err := middle.sysctl(sysctlMute...); err != nil {
		return nil, err
	}
	isp := l.isps[s.Name]
	if err := middle.ip(ctx,
		fmt.Sprintf("link add %s type veth peer name %s netns %s", near, s.Device, l.router.name),
		fmt.Sprintf("link add %s type veth peer name %s netns %s", far, ispCustomer, isp.name),
	); err != nil {
		return nil, err
	}
	if err := l.router.ip(ctx, "link set "+s.Device+" gso_max_segs 1"); err != nil {
		return nil, err
	}
	if err := isp.ip(ctx, "link set "+ispCustomer+" gso_max_segs 1"); err != nil {
		return nil, err
	}
	var link *netem.Link
	err := middle.Do(func() (err error) {
		link, err = netem.New(near, far, s.Params)
		return err
	})
	if err != nil {
		return nil, err
	}
	return link, nil
}
