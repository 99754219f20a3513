#!/bin/busybox sh
# The guest's first program once it has its root: mounts the control groups that the suite asks for, runs the suite as
# its child, writes the exit status to the second serial line and switches the machine off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
value() { sed -n "s/.*\\b$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline; }
exec </dev/null
hostname guest
ip link set lo up
cd "$(value guest_repository)" || exit 1
/usr/bin/python3 -B tests/guest/guest_suites.py "$(value guest_suite)" $(value guest_arguments | tr , ' ')
echo $? >/dev/ttyS1
sync
poweroff -f
