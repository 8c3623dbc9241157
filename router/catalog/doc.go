// Package catalog knows the applications: their names, categories, domains, wire protocols, address
// ranges and ports.
//
// It owns the source files (data/categories.yaml and one file per application in data/apps), the compiled form of them that the
// program carries (catalog.bin), and the matcher. Files of the same form in an overlay directory add applications or replace those
// of the same id. An application's id never changes: policies, statistics and the kernel's maps refer to it. docs/CATALOG.md
// describes files and forms.
//
// The package also knows what a site is: the registrable domain of a host name, by the public suffix list.
//
// Place in the flow's way: classify asks it which application a host belongs to. Locks: none; a Catalog is immutable and
// safe for concurrent use.
package catalog
