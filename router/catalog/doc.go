// Package catalog knows the applications: their names, categories, domains, address ranges and ports.
//
// It owns the data files (data/categories.yaml and one file per application in data/apps) and the matcher over them. Files of
// the same form in an overlay directory add applications or replace those of the same id. An application's id never
// changes: policies, statistics and the kernel's maps refer to it.
//
// The package also knows what a site is: the registrable domain of a host name, by the public suffix list.
//
// Place in the flow's way: classify asks it which application a host belongs to. Locks: none; a Catalog is immutable and
// safe for concurrent use.
package catalog
