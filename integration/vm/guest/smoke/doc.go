// Package smoke holds the tests that the guest itself is what docs/TESTING.md promises.
package smoke
