// Package apply makes the kernel equal to a plan.State and keeps it so.
//
// Apply compares what stands with what is wanted and commits the difference: what is new first, then one nft
// transaction, then what is no longer wanted is taken away. When the kernel refuses any part, what was added is taken
// back and the error says why: nothing has changed. The same call heals what something else deleted.
//
// An Applier is used by one goroutine at a time (its methods lock). Place in the flow's way: plan -> apply -> hal.
package apply
