// Package traffic is the life of the lab's household: each host does what such a host does, at random but from a seed, until
// the context ends. The TV streams video in bursts, the laptop browses and holds calls, the console downloads updates and
// plays, the phone writes messages and watches short videos, the camera uploads steadily.
//
// A Habit is data and a pure function from a random source to an Action; Run alone does actions, through the agents of
// package client. Habits state their greatest rates, whose sum fits the lab's links.
//
// There are no locks: each habit of each host is one goroutine with its own random source.
package traffic
