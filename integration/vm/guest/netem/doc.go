// Package netem holds the tests of the lab's links that are made of the kernel's netem.
package netem
