# Three commands do everything on a fresh Debian-like machine with Go: `make run`, `make test` and `make test-vm`.
# They install what is missing when they may (root and apt), and otherwise say exactly what to install.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/trenza-router/trenza/router/cli.version=$(VERSION)
BIN     := bin/trenza
VMRUN   := bin/vmrun

export CGO_ENABLED ?= 0

.PHONY: run build packages image-rpi image-openwrt image-tools test soak screenshots measure-page browser test-packages test-images test-container test-race test-vm test-powercut vm-shell vmrun lint generate check-generated fuzz bench setup clean

## run: the lab, the daemon and the page on http://127.0.0.1:8080, until Ctrl-C
run: setup build
	$(BIN) lab

## build: the one binary
build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) .

## packages: .deb, .ipk and .apk of a release in bin/packages, signed when KEY names a minisign secret key without password;
## RELEASE=1.2.3 is their version, ONLY=arm64,armhf fewer machines
RELEASE ?= $(or $(patsubst v%,%,$(filter v%,$(shell git describe --tags --exact-match 2>/dev/null))),0.1.$(shell git rev-list --count HEAD))
packages:
	cd packaging && $(GO) run . -source .. -out ../bin/packages -version $(RELEASE) -time $(shell git log -1 --format=%ct) \
		$(if $(KEY),-key $(abspath $(KEY))) $(if $(ONLY),-only $(ONLY))

## image-rpi: an image for a Raspberry Pi's card in bin/images, of the version RELEASE; some 25 minutes the first time, 5 from then on. URL is
## where it will be downloaded
IMAGE = $(GO) run ./images -package bin/packages/trenza_$(RELEASE)_arm64.deb -out bin/images -version $(RELEASE)
image-rpi: image-tools
	$(MAKE) packages ONLY=arm64 RELEASE=$(RELEASE)
	$(IMAGE) -date $(shell git log -1 --format=%cs) $(if $(URL),-url $(URL)) $(if $(KEY),-key $(KEY))

## image-openwrt: an OpenWrt image with the router in it, in bin/openwrt: IMAGEBUILDER is the folder of an unpacked ImageBuilder, PROFILE the device
image-openwrt: packages
	images/openwrt.sh "$(IMAGEBUILDER)" "$(PROFILE)" bin/packages bin/openwrt

image-tools:
	packaging/dev/setup.sh mmdebstrap:mmdebstrap arch-test:arch-test qemu-aarch64-static:qemu-user-static mkfs.vfat:dosfstools mcopy:mtools \
		sfdisk:fdisk mkfs.ext4:e2fsprogs mksquashfs:squashfs-tools zstd:zstd xz:xz-utils newuidmap:uidmap depmod:kmod

## test: every test that needs no virtual machine
test: setup browser
	packaging/dev/setup.sh $(KERNEL_TOOLS)
	$(GO) vet ./...
	cd webui/app && npm run --silent test
	$(GO) test -count=1 -timeout 25m $(shell $(GO) list ./... | grep -v /integration/)
	$(GO) test -count=1 -timeout 40m -p 1 ./integration/...
	cd packaging && $(GO) vet . && $(GO) test -count=1 -timeout 20m .

## soak: a bond for LENGTH (an hour) whose links die every second or two, under a download of which every byte is looked at; `make test` does twenty
## seconds of it
LENGTH ?= 1h
soak: setup
	TRENZA_SOAK=$(LENGTH) $(GO) test -count=1 -timeout 24h -v -run TestFlapping ./router/relay

# What the tests of package hal/linux need: a kernel without nft's queue statement may have the older target.
KERNEL_TOOLS := iptables:iptables

## test-packages: the tests that build the router as it is packaged, three times
test-packages: setup
	cd packaging && $(GO) test -tags shipped -count=1 -timeout 40m .

## test-images: the image, started on an emulated board: set up by HTTP, upgraded to bad and good systems, the power cut CUTS times while rules
## are written; each start takes minutes under emulation
CUTS ?= 5
test-images: image-tools
	packaging/dev/setup.sh qemu-system-aarch64:qemu-system-arm debugfs:e2fsprogs
	$(MAKE) packages ONLY=arm64 RELEASE=$(RELEASE)
	$(IMAGE) -plain
	TRENZA_CARD=$(abspath bin/images/trenza_$(RELEASE)_rpi.img) $(GO) test -tags images -count=1 -timeout 120m -v $(if $(RUN),-run $(RUN)) ./images $(if $(CUTS),-args -cuts $(CUTS))

## test-container: the Dockerfile by buildah, and a relay in what it makes
test-container:
	packaging/dev/setup.sh buildah:buildah mmdebstrap:mmdebstrap
	images/container.sh $(RELEASE)

## test-race: every package with the race detector, which needs a C compiler; not the scenarios, whose programs are built without
test-race:
	packaging/dev/setup.sh gcc:gcc $(KERNEL_TOOLS)
	CGO_ENABLED=1 $(GO) test -race -count=1 -timeout 40m $(shell $(GO) list ./... | grep -v '/integration/scenario\|/integration/bench')

## test-vm: the tests that need another kernel than this machine's, each package in a virtual machine of its own;
## VM='./integration/vm/guest/netem' or VM='-run TestFight ./integration/scenario' for some of them
test-vm: vmrun
	packaging/dev/test-vm.sh $(VM)

## test-powercut: the router in a virtual machine that loses its power CUTS times while rules and usage are written; SEED repeats the moments of a run
test-powercut: CUTS = 20
test-powercut: vmrun
	packaging/dev/setup.sh mkfs.ext4:e2fsprogs
	TRENZA_BINARY=$(abspath $(BIN)) $(GO) test -tags vm -count=1 -timeout 120m -v ./integration/vm/powercut -args -cuts $(CUTS) $(if $(SEED),-seed $(SEED))

## vm-shell: a shell on the console of such a machine; Ctrl-D ends it
vm-shell: vmrun
	$(VMRUN) shell

vmrun: build
	packaging/dev/setup.sh qemu-system-x86_64:qemu-system-x86 mmdebstrap:mmdebstrap
	$(GO) build -o $(VMRUN) ./integration/vm/vmrun
	$(VMRUN) build

## screenshots: a picture of every screen of the page, phone and desktop, in bin/screenshots
screenshots: setup browser
	rm -rf bin/screenshots && mkdir -p bin/screenshots
	TRENZA_SCREENSHOTS=$(CURDIR)/bin/screenshots $(GO) test -count=1 -timeout 20m -run TestScreenshots ./integration/page

# What the tests of the page need: a browser, and the page's tools.
browser:
	packaging/dev/setup.sh chromium:chromium node:nodejs npm:npm
	cd webui/app && npm ci --ignore-scripts --silent

## measure-page: how long the page's screens take in a house of 250 devices, 5,000 flows and a year of history
measure-page: setup browser
	TRENZA_MEASURE=1 $(GO) test -count=1 -timeout 20m -v -run TestLargeHouse ./integration/page

## lint: formatting, vet and golangci-lint
lint:
	packaging/dev/lint.sh

## generate: everything that is made from something else
generate:
	packaging/dev/setup.sh node:nodejs npm:npm
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
