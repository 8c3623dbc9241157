#!/bin/sh
# Makes an OpenWrt image with the router in it, by an ImageBuilder that the user has unpacked: https://openwrt.org/docs/guide-user/additional-software/imagebuilder
# usage: openwrt.sh IMAGEBUILDER PROFILE PACKAGES OUT
#   IMAGEBUILDER  its folder     PROFILE  the device, as "make info" there lists it
#   PACKAGES      a release's folder, as "make packages" makes it     OUT  where the image goes
set -eu

die() {
	echo "image-openwrt: $*" >&2
	exit 1
}

[ $# = 4 ] && [ -n "$1" ] && [ -n "$2" ] || die "say where the ImageBuilder is and for which device: make image-openwrt IMAGEBUILDER=DIR PROFILE=NAME"
builder=$1 profile=$2 packages=$3 out=$4
[ -f "$builder/Makefile" ] && [ -f "$builder/.config" ] && [ -d "$builder/packages" ] || die "$builder is no ImageBuilder: unpack openwrt-imagebuilder-*.tar.* there"
setting() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" "$builder/.config" | head -n 1; }

arch=$(setting CONFIG_TARGET_ARCH_PACKAGES)
[ -n "$arch" ] || die "$builder/.config names no CONFIG_TARGET_ARCH_PACKAGES"
make -s -C "$builder" info | grep -q "^$profile:\$" || die "this ImageBuilder has no profile \"$profile\": see make -C $builder info"
# From 25.12 on packages are apk's.
if [ "$(setting CONFIG_USE_APK)" = y ]; then
	found=$(ls "$packages/$arch"/trenza-*.apk 2>/dev/null || true)
else
	found=$(ls "$packages"/trenza_*_"$arch".ipk 2>/dev/null || true)
fi
[ -n "$found" ] || die "there is no package for $arch in $packages: the processor families are those of docs/INSTALL.md; make packages makes them"
[ "$(echo "$found" | wc -l)" = 1 ] || die "there are packages of several versions in $packages: leave one"

# What is put into the image is what was listed.
(
	cd "$packages"
	grep -F "  ${found#"$packages"/}" SHA256SUMS | sha256sum --check --quiet --strict
) || die "$found is not the file that $packages/SHA256SUMS lists: make the packages again"

rm -f "$builder"/packages/trenza[-_]*
cp "$found" "$builder/packages/"
mkdir -p "$out"
make -C "$builder" image PROFILE="$profile" PACKAGES="trenza" BIN_DIR="$(cd "$out" && pwd)"
