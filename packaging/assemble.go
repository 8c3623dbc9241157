package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/apk"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/ipk"
)

const name = "trenza"

// A release is what all its packages share.
type release struct {
	source    string // the checkout
	version   string // three numbers with dots
	time      time.Time
	publicKey string // of whoever signs; "": nobody does
}

// A format is how a kind of system takes software.
type format struct {
	name     string
	packager nfpm.Packager
	depends  []string
	// scripts are the names below files/.
	postinst, prerm, postrm string
	section                 string
}

func formats() map[string]format {
	// What the router speaks to in the kernel. OpenWrt's own nftables and dnsmasq are part of every image.
	modules := []string{"nftables", "kmod-tun", "kmod-nft-queue", "kmod-nf-conntrack-netlink", "kmod-nft-nat", "kmod-nfnetlink-log",
		"kmod-sched-core", "kmod-sched-cake", "kmod-ifb", "ca-bundle"}
	return map[string]format{
		"deb": {"deb", deb.Default, []string{"nftables", "ca-certificates", "kmod", "iproute2"}, "debian/postinst", "debian/prerm", "debian/postrm", "net"},
		"ipk": {"ipk", ipk.Default, modules, "openwrt/postinst", "openwrt/prerm", "", "net"},
		"apk": {"apk", apk.Default, modules, "openwrt/postinst", "openwrt/prerm", "", "net"},
	}
}

// pack makes one package and returns its file name and bytes.
func (r release) pack(kind, arch string, binary []byte) (string, []byte, error) {
	f, known := formats()[kind]
	if !known {
		return "", nil, fmt.Errorf("there is no package format %q", kind)
	}
	dir, err := os.MkdirTemp("", "trenza-package-")
	if err != nil {
		return "", nil, fmt.Errorf("preparing a package: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left there harms nobody
	items, err := r.items(kind, binary)
	if err != nil {
		return "", nil, err
	}
	contents, err := r.contents(dir, items)
	if err != nil {
		return "", nil, err
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: name, Arch: arch, Platform: "linux", Version: r.version, VersionSchema: "none", Section: f.section, Priority: "optional",
		Maintainer: "Trenza maintainers <maintainers@trenza.invalid>", Description: description, License: "Apache-2.0", MTime: r.time, DisableGlobbing: true,
		Overridables: nfpm.Overridables{Depends: f.depends, Contents: contents},
	})
	info.Deb.Arch, info.IPK.Arch, info.APK.Arch = arch, arch, arch
	info.Deb.Compression = "zstd:19" // of Debian since 12; xz in Go takes a minute a package
	switch kind {
	case "deb":
		info.Recommends, info.Suggests = []string{"dnsmasq-base"}, []string{"network-manager", "modemmanager", "hostapd"}
	case "apk":
		info.Release = "r1"
	case "ipk":
		info.Release = "1"
	}
	script := func(from string) (string, error) {
		if from == "" {
			return "", nil
		}
		text, err := shipped.ReadFile("files/" + from)
		if err != nil {
			return "", fmt.Errorf("reading what is shipped: %w", err)
		}
		to := filepath.Join(dir, "scripts", filepath.Base(from))
		return to, r.write(to, text, 0o755)
	}
	if info.Scripts.PostInstall, err = script(f.postinst); err != nil {
		return "", nil, err
	}
	if info.Scripts.PreRemove, err = script(f.prerm); err != nil {
		return "", nil, err
	}
	if info.Scripts.PostRemove, err = script(f.postrm); err != nil {
		return "", nil, err
	}
	if kind == "apk" {
		// apk calls other scripts in an upgrade; the old program routes on until this one.
		info.APK.Scripts.PostUpgrade = info.Scripts.PostInstall
	}
	file := fileName(kind, r.version, arch)
	var out bytes.Buffer
	if err := f.packager.Package(info, &out); err != nil {
		return "", nil, fmt.Errorf("making %s: %w", file, err)
	}
	return file, out.Bytes(), nil
}

// items are a package's files, by path.
func (r release) items(kind string, binary []byte) ([]item, error) {
	items, err := r.common(binary)
	if err != nil {
		return nil, err
	}
	var more []item
	if kind == "deb" {
		more, err = r.debian()
	} else {
		more, err = openwrt()
	}
	if err != nil {
		return nil, err
	}
	items = append(items, more...)
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.to, b.to) })
	if kind == "apk" {
		items = append(items, apkLists(items)...)
	}
	return items, nil
}

// fileName follows each system's custom. apk insists on NAME-VERSION.apk, so the architecture is a directory, as in its repositories.
func fileName(kind, version, arch string) string {
	switch kind {
	case "apk":
		return filepath.Join(arch, fmt.Sprintf("%s-%s-r1.apk", name, version))
	case "ipk":
		return fmt.Sprintf("%s_%s-1_%s.ipk", name, version, arch)
	}
	return fmt.Sprintf("%s_%s_%s.deb", name, version, arch)
}
