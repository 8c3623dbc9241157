// Package relay is the server at the far end of bonds: many routers, each with addresses from a pool, and one way out to the Internet.
//
// It owns who may join (state.go, the invites and routers on disk), the loop that carries everybody's packets (relay.go, member.go), the
// rules of the way out (rules.go: translation, forwarded ports, no way from router to router), what its owner asks and orders over
// a local socket (admin.go), and the configuration file (config.go).
//
// # Locks
//
// The loop runs on one goroutine with a thread of its own and owns all lines, sockets and the device. Requests from the local socket are
// functions that the loop runs between two rounds. State has no lock: it belongs to the loop while that runs.
package relay
