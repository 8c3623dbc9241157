// Package plan compiles the whole desired kernel state: one value, State, that holds the nft ruleset, the routing
// rules, the routes and the sysctls that are ours. router/apply makes the kernel equal to it; nothing else in the
// program adds a rule.
//
// # From policy to maps
//
// A policy is a list of rules over five dimensions: who, name (application, category, domain), far address, service
// (protocol and port) and DSCP. Compile turns it into a decision diagram: a graph in which each node looks at one
// dimension with one map lookup, in that order, and each leaf is a verdict. The kernel walks at most five lookups for
// the first packet of a flow, however many rules there are. Nodes are built by narrowing: at each node the rules still
// alive are split by the elementary classes of the node's dimension, and what remains at a leaf goes to
// policy.Verdict, the same function behind policy.Decide. Equal subgraphs are one chain, so that devices with the same
// rules share everything.
//
// Chains of the diagram are named by a hash of what they contain. A chain therefore never changes; a new policy adds
// some, repoints the dispatch and drops those that nobody reaches, all in one transaction.
//
// Everything here is pure: the time, the links' condition and the learned names come in as arguments.
// Place in the flow's way: steer, qos -> plan -> apply.
package plan
