#!/bin/busybox sh
# The guest's first program, in its initramfs: makes a root that is the host's, read-only, under an overlay in
# memory, and gives way to run_suite.sh there. guest.py packs it.
/bin/busybox --install -s /bin
export PATH=/bin
give_up() { echo "guest: $1"; poweroff -f; }
mount -t proc proc /proc
for module in /modules/*; do insmod "$module" || give_up "cannot load $module"; done
value() { sed -n "s/.*\\b$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline; }
date -s "@$(value guest_time)" >/dev/null
mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=524288 host /host || give_up "cannot mount the host's root"
mount -t tmpfs -o size=75%,mode=755 memory /memory
mkdir /memory/upper /memory/work
mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work root /root || give_up "no overlay"

# Folders that tests write to are memory itself: an overlay over an overlay is refused by the kernel.
for folder in tmp run var/tmp var/lib/cloudlet dev proc sys; do mkdir -p "/root/$folder"; done
for folder in tmp run var/tmp var/lib/cloudlet; do mount -t tmpfs -o mode=1777 memory "/root/$folder"; done
mount -t devtmpfs dev /root/dev
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts -o ptmxmode=666,gid=5 devpts /root/dev/pts
mount -t tmpfs shm /root/dev/shm
mount -t sysfs sysfs /root/sys
# The repository may lie below one of those, and so it comes back; the modules come to where they belong.
repository=$(value guest_repository) modules=$(value guest_modules)
mount --move /proc /root/proc
mkdir -p "/root/$repository" /root/lib/modules
mount --bind "/host/$repository" "/root/$repository"
mount --bind "/host/$modules" /root/lib/modules
[ -x /root/sbin/modprobe ] || ln -s /bin/busybox /root/sbin/modprobe
exec switch_root /root /bin/busybox sh "$repository/tests/guest/run_suite.sh"
