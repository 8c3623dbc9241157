// Package edition keeps signed editions of the catalogue of applications: what a maintainer signs, a router verifies, puts into its
// state directory in one step, and falls back from when it cannot be read.
//
// A signed edition is a compiled catalogue (catalog.Encode), then 64 bytes of an Ed25519ctx signature over all of it (RFC 8032 §5.1,
// context "trenza catalogue"), then 8 bytes "TRZNSIGN". The context keeps a signature from meaning anything else.
//
// It owns the directory STATE/catalog: current.trzcat and previous.trzcat. Both are only ever replaced whole, by a rename; previous
// is the last one that could be read.
//
// Place in the flow's way: beside it; engine loads the catalogue from here. Locks: none; of two writers the later one holds.
package edition
