#!/bin/sh
# Formatting, go vet and golangci-lint. The linter is built from its source once and kept in bin/.
set -eu

version=v2.15.0
tool=bin/golangci-lint-$version

unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
	echo "not formatted (run gofmt -w):" >&2
	echo "$unformatted" >&2
	exit 1
fi
"${GO:-go}" vet -tags vm,images ./...
if [ ! -x "$tool" ]; then
	mkdir -p bin
	GOBIN="$PWD/bin" CGO_ENABLED=0 "${GO:-go}" install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version"
	mv bin/golangci-lint "$tool"
fi
"$tool" run ./...
(cd packaging && "${GO:-go}" vet . && "../$tool" run --config ../.golangci.yml .)
