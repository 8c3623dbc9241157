// Package backup moves a household to another box, or back in time: what a house would miss in a new router, as one file, and that
// file's way in, which is tried before it is kept.
//
// A file (Seal, Open) is the magic line, then either a SHA-256 sum and the gzipped JSON of a Content, or, with a passphrase, a salt, a nonce and the same JSON
// in AES-256-GCM under a key of argon2id (RFC 9106). The secrets of the box (the page's certificate authority, keys of bonds, second factors,
// passwords in the configuration) are in a file only when they were asked for, and then only with a passphrase.
//
// Keeper restores in steps: a file that was opened and looked through wholly waits in memory (Stage); Begin lets the router end its run;
// Settle, which is called while nothing runs, replaces the household in one transaction of the database and the files of the secrets beside it; and Keep confirms. Who says
// nothing in time, or a daemon that starts anew meanwhile, goes back. The mark in the database decides which of the two holds.
//
// Place in the flow's way: beside it. store, config -> backup -> webui/api. Locks: Keeper.mu guards what waits and what is tried; it is not
// held while the disk is at work.
package backup
