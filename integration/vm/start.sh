#!/bin/sh
# The guest's first process once it is in its root: what any Debian would have after its start, then the job.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8

mkdir -p /dev/pts /dev/shm /run /tmp
mount -t devpts -o gid=5,mode=620 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t debugfs debug /sys/kernel/debug
ln -sfn /proc/self/fd /dev/fd
# Devices whose module is loaded by whoever opens them: /dev/net/tun, /dev/ppp.
while read -r module node number; do
	case $module in \#*) continue ;; esac
	mkdir -p "/dev/$(dirname "$node")"
	kind=$(echo "$number" | cut -c 1)
	[ -e "/dev/$node" ] || mknod "/dev/$node" "$kind" $(echo "${number#?}" | tr : ' ')
done <"/lib/modules/$(uname -r)/modules.devname"
mkdir -p /run/lock /run/netns /run/dbus
hostname vm
ip link set lo up

end() { # exit code
	echo "$1" >/vm/result/exit.new
	mv /vm/result/exit.new /vm/result/exit
	sync
	echo o >/proc/sysrq-trigger
	while :; do :; done # the shares are gone before the machine is: no program can be started any more
}

# Whoever started the guest reads the channel; a person sits at the console.
channel=/dev/ttyS0
for name in /sys/class/virtio-ports/*/name; do
	grep -qx trenza.output "$name" && channel=/dev/$(basename "$(dirname "$name")")
done

# The checkout, at its own path.
repository=$(cat /vm/job/repository)
mkdir -p "$repository"
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,ro,cache=loose repository "$repository"

# What shall be missing is missing: its file goes, as on a kernel that was built without.
for module in $(cat /vm/job/hidden); do
	if ! file=$(modinfo --field filename "$module") || [ ! -f "$file" ]; then
		echo "the module $module cannot be hidden: the kernel has it built in, or not at all ($file)" >"$channel"
		end 125
	fi
	rm "$file"
done
[ -s /vm/job/hidden ] && depmod

>/vm/result/started
if [ "$channel" = /dev/ttyS0 ]; then
	setsid --ctty /bin/sh /vm/job/job <"$channel" >"$channel" 2>&1
else
	/bin/sh /vm/job/job </dev/null >"$channel" 2>&1
fi
end $?
