// Package minisign makes and checks detached Ed25519 signatures in the file form of minisign
// (https://jedisct1.github.io/minisign/, "Signature format", "Public key format", "Secret key format"), so that what the project signs can be
// checked by a tool that the project did not write, and the other way round.
//
// A signature covers the BLAKE2b-512 hash of the data, and a second one covers the first and the trusted comment. Secret keys are read in the
// form without a password (minisign -G -W): a key that signs releases is guarded by where it lies.
//
// Place in the flow's way: beside it; releases are signed by packaging and checked before an upgrade. Pure; no locks.
package minisign
