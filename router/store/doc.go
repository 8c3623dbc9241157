// Package store keeps what must outlive the daemon: devices, policy documents, usage, link history, events,
// users with their sessions, what was changed by whom, and small settings, in one SQLite file. It is the only package that knows SQL; everything it takes and gives is a plain value.
//
// # Few writes
//
// A router often lives on an SD card. What changes all the time (usage, link samples, events) is only added up in
// memory; the writer task Run commits it in one transaction per Options.Interval (never more often than every 10 s).
// What a person changed (policy, devices, settings) is committed at once. The journal is a WAL with synchronous=NORMAL: a commit
// costs no flush of the card, a power cut costs at most the last moments and never the file.
// Queries add what is still in memory, so a reader never sees the delay.
//
// # Bounded size
//
// Usage is kept by the minute (24 h), hour (31 d) and local day (2 y), at once in all three, so there is no roll-up that a
// crash or a jumping clock could run twice. Finished hours and days keep the largest Limits.Apps applications per device and
// link; the rest becomes "other". A cap on rows stands behind the ages.
//
// # A clock that jumps
//
// A Raspberry Pi starts in the past. Buckets are keyed by wall-clock time, with three safeguards: what is counted before
// the clock is plausible (earlier than Floor) waits in memory and is booked at the first plausible minute; nothing is pruned by age until
// the clock has run steadily for an hour, so a jump to the future deletes no history; buckets from the future are pruned by
// the same rule once the clock is right again. A step backwards adds to buckets that exist.
//
// # When the disk fails
//
// A file that SQLite finds broken is moved to <file>.broken-<time>, never deleted; devices, policy, users and settings are salvaged from it
// as far as they can be read; a fresh file takes its place. When the disk is full, or the file cannot be used at all, the store goes
// on in memory, keeps trying, and says so once in the log. Status tells all of this as a value.
//
// # Upgrades and the way back
//
// Before a migration the file is copied to <file>.schema-<version>. An older program that comes back (a new system that was not healthy, a package
// that was taken back) moves the newer file to <file>.newer-<time> and goes on with that copy; without one it goes on in memory.
//
// # Locks
//
// gate (RWMutex) is held shared by every reader of the database and exclusively by the writer, by each write and by an
// exchange of the file; mu guards the sums in memory and the status, is taken after gate and never held during I/O.
// There is one connection; the file is locked for this process.
//
// Place in the flow's way: host and observe write here; engine and webui read.
package store
