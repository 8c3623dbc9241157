// Package upstream knows what a name server of the internet's side is, in the form a configuration names it (server.go), and asks
// those that are spoken to under TLS: DNS over TLS (RFC 7858; tls.go) and DNS over HTTPS (RFC 8484; https.go).
//
// A question's way: the resolver -> Client.Exchange -> padding, so that its length tells little (RFC 8467; padding.go) -> the
// peer, which is one server over one link and keeps its connection -> hal.Sockets, tied to that link.
//
// A connection is opened by the first who needs it and shared by all who ask the same server over the same link; the attempt to open
// it does not end with the question that began it. It ends when nothing was heard for idleTime, and when a question ran out
// of time on it without a byte heard since: a link can die without a word.
//
// Locks: Client.mu guards the table of peers, stream.mu what one connection waits for; neither is held over I/O.
// stream.sending is held while one message is written, which writeTime bounds. Close ends all goroutines and waits for them,
// but for those of net/http, which end with their connections.
package upstream
