// Package qos is the class tree of the traffic shaper: who may send how much over which link when it is full.
//
// It owns three things, all pure, the time an argument:
//
//   - Activity: which classes have traffic, and how much each could use. Classes exist only while somebody needs them.
//   - Build: from links, devices, what the policy promises (Term) and the activity to a Tree for each direction.
//   - The layout of class ids, in which a leaf's id is the low half of its flows' mark.
//
// # The tree
//
// Upload is shaped on each WAN device, download on one device that all packets to the LAN pass, with a branch for each
// link: at a WAN's ingress address translation still hides who a packet is for.
//
//	link          rate = ceil = what the link carries now
//	├─ default    flows of devices that are not known, and of classes that do not exist yet
//	└─ device     guarantee and cap of all its traffic
//	   └─ app class    guarantee, cap, priority; a leaf with its own queue
//
// HTB serves a leaf below its rate whatever its parents say, so every node's rate is at least the sum of its children's,
// and no branch promises more than its link carries: see admit.go. A leaf borrows up to its ceil by priority, then in turn.
//
// # The layout of class ids
//
//	0x0200..0x0fff   device      link<<9 | device
//	0x1001..0x1007   link        0x1000 | link
//	0x2000..0xffff   leaf        the low 16 bits of flow.Mark: link<<13 | device<<4 | app class
//
// No flow has link 0, so marks leave 0x0000 to 0x1fff free for the nodes that hold no packets. The leaf of device 0 (not yet
// known) is the link's default leaf.
//
// Place in the flow's way: policy -> steer, qos -> plan -> apply. No locks.
package qos
