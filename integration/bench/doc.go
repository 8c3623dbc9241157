// Package bench holds the benchmarks whose goals docs/PERFORMANCE.md lists: what the router costs against a plain one,
// how long its own steps take, and what it needs at rest. `make bench` runs them; `go test` without -bench does not.
//
// A figure that depends on the machine says little, so that forwarding is measured as a ratio: the same fixed work is given
// to the router and to a plain masquerading one in turns (A B, then B A), both stand at the same time, and the median of the
// ratios of neighbours counts. A load of other programs falls on both alike.
//
// The benchmarks need root. They run in network namespaces that end with them, also when they are killed.
package bench
