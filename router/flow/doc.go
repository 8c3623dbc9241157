// Package flow holds the words that all other rooms speak: who a flow is from,
// where it goes, what it is, and the mark that carries the verdict through the kernel.
//
// It owns no state and makes no decision. Everything here is a comparable value,
// so that it can be a map key, be sent over a channel and be printed in a test.
package flow
