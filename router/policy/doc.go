// Package policy is the two tiers of rules and the one function that decides by them.
//
// The house (or the company's IT) writes main rules, which always prevail; each person writes rules for the
// devices they own. For every aspect of a flow (steer, QoS, filter) the order is
//
//	main must  ->  user  ->  main default  ->  built-in
//
// and main bounds limit what users, defaults and the built-in say. Ties inside a tier: explicit priority (higher first),
// then specificity (device > person > group > all; application > category > domain > address > port > rest), then rule
// id. docs/POLICY.md is the whole reference of the YAML form and of how rules combine.
//
// The package is pure: no clock (the time is an argument), no I/O, no package-level state, no locks. A Compiled policy
// is immutable and safe for concurrent use. Place in the flow's way: classify -> policy -> steer, qos.
//
// Matching and combining are separate on purpose. Decide matches a flow against every rule and hands the rules that
// match to Combine; router/plan compiles the same Matches into nft maps and calls Verdict at every leaf, which is Combine
// without the reasons, so the kernel and Decide cannot disagree.
//
// The files: types.go and decision.go are the words; parse*.go, format.go and diff.go the YAML form; validate*.go what a
// policy must hold to; compile.go, match.go and schedule.go which rules apply; combine*.go what they add up to; prune.go
// and findings.go (with cover.go) which of them do not matter.
package policy
