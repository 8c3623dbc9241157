package haltest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trenza-router/trenza/hal"
)

// Shaping tells what SetShaping was given last.
func (f *Fake) Shaping(ctx context.Context, device string) (hal.Shaping, error) {
	err := f.enter(ctx, "Shaping", "")
	defer f.mu.Unlock()
	if err != nil {
		return hal.Shaping{Device: device}, err
	}
	return f.shaping(device)
}

func (f *Fake) shaping(device string) (hal.Shaping, error) {
	if _, ok := f.interfaces[device]; !ok {
		return hal.Shaping{Device: device}, fmt.Errorf("find device %s: %w", device, hal.ErrNotFound)
	}
	s, ok := f.shapings[device]
	if !ok {
		return hal.Shaping{Device: device}, nil
	}
	s.Classes = slices.Clone(s.Classes)
	return s, nil
}

// SetShaping keeps the tree.
func (f *Fake) SetShaping(ctx context.Context, s hal.Shaping) error {
	return f.change(ctx, "SetShaping", fmt.Sprintf("%s %d classes", s.Device, len(s.Classes)), func() error {
		if err := s.Validate(); err != nil {
			return err
		}
		if _, err := f.shaping(s.Device); err != nil {
			return err
		}
		delete(f.shapings, s.Device)
		if len(s.Classes) > 0 {
			f.shapings[s.Device] = s.Ordered()
		}
		return nil
	})
}

// RemoveShaping takes a device's tree away as another program would, and announces it.
func (f *Fake) RemoveShaping(device string) {
	f.mu.Lock()
	delete(f.shapings, device)
	f.mu.Unlock()
	f.announce(hal.Event{Kind: hal.ShapingChanged})
}

// ChangeClass changes a class that is there.
func (f *Fake) ChangeClass(ctx context.Context, device string, c hal.Class) error {
	return f.change(ctx, "ChangeClass", fmt.Sprintf("%s %x %s", device, c.ID, c), func() error {
		s, err := f.shaping(device)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(s.Classes, func(o hal.Class) bool { return o.ID == c.ID })
		if i < 0 {
			return fmt.Errorf("change class %x of %s: %w", c.ID, device, hal.ErrNotFound)
		}
		c.Parent, c.Queue = s.Classes[i].Parent, s.Classes[i].Queue
		s.Classes[i] = c
		if err := s.Validate(); err != nil {
			return err
		}
		f.shapings[device] = s
		return nil
	})
}

// Count lets a class do something.
func (f *Fake) Count(device string, class uint16, c hal.ClassCounter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counted[device] == nil {
		f.counted[device] = map[uint16]hal.ClassCounter{}
	}
	f.counted[device][class] = c
}

// ClassCounters tells what Count was told.
func (f *Fake) ClassCounters(ctx context.Context, device string) (map[uint16]hal.ClassCounter, error) {
	err := f.enter(ctx, "ClassCounters", "")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s, err := f.shaping(device)
	if err != nil {
		return nil, err
	}
	counters := map[uint16]hal.ClassCounter{}
	for _, c := range s.Classes {
		counters[c.ID] = f.counted[device][c.ID]
	}
	return counters, nil
}

// Shaped lists the devices that SetShaping gave a tree.
func (f *Fake) Shaped(ctx context.Context) ([]string, error) {
	err := f.enter(ctx, "Shaped", "")
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(f.shapings)), nil
}

// Detour tells what SetDetour was given last, and what became of it since.
func (f *Fake) Detour(ctx context.Context) (hal.Detour, error) {
	err := f.enter(ctx, "Detour", "")
	defer f.mu.Unlock()
	if err != nil {
		return hal.Detour{}, err
	}
	return f.standingDetour(), nil
}

func (f *Fake) standingDetour() hal.Detour {
	d := hal.Detour{From: slices.Clone(f.detour.From)}
	i, there := f.interfaces[hal.DownloadDevice]
	there = there && i.Kind == "ifb"
	if there {
		d.Device = hal.DownloadDevice
	}
	d.Broken = there && !i.Up || !there && len(d.From) > 0
	return d
}

// SetDetour keeps the detour and makes or removes its device.
func (f *Fake) SetDetour(ctx context.Context, d hal.Detour) error {
	const name = hal.DownloadDevice
	return f.change(ctx, "SetDetour", strings.Join(d.From, " "), func() error {
		if err := d.Validate(); err != nil {
			return err
		}
		if i, there := f.interfaces[name]; there && i.Kind != "ifb" {
			if d.Device == "" {
				return nil
			}
			return fmt.Errorf("a device called %s: %w", name, hal.ErrExists)
		}
		for _, from := range d.From {
			if _, there := f.interfaces[from]; !there {
				return fmt.Errorf("find device %s: %w", from, hal.ErrNotFound)
			}
		}
		f.detour = hal.Detour{Device: d.Device, From: slices.Clone(d.From)}
		if d.Device == "" {
			f.takeInterface(name)
			return nil
		}
		i := f.interfaces[name]
		i.Name, i.Kind, i.Up, i.Carrier = name, "ifb", true, true
		f.putInterface(i)
		return nil
	})
}

// ShapingText prints the detour and the trees of all devices as the commands of tc that would make them.
func (f *Fake) ShapingText() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	b.WriteString(f.standingDetour().String())
	for _, device := range slices.Sorted(maps.Keys(f.shapings)) {
		b.WriteString(f.shapings[device].String())
	}
	return b.String()
}
