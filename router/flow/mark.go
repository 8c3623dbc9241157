package flow

import "fmt"

// LinkID numbers a WAN link from 1 to MaxLink; 0 is "no link".
// The number is part of the mark, so it must stay with a link for as long as flows live on it.
type LinkID uint8

// DeviceID numbers a LAN device from 1 to MaxDevice; 0 is a device not yet known.
// RouterDevice stands for the router's own traffic.
type DeviceID uint16

// AppClass is the quality-of-service class of a flow inside its device, 0 to 15; 0 is the device's default.
type AppClass uint8

// ChoiceID numbers a steering choice of the current plan (see router/steer), 0 to MaxChoice; 0 is none.
type ChoiceID uint16

const (
	MaxLink      LinkID   = 7
	MaxDevice    DeviceID = 510
	RouterDevice DeviceID = 511
	MaxAppClass  AppClass = 15
	MaxChoice    ChoiceID = 1<<choiceBits - 1
)

// Mark is the connection mark (ct mark) of a judged flow.
//
//	bit  0..3   app class   }
//	bit  4..12  device      } together the HTB class minor, see docs/ARCHITECTURE.md
//	bit 13..15  link        }
//	bit 16      lent: the link is not the first choice; the flow may be called back
//	bit 17      inbound: the connection was opened from the internet side
//	bit 18..29  steering choice of the plan that judged the flow
//	bit 30      judged: policy has spoken; 0 means that the flow was never seen by the plan
//	bit 31      blocked: the packet must not be forwarded
//
// The link bits select the routing table by an ip rule with mask LinkMask.
type Mark uint32

const (
	appBits    = 4
	deviceBits = 9
	linkBits   = 3
	choiceBits = 12

	deviceShift = appBits
	linkShift   = appBits + deviceBits
	choiceShift = 18

	AppMask    Mark = 1<<appBits - 1
	DeviceMask Mark = (1<<deviceBits - 1) << deviceShift
	LinkMask   Mark = (1<<linkBits - 1) << linkShift
	ClassMask  Mark = AppMask | DeviceMask | LinkMask
	LentBit    Mark = 1 << 16
	InboundBit Mark = 1 << 17
	ChoiceMask Mark = (1<<choiceBits - 1) << choiceShift
	JudgedBit  Mark = 1 << 30
	BlockedBit Mark = 1 << 31
)

// SilentlyBlocked is set in the mark of a running flow that is blocked without an answer: a blocked flow without a choice has no use for its
// class, and bit 0 of it says that.
const SilentlyBlocked = BlockedBit | 1

// ResetBoth is set in the mark of a running TCP flow that ends now and of which neither end knows: the client's next packet goes to the server as a
// reset, what comes after it is refused as ever. Bit 1 of the class says that the server has to be told.
const ResetBoth = BlockedBit | 2

func (l LinkID) Mark() Mark   { return Mark(l) << linkShift & LinkMask }
func (d DeviceID) Mark() Mark { return Mark(d) << deviceShift & DeviceMask }
func (c AppClass) Mark() Mark { return Mark(c) & AppMask }
func (c ChoiceID) Mark() Mark { return Mark(c) << choiceShift & ChoiceMask }

func (m Mark) Link() LinkID     { return LinkID(m & LinkMask >> linkShift) }
func (m Mark) Device() DeviceID { return DeviceID(m & DeviceMask >> deviceShift) }
func (m Mark) App() AppClass    { return AppClass(m & AppMask) }
func (m Mark) Choice() ChoiceID { return ChoiceID(m & ChoiceMask >> choiceShift) }
func (m Mark) Lent() bool       { return m&LentBit != 0 }
func (m Mark) Inbound() bool    { return m&InboundBit != 0 }
func (m Mark) Judged() bool     { return m&JudgedBit != 0 }
func (m Mark) Blocked() bool    { return m&BlockedBit != 0 }

// ClassID is the HTB class minor of the flow (the major is always 1).
func (m Mark) ClassID() uint16 { return uint16(m & ClassMask) }

func (m Mark) String() string {
	return fmt.Sprintf("%#08x(link %d device %d class %d)", uint32(m), m.Link(), m.Device(), m.App())
}
