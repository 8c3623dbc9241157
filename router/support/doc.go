// Package support makes the file that somebody who helps asks for: what the router is and did lately, as text, without secrets. What
// stands in it is its caller's choice; this package owns the file's form and the latest lines of the log.
//
// Place in the flow's way: beside it, below webui/api. Locks: Recent.mu guards the lines.
package support
