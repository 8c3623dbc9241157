package qos

import "github.com/trenza-router/trenza/router/flow"

// Class ids, as minor numbers of the one major hal.ShapingMajor. See doc.go for the layout and why nothing collides.
const (
	deviceBits = 9
	linkBase   = 0x1000
)

// linkNode is the id of a link's branch.
func linkNode(l flow.LinkID) uint16 { return linkBase | uint16(l) }

// deviceNode is the id of the node that holds a device's classes on a link.
func deviceNode(l flow.LinkID, d flow.DeviceID) uint16 { return uint16(l)<<deviceBits | uint16(d) }

// ID is the class's id when it exists as a leaf.
func (c Class) ID() uint16 { return c.Mark().ClassID() }

// DefaultID is the id of a link's default leaf.
func DefaultID(l flow.LinkID) uint16 { return Class{Link: l}.ID() }
