// Package domainlist reads the lists of domains that the world keeps as text: hosts files, adblock lists, and the form of the
// domain-list-community project.
//
// It turns a text into domains and says honestly what was not one: a line that is wrong is named by file and number, and what
// these formats can say beyond domains (paths, conditions, patterns) is counted by kind. It reads no files by itself but those that the
// caller opens, and every size is bounded.
//
// Place in the flow's way: none; lists become filters and application files long before a flow. Locks: none, all functions are pure.
package domainlist
