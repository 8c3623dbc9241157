#!/bin/sh
# Runs inside the new root, as its root, when the packages are there: brings the kernel and makes the first file system.
# Leaves /boot/vmlinuz, /boot/initramfs and the modules. Nothing here depends on the machine that builds.
set -eu

line=6.12 # the kernel's series

# The kernel's package is unpacked, not installed: no hooks, no boot loader.
cd "$(mktemp -d)"
package=$(apt-cache depends "linux-image-$line-amd64" | sed -n "s/^ *Depends: \(linux-image-$line.*\)/\1/p" | head -n 1)
apt-get download -qq "$package"
dpkg-deb -x "$package"_*.deb kernel
version=$(ls kernel/lib/modules)

# Modules of hardware that no guest has make half of the size. The others are unpacked: an emulated processor takes
# ten times as long for that.
(
	cd "kernel/lib/modules/$version/kernel"
	rm -rf sound drivers/gpu drivers/media drivers/infiniband drivers/scsi drivers/hwmon drivers/iio \
		drivers/input drivers/video drivers/md drivers/mtd drivers/platform drivers/staging drivers/ata \
		drivers/accel drivers/comedi drivers/nvme drivers/target drivers/net/ethernet
	find . -name '*.ko.xz' -exec xz --decompress {} +
)
mkdir -p /lib/modules
mv "kernel/lib/modules/$version" /lib/modules/
depmod "$version"
mv "kernel/boot/vmlinuz-$version" /boot/vmlinuz

# The first file system: a shell, the modules that bring the shares and the channels to the host, and what uses them.
mkdir -p first/bin first/modules
cp "$(command -v busybox)" first/bin/busybox
mv /init first/init
chmod 755 first/init
for module in virtio_pci virtio_rng virtio_console 9pnet_virtio 9p overlay; do
	modprobe --set-version "$version" --show-depends "$module"
done | sed -n 's/^insmod //p' | awk '!seen[$1]++ { print $1 }' | while read -r file; do
	cp "$file" first/modules/
	basename "$file" >>first/modules/order
done
(cd first && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >/boot/initramfs

cd /
rm -rf "$OLDPWD"
# Where the host's shares go: the root itself is read-only below its overlay.
mkdir -p /vm
