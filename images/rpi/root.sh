#!/bin/sh
# Makes the Debian root of the image, without anything of ours, as an archive. Runs as root of a user and mount namespace of
# its own, so that neither the host's root nor its binfmt_misc are needed.
# usage: root.sh PACKAGES ARCHIVE
set -eu

# A new process namespace needs its own view.
mount -t proc proc /proc

packages=$(sed 's/#.*//' "$1" | tr -s ' \n' ',' | sed 's/^,//; s/,$//')

# Programs of arm64 run by qemu. A binfmt_misc of a user namespace is its own since Linux 6.7; F opens the emulator now, since it
# does not exist inside the new root, and OC gives it the credentials of the program it runs.
if [ "$(uname -m)" != aarch64 ]; then
	mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
	magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
	mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
	echo ":trenza-aarch64:M::$magic:$mask:$(command -v qemu-aarch64-static):OCF" >/proc/sys/fs/binfmt_misc/register
fi

mirror=http://deb.debian.org
components="main non-free-firmware"
mmdebstrap --quiet --mode=root --variant=apt --architectures=arm64 \
	--dpkgopt=force-unsafe-io \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
	--dpkgopt='path-include=/usr/share/doc/*/copyright' \
	--aptopt='Apt::Install-Recommends "false"' --aptopt='APT::Sandbox::User "root"' \
	--include="$packages" \
	--customize-hook='chroot "$1" sh -c "apt-get install --yes -qq linux-binary-\$(ls /usr/lib/modules)"' \
	trixie "$2" \
	"deb $mirror/debian trixie $components" \
	"deb $mirror/debian trixie-updates $components" \
	"deb $mirror/debian trixie-backports $components" \
	"deb $mirror/debian-security trixie-security $components"
