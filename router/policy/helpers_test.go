package policy_test

import (
	"flag"
	"net/netip"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// updateGolden makes the tests write the golden files instead of comparing with them.
var updateGolden = flag.Bool("update", false, "write the golden files")

// equal compares policies: addresses by value, and an empty list is as good as none.
func equal() cmp.Option {
	return cmp.Options{
		cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
}
