// Command images makes what is written to a card: an image for the 64-bit Raspberry Pis (3, 4, 5, Zero 2 W) out of Debian's packages and our own,
// without a loop device, a mount of the host or a privileged container.
//
//	card   1 TRENZA-BOOT  FAT   autoboot.txt, trial: which slot starts, and which is being tried
//	       2 TRENZA-2     FAT   a slot: firmware, kernel, first file system, root.squashfs
//	       3 TRENZA-3     FAT   the other slot; empty until the first upgrade
//	       4 TRENZA-DATA  ext4  what the household owns; grows to the end of the card at the first start
//
// A slot is a folder of files: a tar archive of one (trenza_VERSION_rpi.slot) is what an upgrade brings. The root in it is never written; rpi/first/init
// says what is laid over it, and rpi/files/usr/lib/trenza/slot how a new slot is tried and left.
//
// Most is done by the system's own tools, in three steps: rpi/root.sh makes Debian's root (slow, kept in a cache under a hash of its inputs),
// rpi/system.sh makes the slot, and this program puts the card together.
package main
