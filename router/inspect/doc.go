// Package inspect reads what the first packets of a flow's client say, for rules that look at content.
//
// It owns the putting together of packets (stream.go) and what is read of them (reader.go): protocol and names by router/dpi's parsers, the path
// of a request, the bytes themselves. It decides nothing: what it reads is a policy.Content for policy.Decide.
//
// Everything is bounded, since strangers fill it: flows, and packets and bytes of each. What is not there because of it matches no rule.
//
// Locks: none. A Reader belongs to the goroutine that reads the packets.
//
// Place in the flow's way: it stands beside classify, between dpi and policy, and sees only flows that a rule about content means.
package inspect
