// Package home is a house that lives: the lab's network with its internet's servers running, the router's daemon in its
// namespace and a client agent in each host. `trenza lab` and the scenarios stand on it.
//
// The programs inside the namespaces are one binary that knows the subcommands router, lab-internet and lab-client.
package home
