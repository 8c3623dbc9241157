// Package devices holds the tests that the devices of integration/vm/fixture are
// real: that the programs which will meet them in a house take them for what they
// are.
package devices
