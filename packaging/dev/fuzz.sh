#!/bin/sh
# Runs every fuzz target of the repository for the given time each (default 10s), one after the other.
set -eu

time=${1:-10s}
git ls-files '*_test.go' | xargs grep -l '^func Fuzz' | while read -r file; do
	dir=./$(dirname "$file")
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
		echo "== $dir $target"
		"${GO:-go}" test "$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$time" </dev/null
	done
done
