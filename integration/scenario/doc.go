// Package scenario holds what must be true in a house that lives: the lab's network, the real daemon in it, real servers and
// clients. Every scenario builds its own house and takes it down; what the servers saw is the witness of which link a
// flow took.
package scenario
