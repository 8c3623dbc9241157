package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trenza-router/trenza/hal"
	"github.com/trenza-router/trenza/router/flow"
)

// MapClass is the map from the low half of a flow's mark to its class, of exactly the classes that exist. router/apply fills it from
// State.Classes: an element comes after its class and goes before it. It stands only while the house is shaped.
const MapClass = "class"

// classesSize bounds MapClass: a leaf has link, device and application class, of which many thousands together make no home.
const classesSize = 65536

// leaves are the ids of a tree's leaves.
type leaves map[uint16]bool

func leavesOf(s hal.Shaping) leaves {
	out := leaves{}
	for _, c := range s.Classes {
		if c.Leaf() {
			out[c.ID] = true
		}
	}
	return out
}

// serves tells whether the tree has the link that a class belongs to, which it has when it has the link's default leaf.
func (l leaves) serves(class uint16) bool {
	return l[flow.Mark(class).Link().Mark().ClassID()]
}

// shaped are the links that have a branch in some tree.
func (in Input) shaped() []flow.LinkID {
	var out []flow.LinkID
	for _, s := range in.Shapings {
		for id := range leavesOf(s) {
			if l := flow.Mark(id).Link(); l.Mark().ClassID() == id {
				out = append(out, l)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// postrouting gives packets their class. It has to be here: forwarding sets a packet's priority from its type of service, after prerouting.
//
// First the link's default class, so that a flow whose own class does not exist waits with the rest of its link and not
// on another; then its own.
func postrouting(shaped []flow.LinkID) Chain {
	var links []string
	for _, l := range shaped {
		m := l.Mark()
		links = append(links, fmt.Sprintf("%#x : %x:%x", uint32(m), hal.ShapingMajor, m.ClassID()))
	}
	return Chain{
		Name: "postrouting", Hook: "type filter hook postrouting priority mangle; policy accept;",
		Comment: "class: the link's default, then the flow's own",
		Rules: []string{
			fmt.Sprintf("meta priority set ct mark & %#x map { %s }", uint32(flow.LinkMask), strings.Join(links, ", ")),
			fmt.Sprintf("meta priority set ct mark & %#x map @%s", uint32(flow.ClassMask), MapClass),
		},
	}
}

// addShaping adds what follows from the trees: the detour, the map and the chain. A house without trees has none of them.
func (s *State) addShaping(in Input) {
	if len(in.Shapings) == 0 {
		return
	}
	s.Shapings = slices.Clone(in.Shapings)
	slices.SortFunc(s.Shapings, func(a, b hal.Shaping) int { return strings.Compare(a.Device, b.Device) })
	if slices.ContainsFunc(s.Shapings, func(t hal.Shaping) bool { return t.Device == hal.DownloadDevice }) {
		s.Detour = hal.Detour{Device: hal.DownloadDevice, From: slices.Sorted(slices.Values(in.detoured()))}
	}
	s.Ruleset.Maps = append(s.Ruleset.Maps, Map{Name: MapClass, Type: "mark : classid", Size: classesSize, Flags: "timeout", Learned: true})
	s.Ruleset.Chains = append(s.Ruleset.Chains, postrouting(in.shaped()))
}

// Reshaped is the same state with other trees. It fails where more follows from them than the trees: when other devices or links are shaped.
func (s State) Reshaped(trees []hal.Shaping) (State, bool) {
	if len(trees) != len(s.Shapings) {
		return s, false
	}
	trees = slices.Clone(trees)
	slices.SortFunc(trees, func(a, b hal.Shaping) int { return strings.Compare(a.Device, b.Device) })
	defaults := func(t hal.Shaping) []flow.LinkID { return Input{Shapings: []hal.Shaping{t}}.shaped() }
	for i, t := range trees {
		if old := s.Shapings[i]; t.Device != old.Device || !slices.Equal(defaults(t), defaults(old)) {
			return s, false
		}
	}
	s.Shapings = trees
	return s, true
}

// Classes are the ids of the leaves that flows can be led to, sorted: those that stand in every tree that has their link, so that
// a packet finds its class on the way up and down.
func (s State) Classes() []uint16 {
	all := leaves{}
	var trees []leaves
	for _, t := range s.Shapings {
		tree := leavesOf(t)
		trees = append(trees, tree)
		maps.Copy(all, tree)
	}
	var out []uint16
	for id := range all {
		if !slices.ContainsFunc(trees, func(tree leaves) bool { return tree.serves(id) && !tree[id] }) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// detoured are the LAN devices that there are.
func (in Input) detoured() []string {
	var out []string
	for _, l := range in.LAN {
		if !l.Absent {
			out = append(out, l.Device)
		}
	}
	return out
}

func (in Input) checkShapings() error {
	seen := map[string]bool{}
	for _, s := range in.Shapings {
		if s.Device != hal.DownloadDevice && !slices.Contains(in.wanDevices(), s.Device) {
			return fmt.Errorf("a class tree for device %q: only the links' devices and %s have one", s.Device, hal.DownloadDevice)
		}
		if s.Device == hal.DownloadDevice && len(in.detoured()) == 0 {
			return fmt.Errorf("a class tree for %s without a LAN device: leave it out until there is one", s.Device)
		}
		if seen[s.Device] || len(s.Classes) == 0 {
			return fmt.Errorf("two class trees for device %q, or one without classes: leave out what is not shaped", s.Device)
		}
		seen[s.Device] = true
		if err := s.Validate(); err != nil {
			return err
		}
		tree := leavesOf(s)
		for id := range tree {
			if !tree.serves(id) || flow.Mark(id).Link() == 0 {
				return fmt.Errorf("class %x on device %s: it has no link, or the link has no default class there", id, s.Device)
			}
		}
	}
	return nil
}
