#!/bin/sh
# Makes what a slot holds out of the Debian root: our package and files, the compressed root, the first file system, the board's
# firmware. Runs as root of a user namespace, natively: nothing of arm64 is run.
# usage: system.sh ARCHIVE PACKAGE OUT, in the folder of this script; OUT/slot and OUT/boot are made
set -eu

archive=$1 package=$2 out=$3
root=$out/root
mkdir -p "$root" "$out/slot" "$out/boot"
tar -C "$root" --exclude='./dev/*' -xf "$archive"
kernel=$(ls "$root/usr/lib/modules")

# Our package's scripts know --root and call systemctl of the machine that builds, which works on unit files alone.
dpkg --root="$root" --force-architecture --force-script-chrootless --install "$package"
cp -R files/. "$root/"
# The recipes come without modes.
chmod 755 "$root"/usr/lib/trenza/slot "$root"/usr/lib/trenza/firstboot "$root"/usr/lib/trenza/console
chmod 600 "$root/etc/trenza/trenza.yaml"
systemctl --root="$root" --quiet enable trenza-firstboot trenza-health trenza-access-point trenza-console systemd-networkd
# What has no use here: Debian's own access point, waits for a network, logins where nobody has a password, tasks of a system that is written.
systemctl --root="$root" --quiet mask hostapd.service systemd-networkd-wait-online.service NetworkManager-wait-online.service getty@tty1.service serial-getty@.service \
	e2scrub_reap.service e2scrub_all.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer
mkdir -p "$root/etc/systemd/system-generators"
ln -s /dev/null "$root/etc/systemd/system-generators/systemd-ssh-generator"
echo trenza >"$root/etc/hostname"
printf '127.0.0.1\tlocalhost trenza\n::1\tlocalhost\n' >"$root/etc/hosts"
printf 'nameserver 127.0.0.1\n' >"$root/etc/resolv.conf"
: >"$root/etc/fstab"
: >"$root/etc/machine-id"
mkdir -p "$root/data" "$root/slot" "$root/boot/select" "$root/volatile"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/* "$root"/boot/firmware "$root"/etc/ssh/ssh_host_*

# The kernel and its device trees are read by the board's firmware, not out of the root.
cp "$root/usr/lib/modules/$kernel/vmlinuz" "$out/slot/vmlinuz"
rm "$root/usr/lib/modules/$kernel/vmlinuz"
cp "$root/usr/lib/linux-image-$kernel"/broadcom/bcm2710-rpi-*.dtb "$root/usr/lib/linux-image-$kernel"/broadcom/bcm27*-rpi-*.dtb \
	"$root/usr/lib/linux-image-$kernel"/broadcom/bcm2837-rpi-*.dtb "$out/slot/" 2>/dev/null || true
rm -rf "$root/usr/lib/linux-image-$kernel"
board=$root/usr/lib/raspi-firmware
for file in bootcode.bin start.elf fixup.dat start_cd.elf fixup_cd.dat start4.elf fixup4.dat start4cd.elf fixup4cd.dat; do
	cp "$board/$file" "$out/slot/"
done
rm -rf "$board"
cp slot/config.txt slot/cmdline.txt "$out/slot/"
# A Raspberry Pi 3 reads its first stage off the first partition; later ones have it in a memory of their own.
cp "$out/slot/bootcode.bin" "$out/boot/"
cp boot/autoboot.txt boot/trial "$out/boot/"

# Drivers of hardware that no router has are half of the modules.
(
	cd "$root/usr/lib/modules/$kernel/kernel"
	rm -rf sound drivers/gpu drivers/media drivers/infiniband drivers/iio drivers/comedi drivers/staging drivers/nvme drivers/ata \
		drivers/md drivers/mtd drivers/net/can drivers/input drivers/video drivers/accel drivers/isdn drivers/target
	find drivers/net/ethernet -mindepth 1 -maxdepth 1 ! -name broadcom ! -name cadence ! -name intel ! -name realtek -exec rm -rf {} +
)
depmod -b "$root" "$kernel"

# The first file system: a shell and what finds the card.
first=$out/first
mkdir -p "$first/bin" "$first/lib/modules/$kernel/kernel"
cp "$root/bin/busybox" "$first/bin/busybox"
cp first/init "$first/init"
chmod 755 "$first/init"
(
	cd "$root/usr/lib/modules/$kernel"
	for part in lib crypto arch block fs/ext4 fs/jbd2 fs/mbcache* fs/fat fs/nls fs/squashfs fs/overlayfs \
		drivers/mmc drivers/block drivers/virtio drivers/usb/core drivers/usb/common drivers/usb/host drivers/usb/dwc2 drivers/usb/storage drivers/usb/phy drivers/usb/roles \
		drivers/scsi/scsi_mod* drivers/scsi/sd_mod* drivers/scsi/scsi_common* drivers/pinctrl drivers/gpio drivers/regulator drivers/clk drivers/reset drivers/dma drivers/mailbox \
		drivers/nvmem drivers/phy/broadcom drivers/soc/bcm drivers/pci/controller drivers/misc/rp1 drivers/irqchip drivers/watchdog drivers/mfd; do
		for found in kernel/$part; do
			[ -e "$found" ] || continue
			mkdir -p "$first/lib/modules/$kernel/$(dirname "$found")"
			cp -R "$found" "$first/lib/modules/$kernel/$(dirname "$found")/"
		done
	done
	cp modules.builtin modules.builtin.modinfo modules.order "$first/lib/modules/$kernel/"
)
find "$first/lib/modules" -name '*.ko.xz' -exec xz --decompress {} +
depmod -b "$first" "$kernel"
(cd "$first" && find . | LC_ALL=C sort | busybox cpio -o -H newc 2>/dev/null | zstd -19 -q) >"$out/slot/initramfs"

mksquashfs "$root" "$out/slot/root.squashfs" -comp zstd -Xcompression-level 15 -noappend -no-progress -quiet
rm -rf "$root" "$first"
