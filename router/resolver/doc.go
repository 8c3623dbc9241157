// Package resolver is the DNS server of the LAN: it forwards, remembers, and tells who was given which address for which name
// before the client can use it.
//
// A query's way: server (UDP and TCP, RFC 1035, RFC 7766) -> limiter -> names the house answers itself (local.go) -> cache
// (cache.go, RFC 2308, RFC 8767) -> one flight for all who ask the same (forward.go) -> the upstreams of the living links, hedged
// (exchange.go; those under TLS: package upstream) -> cleaning: only what answers the question, no addresses of the house from outside (clean.go) -> the Observer, for
// which the answer is held for at most 20 ms -> the client.
//
// The answer is held because the first packet follows it within a millisecond: the kernel must know the name by then.
//
// The package learns nothing itself and knows no policy. Sockets come from hal.Sockets, so that each upstream is asked
// over its own link.
//
// Locks: the cache, the limiter and the table of upstream health have one mutex each, none held over I/O. Run starts
// all goroutines and ends when they have ended; those that wait for an upstream end within queryTime.
package resolver
