#!/bin/sh
# Runs the tests that need a virtual machine, one package after the other: each has a guest of its own.
# Arguments are packages to run in place of all, with all of their tests; flags of `go test` may stand before them.
set -eu

export CGO_ENABLED=0 GOARCH=amd64
# Guests have netem: the lab's links are made of it.
export TRENZA_NETEM=1 TRENZA_BINARY="${TRENZA_BINARY:-$PWD/bin/trenza}"

# The deadline of a package is for an emulated guest on a busy machine.
guest() { "${GO:-go}" test -tags vm -exec "$PWD/bin/vmrun exec" -count=1 -p 1 -timeout 15m "$@"; }

if [ $# -gt 0 ]; then
	guest "$@"
	exit
fi
scenarios=$(sed 's/#.*//' integration/vm/scenarios | tr -s ' \n' '|' | sed 's/^|//; s/|$//')

# The bench itself, from outside; then what runs inside.
"${GO:-go}" test -tags vm -count=1 -timeout 10m ./integration/vm
guest ./integration/vm/guest/...
guest -run "^($scenarios)\$" ./integration/scenario
