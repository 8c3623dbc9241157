// Package fallback holds the tests of a router on a kernel that lacks what is not required: vm.options lists what is missing.
package fallback
