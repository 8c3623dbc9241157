package flow

import "fmt"

// Label is what the kernel knows about a destination before the first packet is routed: the value of the
// maps of learned names, held in the packet mark while the flow is being judged.
//
//	bit  0..15  name class: interned (application, domain selectors that match), see router/classify
//	bit 16..30  site: a hash of the registrable domain, for stickiness by site
//	bit 31      set: this is a label and not a device mark
type Label uint32

const (
	LabelBit  Label = 1 << 31
	NameMask  Label = 1<<16 - 1
	siteBits        = 15
	siteShift       = 16
	SiteMask  Label = (1<<siteBits - 1) << siteShift
)

// NameClass is the interned (application, matched domain selectors) of a host name; 0 is "nothing known".
type NameClass uint16

// MakeLabel joins a name class and a site hash; the hash is cut to its 15 bits.
func MakeLabel(c NameClass, site uint32) Label {
	return LabelBit | Label(site<<siteShift)&SiteMask | Label(c)
}

func (l Label) NameClass() NameClass { return NameClass(l & NameMask) }
func (l Label) Site() uint32         { return uint32(l&SiteMask) >> siteShift }
func (l Label) String() string       { return fmt.Sprintf("%#08x(name class %d)", uint32(l), l.NameClass()) }
