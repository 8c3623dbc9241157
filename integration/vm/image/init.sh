#!/bin/busybox sh
# The guest's first process: from the first file system into the root that the host shares, and then the job.
# The job's share holds `start`, a shell script; what it prints goes to the host over a channel of its own, and its exit
# code into the file `exit` of the result's share. The kernel parameter vm.probe asks it only to say that it got so far.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

/bin/busybox mkdir -p /proc /sys /dev /lower /upper /new
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
if $b grep -q vm.probe /proc/cmdline; then
	echo "the machine works"
	echo o >/proc/sysrq-trigger
	$b sleep 60
fi
while read -r module; do $b insmod "/modules/$module"; done </modules/order
$b mount -t sysfs sys /sys

share() { # name, place, options
	$b mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2" || {
		echo "the share $1 cannot be mounted"
		echo o >/proc/sysrq-trigger
		$b sleep 60
	}
}
share root /lower ro,cache=loose
$b mount -t tmpfs -o size=75% upper /upper
$b mkdir /upper/data /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work root /new
$b mkdir -p /new/vm/job /new/vm/result
share job /new/vm/job ro,cache=loose
share result /new/vm/result rw,cache=none
for each in proc sys dev; do $b mount --move /$each /new/$each; done
exec $b switch_root /new /bin/sh /vm/job/start
