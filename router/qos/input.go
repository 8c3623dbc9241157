package qos

import (
	"fmt"
	"slices"

	"github.com/trenza-router/trenza/router/flow"
	"github.com/trenza-router/trenza/router/policy"
)

// Rate is in bit/s.
type Rate = policy.Rate

// Rates that a link can be shaped to.
const (
	MinCapacity Rate = 256_000
	MaxCapacity Rate = 10_000_000_000
)

// Direction is which way packets go, seen from the LAN.
type Direction uint8

const (
	Up Direction = iota
	Down
)

func (d Direction) String() string {
	if d == Up {
		return "up"
	}
	return "down"
}

// Rates is a rate for each direction; 0 is "not said".
type Rates struct{ Up, Down Rate }

// Of is the rate of one direction.
func (r Rates) Of(d Direction) Rate {
	if d == Up {
		return r.Up
	}
	return r.Down
}

// Class names the traffic of one application class of one device over one link.
type Class struct {
	Link   flow.LinkID
	Device flow.DeviceID
	App    flow.AppClass
}

// ClassOf is the class of a flow's mark.
func ClassOf(m flow.Mark) Class { return Class{m.Link(), m.Device(), m.App()} }

// Mark is the part of a flow's mark that tells the class.
func (c Class) Mark() flow.Mark { return c.Link.Mark() | c.Device.Mark() | c.App.Mark() }

func (c Class) compare(d Class) int { return int(c.Mark()) - int(d.Mark()) }

// Input is everything that the trees follow from.
type Input struct {
	Links   []Link
	Devices []flow.DeviceID // that exist; the router itself (flow.RouterDevice) need not be named
	Terms   []Term
	Demands []Demand // of the classes that have traffic, see Activity; each class once
	Queues  Queues
}

// Link is a WAN link as it stands now.
type Link struct {
	ID       flow.LinkID
	Name     string
	Device   string
	Capacity Rates // what it carries now
	Framing  Framing
	// Header is how many bytes of each packet's own link header the kernel counts on the device: 14 for Ethernet, 0 for PPP.
	Header int
	// Spent: the link's data quota is used up, and terms about such links hold on it.
	Spent bool
}

// Queues says which queueing disciplines the kernel has beyond the plain one.
type Queues struct{ Cake, FQCoDel bool }

// Term is one thing that the policy says of some traffic taken together: all traffic of its devices or only some classes of
// it, over all links. What it promises is one amount, shared out by demand among those classes that have traffic: a term for a
// person names the person's devices.
type Term struct {
	Rule      string // that says it: named in warnings
	Rank      int    // when a link cannot keep all promises, those of higher rank are kept first
	Devices   []flow.DeviceID
	Apps      []flow.AppClass // none: all traffic of the devices
	Guarantee Rates
	Cap       Rates
	// Spent: the term is about traffic on links whose data quota is spent, and no other.
	Spent bool
	// Budget is the most that guarantees of lower rank may add up to; of terms for whole devices only.
	Budget   Rates
	Priority *uint8 // 0 (first) to 7
	Person   string // whose devices share it; "" when it is not about a person, see Terms
}

// whole tells whether the term is about devices and not about classes of theirs.
func (t Term) whole() bool { return len(t.Apps) == 0 }

func (t Term) covers(c Class) bool {
	return slices.Contains(t.Devices, c.Device) && (t.whole() || slices.Contains(t.Apps, c.App))
}

// leastCap is the smallest cap that a flow survives.
const leastCap Rate = 8_000

// Demand is what a class could use.
type Demand struct {
	Class
	Rates
}

// Warning is something that could not be done as it was said.
type Warning struct {
	Rule string // "" when no rule is at fault
	Link string // "" when it concerns all
	Text string // one plain sentence
}

func (w Warning) String() string { return w.Text }

// check refuses what contradicts itself. What merely does not fit at the moment is clamped by Build, with a warning.
func (in Input) check() error {
	if err := in.checkLinks(); err != nil {
		return err
	}
	for _, d := range in.Devices {
		if d == 0 || d > flow.RouterDevice {
			return fmt.Errorf("device number %d: use 1 to %d", d, flow.RouterDevice)
		}
	}
	for _, t := range in.Terms {
		if err := t.check(); err != nil {
			return fmt.Errorf("rule %q: %w", t.Rule, err)
		}
	}
	seen := map[Class]bool{}
	for _, d := range in.Demands {
		if d.App > flow.MaxAppClass || d.Device > flow.RouterDevice {
			return fmt.Errorf("class %d of device %d: use classes up to %d and devices up to %d", d.App, d.Device, flow.MaxAppClass, flow.RouterDevice)
		}
		if seen[d.Class] {
			return fmt.Errorf("class %d of device %d on link %d has two demands", d.App, d.Device, d.Class.Link)
		}
		seen[d.Class] = true
	}
	return nil
}

func (in Input) checkLinks() error {
	ids, devices := map[flow.LinkID]string{}, map[string]string{}
	for _, l := range in.Links {
		if l.ID == 0 || l.ID > flow.MaxLink {
			return fmt.Errorf("link %q has number %d: use 1 to %d", l.Name, l.ID, flow.MaxLink)
		}
		if other, ok := ids[l.ID]; ok {
			return fmt.Errorf("links %q and %q have the same number %d", other, l.Name, l.ID)
		}
		if other, ok := devices[l.Device]; ok {
			return fmt.Errorf("links %q and %q have the same device %s", other, l.Name, l.Device)
		}
		ids[l.ID], devices[l.Device] = l.Name, l.Name
		for _, d := range []Direction{Up, Down} {
			if c := l.Capacity.Of(d); c == 0 || c > MaxCapacity {
				return fmt.Errorf("link %q: the rate %s is %s: use %s to %s", l.Name, d, c, MinCapacity, MaxCapacity)
			}
		}
		if !l.Framing.known() {
			return fmt.Errorf("link %q: framing %d is not known", l.Name, l.Framing)
		}
		if l.Header < 0 || l.Header > 64 {
			return fmt.Errorf("link %q: a packet header of %d bytes: use 14 for Ethernet, 0 for PPP", l.Name, l.Header)
		}
	}
	return nil
}

func (t Term) check() error {
	if len(t.Devices) == 0 {
		return fmt.Errorf("it is about no device")
	}
	if t.Guarantee == (Rates{}) && t.Cap == (Rates{}) && t.Budget == (Rates{}) && t.Priority == nil {
		return fmt.Errorf("it says nothing: give it a guarantee, a cap or a priority")
	}
	if t.Budget != (Rates{}) && !t.whole() {
		return fmt.Errorf("a budget is for devices as a whole")
	}
	for _, d := range []Direction{Up, Down} {
		if g, c := t.Guarantee.Of(d), t.Cap.Of(d); c != 0 && g > c {
			return fmt.Errorf("the guarantee %s of %s is above the cap of %s: make it at most that", d, g, c)
		} else if c != 0 && c < leastCap {
			return fmt.Errorf("the cap %s of %s lets next to nothing pass: use at least %s, or block the traffic", d, c, leastCap)
		}
	}
	if t.Priority != nil && *t.Priority > lowestPriority {
		return fmt.Errorf("priority %d: use 0 (first) to %d", *t.Priority, lowestPriority)
	}
	for _, a := range t.Apps {
		if a > flow.MaxAppClass {
			return fmt.Errorf("application class %d: use 0 to %d", a, flow.MaxAppClass)
		}
	}
	return nil
}
