#!/bin/sh
# Installs the programs that the lab and the tests use, when that is allowed; otherwise says what to install.
# Arguments are further ones, as program:package.
set -eu

needed="nft:nftables ip:iproute2 dnsmasq:dnsmasq-base ping:iputils-ping iperf3:iperf3 curl:curl minisign:minisign busybox:busybox-static dpkg-deb:dpkg $*"

missing=""
for pair in $needed; do
	program=${pair%%:*}
	package=${pair##*:}
	# Debian keeps network tools in sbin, which is not in everyone's path.
	PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null 2>&1 || missing="$missing $package"
done
if ! command -v "${GO:-go}" >/dev/null 2>&1; then
	echo "trenza: Go 1.26 or newer is needed: see https://go.dev/dl" >&2
	exit 1
fi
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "trenza: installing$missing" >&2
	apt-get update -qq >/dev/null 2>&1 || true
	# shellcheck disable=SC2086 # the list is meant to be split
	if DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1; then
		exit 0
	fi
	echo "trenza: apt-get could not install$missing" >&2
fi
echo "trenza: programs are missing. Install these packages and run this again:" >&2
echo "    sudo apt-get install$missing" >&2
exit 1
