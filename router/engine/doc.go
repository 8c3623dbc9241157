// Package engine starts the router's tasks, joins them, and holds what they know of each other.
//
// Each task is a Run(ctx) with a name. They meet in three places: the links' conditions (links.go), the learned names
// (names.go) and the plan (planning.go), which is made anew whenever a link, a device, the policy, the clock's schedule or
// the kernel's own state changes, and committed by router/apply. Everything that others may ask of the running router is a
// method of Engine and returns values (view.go): the page, the command line and the tests see the same.
//
// Locks: Engine.mu guards what the tasks share and is never held while something waits for the kernel or the
// network; planning has a lock of its own, since plans are made one after the other.
package engine
