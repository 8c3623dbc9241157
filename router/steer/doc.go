// Package steer turns what a policy says about links and what the links are like at the moment into what the kernel
// does with a new flow: one link, a balance of several, or a refusal.
//
// It owns three questions, each a pure function:
//
//   - Resolve: which links may a flow of this rule take now, and with which share?
//   - Recall: which standing connections must be judged again, now that the links have changed?
//   - Jhash, Scale and the keys: which slot of a balance will the kernel give to this device and site? They repeat the
//     kernel's own arithmetic, so that "why" names the link that a sticky flow really takes.
//
// A bucket is lent when its link stands in for another one: the flow got it only because a better link was out of
// use. The kernel keeps that in the mark (flow.LentBit), so that Recall can tell a guest from an owner later.
//
// # The layout of a balance
//
// A balance has Space slots in a row. Each member owns a range of slots in proportion to its weight, members in the order
// of their link ids; the ranges depend on the members and their weights alone and not on who lives. When a member dies, its range
// (and no other) is divided among the living ones by their weights, as lent buckets. So a host or site that hashes into
// the range of a living link stays there whatever happens to the others, and the dead link gets exactly its own
// hosts back.
//
// Place in the flow's way: policy -> steer, qos -> plan. No locks, no state, no clock.
package steer
