// Package powercut holds the test that a router which loses its power comes back with what it had confirmed.
//
// It runs on the host: each round is a guest with the same disk, in which this very program starts the lab's house with the daemon's state on that disk, reads what
// is there, and then replaces the policy without a pause while a host of the house downloads. The host kills the emulator at a random moment. What the guest had
// in its memory is lost then, and what it had handed to the disk stays: a card that reorders or tears what it was given is not tried.
package powercut
