// Package policytest makes random policies and queries for property tests (pgregory.net/rapid).
//
// Everything happens in one small world of people, devices, links and applications, so that random rules meet random
// flows often. The policies compile with Known without errors or warnings. The package owns no state.
package policytest
