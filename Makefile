# Two commands do everything on a fresh Debian-like machine with Go: `make run` and `make test`.
# Both install what is missing when they may (root and apt), and otherwise say exactly what to install.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/trenza-router/trenza/router/cli.version=$(VERSION)
BIN     := bin/trenza

export CGO_ENABLED ?= 0

.PHONY: run build test test-race lint generate check-generated fuzz bench setup clean

## run: the lab, the daemon and the page on http://127.0.0.1:8080, until Ctrl-C
run: setup build
	$(BIN) lab

## build: the one binary
build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) .

## test: every test that needs no virtual machine
test: setup
	$(GO) vet ./...
	$(GO) test -count=1 -timeout 25m $(shell $(GO) list ./... | grep -v /integration/)
	$(GO) test -count=1 -timeout 40m -p 1 ./integration/...

## test-race: every package with the race detector, which needs a C compiler; not the scenarios, whose programs are built without
test-race:
	packaging/dev/setup.sh gcc:gcc
	CGO_ENABLED=1 $(GO) test -race -count=1 -timeout 40m $(shell $(GO) list ./... | grep -v '/integration/scenario\|/integration/bench')

## lint: formatting, vet and golangci-lint
lint:
	packaging/dev/lint.sh

## generate: everything that is made from something else
generate:
	$(GO) generate ./...

## check-generated: fail if a generated file differs from what its source makes
check-generated: generate
	git diff --exit-code -- . ':!go.sum'

## fuzz: each fuzz target for FUZZTIME (default 10s)
FUZZTIME ?= 10s
fuzz:
	packaging/dev/fuzz.sh $(FUZZTIME)

## bench: the ratios of docs/PERFORMANCE.md
bench: setup
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 40m ./integration/bench/...

## setup: install the programs that the lab and the tests use
setup:
	packaging/dev/setup.sh

clean:
	rm -rf bin
