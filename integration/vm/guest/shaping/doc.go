// Package shaping holds the test of the traffic shaper's promises with the kernel's own queues: cake and fq_codel, before a slow place made by netem.
package shaping
