package qos

import (
	"slices"

	"github.com/trenza-router/trenza/router/flow"
)

// branch is one link's part of a tree while it is made, and afterwards.
type branch struct {
	link     Link
	dir      Direction
	capacity Rate
	floor    Rate // what each leaf has beyond its guarantee
	budget   Rate // what guarantees may use
	devices  []*device
	leaves   int

	asked map[*Term]Rate    // what terms ask of this branch
	trial map[*device]trial // of promised
}

// trial is what a rank would add to a device.
type trial struct{ whole, leaves Rate }

// device is a device's node.
type device struct {
	number     flow.DeviceID
	guarantee  Rate // of all its traffic
	rate, ceil Rate
	leaves     []*leaf

	budgets []budget
}

// budget is the most that leaves' guarantees of ranks below one may add up to.
type budget struct {
	rank        int
	left, whole Rate
}

// leaf is an application class of a device.
type leaf struct {
	class      Class
	demand     Rate
	guarantee  Rate
	rate, ceil Rate
	priority   uint8
}

// granted is what the device's leaves are promised.
func (d *device) granted() Rate {
	var sum Rate
	for _, l := range d.leaves {
		sum += l.guarantee
	}
	return sum
}

// newBranch makes nodes without promises for those demands, in order of their classes, that are the link's.
func newBranch(l Link, dir Direction, demands []Demand) *branch {
	b := &branch{link: l, dir: dir, capacity: l.Capacity.Of(dir), asked: map[*Term]Rate{}, trial: map[*device]trial{}}
	var d *device
	for _, m := range demands {
		if m.Link != l.ID {
			continue
		}
		if d == nil || d.number != m.Device {
			d = &device{number: m.Device, ceil: b.capacity}
			b.devices = append(b.devices, d)
		}
		d.leaves = append(d.leaves, &leaf{class: m.Class, demand: m.Of(dir), ceil: b.capacity, priority: classPriority(m.App)})
		b.leaves++
	}
	shares := Rate(b.leaves + 1) // the default leaf's, too
	b.floor = max(b.capacity/smallPart/shares, leastRate)
	b.budget = b.capacity - b.floor*shares
	return b
}

// unit is a node to which a term applies.
type unit struct {
	branch *branch
	device *device
	leaf   *leaf // nil: the device as a whole
}

// unitsOf lists the nodes of all branches that a term is about.
func unitsOf(t *Term, branches []*branch) []unit {
	var out []unit
	for _, b := range branches {
		if t.Spent && !b.link.Spent {
			continue
		}
		for _, d := range b.devices {
			if !slices.Contains(t.Devices, d.number) {
				continue
			}
			if t.whole() {
				out = append(out, unit{b, d, nil})
				continue
			}
			for _, l := range d.leaves {
				if slices.Contains(t.Apps, l.class.App) {
					out = append(out, unit{b, d, l})
				}
			}
		}
	}
	return out
}

func (u unit) own() []*leaf {
	if u.leaf != nil {
		return []*leaf{u.leaf}
	}
	return u.device.leaves
}

func (u unit) demand() Rate {
	var sum Rate
	for _, l := range u.own() {
		sum += l.demand
	}
	return sum
}

func (u unit) prioritise(p uint8) {
	for _, l := range u.own() {
		l.priority = p
	}
}

func (u unit) limit(r Rate) {
	if u.leaf != nil {
		u.leaf.ceil = min(u.leaf.ceil, r)
		return
	}
	u.device.ceil = min(u.device.ceil, r)
}

// room is what leaves may yet be promised at a rank. Each leaf keeps a little, or those without a guarantee would never send.
func (d *device) room(rank int) Rate {
	room := d.ceil - min(d.ceil, d.granted()+leastRate*Rate(len(d.leaves)))
	for _, b := range d.budgets {
		if rank < b.rank {
			room = min(room, b.left)
		}
	}
	return room
}

// most is the largest guarantee that the device as a whole may have at a rank.
func (d *device) most(rank int) Rate {
	most := d.ceil
	for _, b := range d.budgets {
		if rank < b.rank {
			most = min(most, b.whole)
		}
	}
	return most
}

// spend notes what a leaf was promised at a rank.
func (d *device) spend(rank int, r Rate) {
	for i := range d.budgets {
		if b := &d.budgets[i]; rank < b.rank {
			b.left -= min(b.left, r)
		}
	}
}

// fitCaps makes every cap large enough for the least rates below it, and none larger than the one above.
func (b *branch) fitCaps() {
	for _, d := range b.devices {
		d.ceil = max(d.ceil, leastRate*Rate(len(d.leaves)))
		for _, l := range d.leaves {
			l.ceil = min(max(l.ceil, leastRate), d.ceil)
		}
	}
}

// settle turns guarantees into rates: each leaf gets the floor as far as its device's cap has room for it.
func (b *branch) settle() {
	for _, d := range b.devices {
		granted := d.granted()
		floor := min(b.floor, (d.ceil-granted)/Rate(len(d.leaves)))
		d.rate = min(max(d.guarantee, granted)+floor*Rate(len(d.leaves)), d.ceil)
		for _, l := range d.leaves {
			l.rate = min(l.guarantee+floor, l.ceil)
		}
	}
}
