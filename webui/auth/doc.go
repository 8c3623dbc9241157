// Package auth knows who is at the door: users with passwords and second factors, the sessions of browsers, the tokens of
// programs, and what each of them may do.
//
// Place: store -> auth -> api -> server. The server finds the Principal of a request, the interface asks whether its route's Access
// permits it; handlers look at the Principal again where a member may see only a part.
//
// Nothing that would let somebody in is kept in the clear: passwords are argon2id (RFC 9106), tokens of sessions and programs are
// SHA-256 of 256 random bits. Users, sessions and tokens are held in memory and written through to the store, so that a request
// costs no query. One password is hashed at a time, whatever the number of requests: a small router has memory for one.
//
// Locks: Service.mu guards users, sessions and tokens and is never held while a password is hashed; Service.change is held for the
// whole of a change of users, so that two cannot both remove the last admin; limiter has a lock of its own.
package auth
