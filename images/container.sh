#!/bin/sh
# Builds the container of the Dockerfile by buildah, without a daemon, a registry or root's rights over the machine, and starts a relay in it that makes an
# invite. Bases are made of Debian's packages and of the Go that is installed here.
# usage: container.sh VERSION, in the checkout
set -eu

# The container takes modules from the cache of this machine alone.
"${GO:-go}" mod download

export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
go=${GO:-go}
work=$(mktemp -d)
made=""
clean() {
	for image in $made; do buildah rmi --force "$image" >/dev/null 2>&1 || true; done
	rm -rf "$work"
}
trap clean EXIT

mmdebstrap --quiet --variant=apt --include=nftables,ca-certificates,iproute2 --dpkgopt=force-unsafe-io --aptopt='Apt::Install-Recommends "false"' \
	bookworm "$work/base.tar"
container=$(buildah from scratch)
buildah add --quiet "$container" "$work/base.tar" / >/dev/null
buildah commit --quiet --rm "$container" trenza-test-base >/dev/null
made=trenza-test-base

container=$(buildah from trenza-test-base)
buildah add --quiet "$container" "$($go env GOROOT)" /usr/local/go >/dev/null
buildah config --env PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin --env GOMODCACHE=/go/pkg/mod --env GOPROXY=off "$container"
buildah commit --quiet --rm "$container" trenza-test-go >/dev/null
made="trenza-test-go $made"

buildah build --quiet --network host --volume "$($go env GOMODCACHE):/go/pkg/mod:ro" --build-arg GO_IMAGE=localhost/trenza-test-go \
	--build-arg BASE_IMAGE=localhost/trenza-test-base --build-arg VERSION="$1" --tag trenza-test . >/dev/null
made="trenza-test $made"

container=$(buildah from trenza-test)
trap 'buildah rm "$container" >/dev/null 2>&1 || true; clean' EXIT
[ "$(buildah run "$container" -- /usr/bin/trenza version)" = "trenza $1" ] || {
	echo "the container's program is another" >&2
	exit 1
}
# A network of its own, with the sysctls and the right over it that compose.yaml gives.
export container
unshare --net sh -eu -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
	exec buildah run --cap-add CAP_NET_ADMIN "$container" -- sh -c "$1"' sh '
	ip link set lo up
	mkdir -p /etc/trenza && echo "listen: [\"127.0.0.1:51900\"]" >/etc/trenza/relay.yaml
	trenza relay run --config /etc/trenza/relay.yaml & relay=$!
	tries=0
	until trenza relay status --config /etc/trenza/relay.yaml >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || exit 1
		sleep 0.2
	done
	nft list tables | grep -q trenza || exit 1
	trenza relay invite --config /etc/trenza/relay.yaml --no-qr --name home | grep -q "^TRENZA1-" || exit 1
	kill "$relay" && wait "$relay"'
echo "the container builds, and its relay runs: $(buildah images --format '{{.Size}}' trenza-test)"
