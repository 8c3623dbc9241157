// Package release is the form in which releases are published, and the check of one before anything of it is used.
//
// A release is a folder of files with two more: SHA256SUMS lists them in the form of sha256sum(1), and SHA256SUMS.minisig signs that list. The
// signature's trusted comment is "trenza VERSION": a list of an earlier release cannot pass for a later one, nor one file for another.
//
// Place in the flow's way: beside it; packaging and images make releases, router/cli takes them. Pure; no locks.
package release
